"""Customer Cancellation (contract 9) and Seller Cancellation (contract 8): absolute quantities, each item once."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from topics.schema_base import ITEMS_MAX, Body, Code, Count, NotJudged, Text


class CustomerCancelledItem(Body):
    channelSkuCode: Code
    orderItemCode: Code
    cancelledQuantity: Count


class SellerCancelledItem(CustomerCancelledItem):
    customerCancelledQty: Count | None = None
    sellerCancelledQty: Count | None = None
    acceptedQty: NotJudged[Count | None] = None
    sellerRejectQty: NotJudged[Count | None] = None


def _each_once(items: list[CustomerCancelledItem] | list[SellerCancelledItem]) -> None:
    if len({item.orderItemCode for item in items}) != len(items):
        raise ValueError("orderItems: each orderItemCode may appear once")


class CustomerCancellation(Body):
    orderCode: Code
    locationCode: Text | None = None
    orderItems: Annotated[list[CustomerCancelledItem], Field(min_length=1, max_length=ITEMS_MAX)]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        _each_once(self.orderItems)
        return self


class SellerCancellation(Body):
    orderCode: Code
    locationCode: Text | None = None
    orderItems: Annotated[list[SellerCancelledItem], Field(min_length=1, max_length=ITEMS_MAX)]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        _each_once(self.orderItems)
        return self
