"""Acknowledgement, Pack, Manifest and Handover (contract 2, 3, 6, 7)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from topics.schema_base import (
    BATCH_MAX,
    ITEMS_MAX,
    Address,
    Amount,
    Body,
    Code,
    Flag,
    Kind,
    Long,
    NotJudged,
    PositiveCount,
    Reading,
    Text,
    Time,
)


class AcknowledgedOrder(Body):
    orderCode: Code
    locationCode: Text | None = None


class Acknowledgement(Body):
    orders: Annotated[list[AcknowledgedOrder], Field(min_length=1, max_length=BATCH_MAX)]
    consolidationType: Annotated[Literal["ALL", "STORE", "NONE"], Reading(Kind.CHOICE)] | None = None


class AcknowledgementAnswer(Body):
    successOrders: list[AcknowledgedOrder]


class Dimensions(Body):
    length: Amount | None = None
    breadth: Amount | None = None
    height: Amount | None = None


class InvoiceTaxItem(Body):
    type: Text | None = None
    rate: Amount | None = None
    taxPerUnit: Amount | None = None
    taxTotal: Amount | None = None


class InvoiceItem(Body):
    channelSkuCode: Text | None = None
    actualSellingPricePerUnit: Amount | None = None
    actualSellingPriceTotal: Amount | None = None
    baseSellingPricePerUnit: Amount | None = None
    baseSellingPriceTotal: Amount | None = None
    netTaxAmountPerUnit: Amount | None = None
    netTaxAmountTotal: Amount | None = None
    taxItems: Annotated[list[InvoiceTaxItem], Field(max_length=ITEMS_MAX)] | None = None


class PackInvoice(Body):
    fromAddress: Address | None = None
    shippingAddress: Address | None = None
    billingAddress: Address | None = None
    orderTime: Time | None = None
    channelName: Text | None = None
    fromPartyName: Text | None = None
    toPartyName: Text | None = None
    fromTIN: Text | None = None
    toTIN: Text | None = None
    panNo: Text | None = None
    invoiceItems: Annotated[list[InvoiceItem], Field(max_length=ITEMS_MAX)] | None = None


class ShipmentItem(Body):
    channelSkuCode: Code
    quantityToPack: PositiveCount
    externalSerialCodes: NotJudged[Annotated[list[Text], Field(max_length=ITEMS_MAX)] | None] = None


class PackOrder(Body):
    orderCode: Code
    locationCode: Code
    shipmentId: Long
    packageSku: NotJudged[Text | None] = None
    weight: NotJudged[Amount | None] = None
    fulfillmentType: Text | None = None
    dimensions: NotJudged[Dimensions | None] = None
    invoice: NotJudged[PackInvoice | None] = None
    shipmentItems: Annotated[list[ShipmentItem], Field(min_length=1, max_length=ITEMS_MAX)]


class PackOrderAnswer(Body):
    """Assumed: the excerpt of the contract's page ends before its response."""

    shipmentCode: Code | None = None
    hasError: Flag | None = None
    errorMessage: Text | None = None


class PackBox(Body):
    boxId: Long | None = None
    awbNumber: Text | None = None


class ManifestItem(Body):
    orderCode: Code
    shipmentCode: Code
    awbNumber: Code
    packboxDetailsList: NotJudged[Annotated[list[PackBox], Field(max_length=BATCH_MAX)] | None] = None


class CreateManifest(Body):
    transporter: Code
    locationCode: Code
    manifestId: Long | None = None
    manifestItems: Annotated[list[ManifestItem], Field(min_length=1, max_length=BATCH_MAX)]


class ManifestedItem(Body):
    orderCode: Code
    shipmentCode: Code


class CreateManifestAnswer(Body):
    manifestCode: Code | None = None
    manifestItems: list[ManifestedItem] | None = None


class HandoverItem(Body):
    orderCode: Code
    shipmentCode: Code
    gatePassCode: NotJudged[Text | None] = None
    packBoxDetailsList: NotJudged[Annotated[list[PackBox], Field(max_length=BATCH_MAX)] | None] = None


class HandoverNotification(Body):
    locationCode: Code
    handoverItems: Annotated[list[HandoverItem], Field(min_length=1, max_length=BATCH_MAX)]


class Taken(Body):
    """One verdict for the whole call."""

    hasError: Flag | None = None
    errorMessage: Text | None = None
