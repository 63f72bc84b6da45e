"""What the management API tells of an order or a return: states, facts, and what became of each delivery."""

from __future__ import annotations

from typing import Any

from topics.schema_base import Body


class LineDocument(Body):
    orderItemCode: str
    channelSkuCode: str
    ordered: int
    open: int
    packed: int
    cancelled: int
    customerCancelled: int
    sellerCancelled: int


class PackedDocument(Body):
    orderItemCode: str
    channelSkuCode: str
    quantity: int


class ShipmentDocument(Body):
    """`shipmentId` is Increff's, `shipmentCode` the marketplace's, known once it has answered the Pack."""

    shipmentId: int
    shipmentCode: str | None
    locationCode: str
    state: str
    items: list[PackedDocument]
    awbNumber: str | None
    transporter: str | None
    invoiceCode: str | None
    manifestCode: str | None


class FactDocument(Body):
    """`sequence` counts the facts of one order, from 1 and without gaps; what else a fact says depends on its name."""

    sequence: int
    name: str
    atMs: int


class AttemptDocument(Body):
    """`status` is null when no answer came; `error` then says why."""

    number: int
    atMs: int
    tookMs: float
    status: int | None
    error: str | None


class DeliveryDocument(Body):
    """`status` is queued, retrying, delivered, refused, expired or dead."""

    id: str
    touchpoint: str
    destination: str
    status: str
    createdMs: int
    attempts: list[AttemptDocument]
    nextAtMs: int | None
    message: str | None


class EntityDocument(Body):
    """What is told of every entity; `reason` says why it is in a state that nobody wished for."""

    channel: str
    state: str
    createdAtMs: int
    updatedAtMs: int
    locationCode: str | None
    reason: str | None
    facts: list[FactDocument]
    deliveries: list[DeliveryDocument]


class StuckDocument(Body):
    """A step in which the order waits longer than its channel allows; a shipment's step is followed by its id."""

    step: str
    sinceMs: int


class ReturnedDocument(Body):
    channelSkuCode: str
    quantity: int


class ReturnOfOrderDocument(Body):
    """`items` are admitted; `reason` says why what the return asked for last was denied."""

    returnOrderCode: str
    items: list[ReturnedDocument]
    reason: str | None


class OrderDocument(EntityDocument):
    """`milestones` says when which state was reached; `returns` what each return holds of the units that left."""

    orderCode: str
    onHold: bool
    lines: list[LineDocument]
    shipments: list[ShipmentDocument]
    milestones: dict[str, int]
    returns: list[ReturnOfOrderDocument]
    stuck: list[StuckDocument]


class ReturnItemDocument(Body):
    itemCode: str
    channelSkuCode: str
    cancelled: bool
    qcStatus: str | None


class ReturnQuantitiesDocument(Body):
    """Units by what became of them; together they are all there are."""

    expected: int
    cancelled: int
    passed: int
    failed: int


class ReturnDocument(EntityDocument):
    """`forwardKnown`: whether Sluice knew the forward order when the return was created."""

    returnOrderCode: str
    forwardOrderCode: str
    forwardKnown: bool
    trackingCode: str | None
    transporter: str | None
    returnOrderStatus: str | None
    expectedDate: str | None
    quantities: ReturnQuantitiesDocument
    items: list[ReturnItemDocument]


class LaneDecided(Body):
    """An operator's decision about a dead delivery is stored, and will be carried out by the owner of the lane."""

    request: str
    action: str
    eventId: str


class EventDocument(Body):
    """A fact as subscribers get it. `data` is as schemas/facts has it for this type."""

    type: str
    timestamp: str
    data: dict[str, Any]


class EventsDocument(Body):
    """The facts of one order that follow a sequence, in their order and without a gap. `last`: the highest sequence
    there is; `next`: where the facts go on, null when these are all. A page may be empty and have a `next`."""

    order: str
    channel: str
    last: int
    events: list[EventDocument]
    next: str | None
