"""Create Outward Order (contract 1) and Update Order Properties (contract 10)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from topics.schema_base import (
    ITEMS_MAX,
    Address,
    Amount,
    Body,
    Code,
    CustomAttributes,
    Document,
    Flag,
    Kind,
    PositiveCount,
    Reading,
    Text,
    Time,
)


class GiftOptions(Body):
    giftwrapRequired: Flag
    giftMessage: Text | None = None
    giftChargePerUnit: Amount | None = None
    giftDocument: Document | None = None
    giftDocumentFormat: Text | None = None


class OrderItem(Body):
    channelSkuCode: Code
    orderItemCode: Code
    quantity: PositiveCount
    sellingPricePerUnit: Amount
    sellerDiscountPerUnit: Amount | None = None
    channelDiscountPerUnit: Amount | None = None
    shippingChargePerUnit: Amount | None = None
    minExpiry: Time | None = None
    giftOptions: GiftOptions | None = None
    orderItemCustomAttributes: CustomAttributes | None = None


class TaxItem(Body):
    type: Text
    rate: Amount
    taxPerUnit: Amount


class TaxBreakup(Body):
    """Named `channelSkuId` here, `channelSkuCode` elsewhere (contract 19.4)."""

    channelSkuId: Code
    baseSellingPricePerUnit: Amount
    taxItemForms: list[TaxItem]


class CreateOutwardOrder(Body):
    """`orderType` is open: the contract's pages give three vocabularies."""

    orderCode: Code
    parentOrderCode: Text | None = None
    locationCode: Code | None = None
    orderTime: Time
    orderType: Code
    isPriority: Flag | None = None
    gift: Flag | None = None
    onHold: Flag
    qcStatus: Annotated[Literal["PASS", "FAIL"], Reading(Kind.CHOICE)] | None = None
    dispatchByTime: Time
    startProcessingTime: Time
    paymentMethod: Literal["COD", "NCOD"]
    isSplitRequired: Flag | None = None
    packType: Annotated[Literal["PIECE", "BULK"], Reading(Kind.CHOICE)] | None = None
    shippingAddress: Address
    billingAddress: Address | None = None
    orderItems: Annotated[list[OrderItem], Field(min_length=1, max_length=ITEMS_MAX)]
    taxBreakupForms: Annotated[list[TaxBreakup], Field(max_length=ITEMS_MAX)] | None = None
    orderCustomAttributes: CustomAttributes | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.isSplitRequired and self.locationCode is not None:
            raise ValueError("locationCode: must be null when isSplitRequired is true")
        if not self.isSplitRequired and self.locationCode is None:
            raise ValueError("locationCode: may not be null unless isSplitRequired is true")
        if len({item.orderItemCode for item in self.orderItems}) != len(self.orderItems):
            raise ValueError("orderItems: each orderItemCode may appear once")
        return self


class UpdateOrderProperties(Body):
    orderCode: Code
    dispatchByTime: Time
    startProcessingTime: Time
    onHold: Flag
    locationCode: Text | None = None
    orderStatus: Annotated[Literal["DELIVERED", "CREATED"], Reading(Kind.CHOICE)] | None = None
    deliveredAt: Time | None = None

    @model_validator(mode="after")
    def _delivered(self) -> Self:
        if self.orderStatus == "DELIVERED" and self.deliveredAt is None:
            raise ValueError("deliveredAt: may not be null when orderStatus is DELIVERED")
        return self
