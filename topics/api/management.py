"""Documents of /api/orders and /api/returns: states, facts, and the outcome of each delivery."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from topics.api.journal.story import StoryDocument
from topics.contract.models.errors import Problem
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
    """`shipmentId`: Increff's; `shipmentCode`: the marketplace's, null until it has answered the Pack."""

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
    """A fact. `sequence` counts the facts of an order, from 1 and without gaps. Other members depend on its name."""

    sequence: int
    name: str
    atMs: int


class AttemptDocument(Body):
    """An attempt of a delivery. `status` null: there was no answer, and `error` says why."""

    number: int
    atMs: int
    tookMs: float
    status: int | None
    error: str | None


class DeliveryDocument(Body):
    """A delivery. `status`: queued, retrying, delivered, refused, resubmitted (another one has taken the place of the
    refused one), expired or dead."""

    id: str
    touchpoint: str
    destination: str
    status: str
    createdMs: int
    attempts: list[AttemptDocument]
    nextAtMs: int | None
    message: str | None


class RefusedCallDocument(Body):
    """Calls that were refused alike, `count` of them. `status` and `code`: as they were answered; `status` is null for
    a producer's record. `reason`: as it was answered, without a value of a body. `eventId`: of the last one, as in the
    access log. `source`: `/gateway`, or the producer by its `ce_source`. `address`: the last caller's, where the
    gateway refused the call itself; for others the access log has it."""

    touchpoint: str
    status: int | None
    code: str
    reason: str
    count: int
    firstAtMs: int
    lastAtMs: int
    eventId: str
    source: str
    address: str | None


class UnknownProblem(Problem):
    """The error about an order or return that is not known. `refusedCalls`: those that named it all the same, of the
    last seven days, the newest last: its Create, for example."""

    refusedCalls: list[RefusedCallDocument] = Field(default_factory=list)
    story: StoryDocument | None = Field(default=None)


class EntityDocument(Body):
    """Members that orders and returns have in common. `reason`: why it was refused, rejected or failed. `refusedCalls`:
    those of the last seven days, the newest last."""

    channel: str
    state: str
    createdAtMs: int
    updatedAtMs: int
    locationCode: str | None
    reason: str | None
    facts: list[FactDocument]
    deliveries: list[DeliveryDocument]
    refusedCalls: list[RefusedCallDocument]
    story: StoryDocument | None = Field(
        default=None, description="as `/story` tells it; null while the journal cannot be read"
    )


class StuckDocument(Body):
    """A step that takes an order longer than its channel allows. A shipment's step is followed by the shipment's id."""

    step: str
    sinceMs: int


class ReturnedDocument(Body):
    channelSkuCode: str
    quantity: int


class ReturnOfOrderDocument(Body):
    """A return of the order. `items`: those that the order admitted; `reason`: why it denied what the return asked for
    last."""

    returnOrderCode: str
    items: list[ReturnedDocument]
    reason: str | None


class OrderDocument(EntityDocument):
    """An order. `milestones`: when it reached which state; `returns`: the units that each return has of it."""

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
    """All units of a return, by their outcome."""

    expected: int
    cancelled: int
    passed: int
    failed: int


class ReturnDocument(EntityDocument):
    """A return. `forwardKnown`: whether Sluice knew the forward order when the return was created."""

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
    """An operator's decision about a delivery that holds its lane. `state`: `stored` (the delivery role has not taken
    it yet), `applied`, or with `wait` what became of the delivery since: delivered, retrying, refused, dead (again: it
    still holds its lane), skipped. `message`: why it was not delivered."""

    request: str
    action: str
    eventId: str
    state: str
    message: str | None = None


class EventDocument(Body):
    """A fact as subscribers get it. `data`: see schemas/facts for this type."""

    type: str
    timestamp: str
    data: dict[str, Any]


class EventsDocument(Body):
    """The facts of an order after a sequence, without gaps. `last`: the highest sequence of the order; `next`: the path
    of the next page, or null. A page may be empty and still have a `next`."""

    order: str
    channel: str
    last: int
    events: list[EventDocument]
    next: str | None
