"""Returns (contract 15 to 18). B2C: one entry per unit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from topics.schema_base import (
    ITEMS_MAX,
    Address,
    Amount,
    Body,
    Code,
    CustomAttributes,
    Flag,
    NotJudged,
    Text,
    Time,
    Url,
)


class ReturnTaxItem(Body):
    type: Text | None = None
    rate: Amount | None = None
    taxPerUnit: Amount | None = None
    taxTotal: Amount | None = None


class ReturnItem(Body):
    itemCode: Code
    reason: Text
    channelSkuCode: Code
    name: Text | None = None
    brand: Text | None = None
    color: Text | None = None
    category: Text | None = None
    subCategory: Text | None = None
    serialNumber: Text | None = None
    imageUrl: Url | None = None
    price: Amount | None = None
    finalAmountPaid: Amount | None = None
    storeCreditsUsed: Amount | None = None
    subTaxItemData: Annotated[list[ReturnTaxItem], Field(max_length=ITEMS_MAX)] | None = None


class ReturnDimension(Body):
    length: Amount | None = None
    breadth: Amount | None = None
    height: Amount | None = None
    weight: Amount | None = None


class ReturnDetails(Body):
    isCod: Flag | None = None
    codValue: Amount | None = None
    invoiceValue: Amount | None = None
    invoiceNumber: Text | None = None
    invoiceTime: Time | None = None
    forwardShipmentNumber: Text | None = None


class CreateReturnOrder(Body):
    """`orderType` takes any code: the pages of the contract list different ones, as for Create Outward Order."""

    forwardOrderCode: Code
    returnOrderCode: Code
    locationCode: Code
    returnOrderTime: Time | None = None
    orderType: Code
    awbNumber: Text | None = None
    transporter: Text | None = None
    returnOrderStatus: Text | None = None
    expectedDate: Time | None = None
    currencyCode: Text | None = None
    regionType: Text | None = None
    sellerGstin: Text | None = None
    consigneeGstin: Text | None = None
    shipmentDimension: ReturnDimension | None = None
    returnReason: Text | None = None
    orderItems: Annotated[list[ReturnItem], Field(min_length=1, max_length=ITEMS_MAX)]
    pickupAddress: Address | None = None
    dropAddress: Address | None = None
    orderDetails: ReturnDetails | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        _each_once("orderItems", "itemCode", (item.itemCode for item in self.orderItems))
        return self


class AddedReturnItem(Body):
    channelReturnItemCode: Code
    channelSkuCode: Code
    subOrderCode: Text | None = None
    reasonForReturn: Text | None = None
    price: Amount | None = None


class AddReturnOrderItems(Body):
    """Items that join a return before its parcel is received (contract 15, related)."""

    returnOrderCode: Code
    orderCode: Code
    locationCode: Code
    returnLineItems: Annotated[list[AddedReturnItem], Field(min_length=1, max_length=ITEMS_MAX)]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        codes = (item.channelReturnItemCode for item in self.returnLineItems)
        _each_once("returnLineItems", "channelReturnItemCode", codes)
        return self


class ReturnItemAttributes(CustomAttributes):
    channelSkuCode: Code
    orderItemCode: Code


class UpdateReturns(Body):
    """The AWB is `trackingCode` here, `awbNumber` at creation (contract 19.4)."""

    returnOrderCode: Code
    locationCode: Code
    transporter: Text | None = None
    trackingCode: Text | None = None
    returnOrderStatus: Text | None = None
    expectedDate: Time | None = None
    returnOrderAttributes: CustomAttributes | None = None
    returnOrderItemAttributes: Annotated[list[ReturnItemAttributes], Field(max_length=ITEMS_MAX)] | None = None


class CancelledReturnItem(Body):
    channelSkuCode: Code
    returnOrderItemCode: Code


class CancelReturnOrderItems(Body):
    """As clients of Increff send it: the contract's own page was not found."""

    returnOrderCode: Code
    orderCode: Code
    locationCode: Code
    returnOrderItems: Annotated[list[CancelledReturnItem], Field(min_length=1, max_length=ITEMS_MAX)]


class InspectedItem(Body):
    itemCode: Code
    channelSkuCode: Code
    qcStatus: Literal["PASS", "FAIL"]
    qcReason: Text | None = None
    imageUrls: NotJudged[Annotated[list[Url], Field(max_length=ITEMS_MAX)] | None] = None


class ReturnOrderAcknowledgement(Body):
    returnOrderCode: Code
    forwardOrderCode: Code
    locationCode: Code
    orderItems: Annotated[list[InspectedItem], Field(min_length=1, max_length=ITEMS_MAX)]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        _each_once("orderItems", "itemCode", (item.itemCode for item in self.orderItems))
        return self


def _each_once(items: str, member: str, codes: Iterable[str]) -> None:
    """A return has one entry per unit, so a code that comes twice is a mistake."""
    known: set[str] = set()
    for code in codes:
        if code in known:
            raise ValueError(f"{items}: each {member} may appear once")
        known.add(code)
