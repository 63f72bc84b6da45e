"""Invoice, label and credentials (contract 4, 5, 0.2). Requests travel in a query string, so their values are text."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from topics.schema_base import ITEMS_MAX, Amount, Body, Code, CustomAttributes, Document, Flag, Long, Text, Url


class GetInvoice(Body):
    orderCode: Code
    shipmentCode: Code


class InvoiceDetail(Body):
    channelSkuCode: Text | None = None
    orderItemCode: Text | None = None
    netTaxAmountPerUnit: Amount | None = None
    netTaxAmountTotal: Amount | None = None
    baseSellingPricePerUnit: Amount | None = None
    baseSellingPriceTotal: Amount | None = None
    actualSellingPricePerUnit: Amount | None = None
    actualSellingPriceTotal: Amount | None = None


class Invoice(Body):
    invoiceCode: Text | None = None
    invoiceUrl: Url | None = None
    invoice: Document | None = None
    invoiceDate: Text | None = None
    irn: Text | None = None
    qrCode: Document | None = None
    orderCustomAttributes: CustomAttributes | None = None
    invoiceDetails: Annotated[list[InvoiceDetail], Field(max_length=ITEMS_MAX)] | None = None


class GetShippingLabel(Body):
    """`shipmentId` is required by the page's current revision and absent in an older one."""

    orderCode: Code
    shipmentCode: Code
    shipmentId: Long | None = None
    locationCode: Text | None = None
    arePackBoxLabelsRequired: Flag | None = None


class BoxLabel(Body):
    boxId: Long | None = None
    boxLabelUrl: Url | None = None
    boxAwb: Text | None = None


class ShippingLabel(Body):
    awbNumber: Text | None = None
    transporter: Text | None = None
    shippingLabelUrl: Url | None = None
    shippingLabel: Document | None = None
    boxLabelDetails: Annotated[list[BoxLabel], Field(max_length=ITEMS_MAX)] | None = None


class GetCredential(Body):
    """No members: an empty GET."""


class CredentialHeaders(Body):
    """A flat map of header names to values."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, str]
