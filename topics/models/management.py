"""What the management API tells of an order or a return: states, facts, and what became of each delivery."""

from __future__ import annotations

from typing import Any

from topics.models.base import Body


class LineDocument(Body):
    orderItemCode: str
    channelSkuCode: str
    ordered: int
    open: int
    packed: int
    cancelled: int
    customerCancelled: int
    sellerCancelled: int


class ShipmentDocument(Body):
    shipmentId: int | str | None = None
    shipmentCode: str | None = None
    locationCode: str | None = None
    state: str
    items: list[Any]
    awbNumber: str | None = None
    transporter: str | None = None
    invoiceCode: str | None = None
    manifestCode: str | None = None


class FactDocument(Body):
    """`sequence` counts the facts of one order, from 1 and without gaps."""

    sequence: int
    name: str
    atMs: int


class AttemptDocument(Body):
    number: int
    atMs: int
    tookMs: float
    status: int | None = None
    error: str | None = None


class DeliveryDocument(Body):
    """`status` is queued, retrying, delivered, refused, expired or dead."""

    id: str
    touchpoint: str
    destination: str
    status: str
    createdMs: int
    attempts: list[AttemptDocument]
    nextAtMs: int | None = None
    message: str | None = None


class OrderDocument(Body):
    channel: str
    orderCode: str
    state: str
    createdAtMs: int
    updatedAtMs: int
    lines: list[LineDocument]
    shipments: list[ShipmentDocument]
    facts: list[FactDocument]
    deliveries: list[DeliveryDocument]
    returns: list[str]
    reason: str | None = None


class ReturnDocument(Body):
    channel: str
    returnOrderCode: str
    forwardOrderCode: str | None = None
    state: str
    facts: list[FactDocument]
    deliveries: list[DeliveryDocument]


class LaneDecided(Body):
    """An operator's decision about a dead delivery is stored, and will be carried out by the owner of the lane."""

    request: str
    action: str
    eventId: str
