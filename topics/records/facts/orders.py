"""Facts of orders and their shipments on `orders.events`. One model per fact; readers' schemas are made from these.

To add a fact: a model here whose name is the fact's (OrderHeld is `order-held`; names that end in Fact are bases), then
`python -m topics.documents.schemas`. Members of a released fact stay as they are; a new one has a default.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from topics.records.facts.base import DurationMs, EpochMs, Fact, Part, Quantity, Status, known

ORDER_STATES = (
    "EXPECTED",
    "RECEIVED",
    "HELD",
    "SUBMITTED",
    "REJECTED",
    "ACKNOWLEDGED",
    "PACKED",
    "LABELLED",
    "MANIFESTED",
    "HANDED_OVER",
    "DELIVERED",
    "CANCELLED",
)
SHIPMENT_STATES = ("PACKING", "PACKED", "LABELLED", "MANIFESTED", "HANDED_OVER")
STEPS = ("submit", "acknowledge", "pack", "hand-over", "dispatch")


class LineUnits(Part):
    """One line of an order. ordered = open + packed + cancelled."""

    orderItemCode: str
    channelSkuCode: str
    ordered: Quantity
    open: Quantity = Field(description="Units neither packed nor cancelled")
    packed: Quantity
    cancelled: Quantity = Field(description="Units cancelled by either side")


class OrderFact(Fact):
    """A fact of an order, with the order's state after it."""

    orderCode: str
    state: Annotated[str, known(ORDER_STATES)] = Field(description="The order's state after this fact")
    locationCode: str | None = Field(description="The order's location; null for a split order")
    lines: list[LineUnits] = Field(description="The first 200 lines; `lineCount` says how many there are")
    lineCount: Quantity
    milestones: dict[str, DurationMs] = Field(
        description="Milliseconds from creation to the first time of each step reached: submittedMs, acknowledgedMs, "
        "packedMs, labelledMs, manifestedMs, handedOverMs, deliveredMs, cancelledMs, rejectedMs, adoptedMs"
    )


class ShipTo(Part):
    """The destination of an order, no closer than a region."""

    city: str | None
    state: str | None
    country: str | None
    zipPrefix: str = Field(description="The first three characters of the postcode")


class OrderCreated(OrderFact):
    """Sluice took a Create. Again under the same code after a rejection: a corrected attempt."""

    onHold: bool
    orderType: str | None
    paymentMethod: str | None
    dispatchByTime: str | None = Field(description="ISO-8601, as the marketplace wrote it")
    shipTo: ShipTo


class OrderSubmitted(OrderFact):
    """Increff took the Create."""


class OrderRejected(OrderFact):
    """Increff refused the Create. Its words are in `sluice order`, not here: they may quote the order."""

    status: Status


class OrderRevived(OrderFact):
    """Increff has the order after all, so `order-rejected` does not hold: the order goes on."""

    by: str = Field(description="The event that shows it, as in docs/orders.md")


class OrderAcknowledged(OrderFact):
    """Increff allocated stock. Once per location of a split order."""

    acknowledgedBy: str | None = Field(description="The location that acknowledged")


class OrderUpdated(OrderFact):
    """The marketplace changed properties, but no hold. A repeated report of delivery has only the order's members."""

    onHold: bool | None = None
    dispatchByTime: str | None = Field(default=None, description="ISO-8601, as the marketplace wrote it")


class OrderHeld(OrderFact):
    """The marketplace asked Increff to wait."""

    onHold: bool
    dispatchByTime: str = Field(description="ISO-8601, as the marketplace wrote it")


class OrderReleased(OrderFact):
    """The marketplace ended a hold."""

    onHold: bool
    dispatchByTime: str = Field(description="ISO-8601, as the marketplace wrote it")


class HoldCrossed(OrderFact):
    """Increff acknowledged an order that was on hold, and the hold ended with that. Whether Increff made the
    acknowledgement before the hold reached it, and so has the hold now, is not known: the marketplace's next update is
    passed on, whatever it says."""

    acknowledgedBy: str | None = Field(description="The location that acknowledged")


class OrderDelivered(OrderFact):
    """The marketplace reported that the customer has the order."""

    deliveredAt: str | None = Field(description="ISO-8601, as the marketplace wrote it")


class OrderCancelled(OrderFact):
    """Every unit is cancelled. Follows the cancellation of the last unit."""


class OrderHandedOver(OrderFact):
    """Every shipment left and no unit is open. Follows the handover or cancellation that brought this about."""


class StuckFact(OrderFact):
    """A fact about one step in which an order waits; a handover is of one shipment."""

    step: Annotated[str, known(STEPS)]
    sinceMs: EpochMs = Field(description="Since when it waits (dispatch: when it got near), epoch milliseconds")
    shipmentId: int | None = Field(default=None, description="Increff's number, where the step is a shipment's")
    shipmentCode: str | None = Field(default=None, description="The marketplace's code, where the step is a shipment's")


class OrderStuck(StuckFact):
    """The order waits longer than its channel allows. Published once, until it is withdrawn."""

    limitMs: DurationMs | None = Field(default=None, description="Milliseconds the channel allows; none for dispatch")
    dispatchByTime: str | None = Field(default=None, description="ISO-8601, as the marketplace wrote it; for dispatch")


class OrderUnstuck(StuckFact):
    """The order moved: it no longer waits in a step that was reported as stuck."""

    tookMs: DurationMs = Field(description="Milliseconds since `sinceMs`")


class OrderForgotten(Fact):
    """Sluice keeps no state of the order any more; earlier facts stay. A later fact of the key starts again with 1."""

    orderCode: str | None = None
    returnOrderCode: str | None = None
    manifestId: str | None = None
    state: str | None = None
    locationCode: str | None = None
    lines: list[LineUnits] | None = None
    lineCount: Quantity | None = None
    milestones: dict[str, DurationMs] | None = None


class OrderAdopted(OrderFact):
    """An order was first met midway and adopted: its lines are those that calls name, until a Create comes."""

    by: str = Field(description="The event by which it was met: acknowledge, pack, handover, ..")


class ShipmentAdopted(OrderFact):
    """A call named a shipment of an adopted order that was packed before. Its items are not known."""

    shipmentId: int | None = Field(description="Increff's number; null where no call named it")
    shipmentCode: str


class EarlyEventFact(OrderFact):
    """A fact about an early event: it came before what it depends on."""

    eventId: str = Field(description="`ce_id` of the command")
    event: str = Field(description="The kind of event: acknowledge, handover, seller cancel, ..")
    untilMs: EpochMs = Field(description="Until when it is kept, epoch milliseconds")


class EventParked(EarlyEventFact):
    """An event came before its order or its Pack and is kept until that comes."""


class EventRefused(EarlyEventFact):
    """An early event could be decided at last, and was not possible."""

    verdict: str = Field(description="REFUSED, CONFLICT, EARLY or FAILED")


class EventExpired(EarlyEventFact):
    """An early event was kept in vain: what it waited for did not come in time, and it had no effect."""


class CallNotApplied(OrderFact):
    """A call of Increff that may have been answered as taken, because its verdict was late, was not applied: the order
    was cancelled meanwhile, for instance. Once for each content of the call."""

    touchpoint: str = Field(description="The call, as in docs/touchpoints.md")
    eventId: str = Field(description="`ce_id` of the command")
    verdict: str = Field(description="REFUSED, CONFLICT, EARLY (and not kept) or FAILED")


class ShippedUnits(Part):
    orderItemCode: str
    channelSkuCode: str
    quantity: Quantity


class ShipmentFact(OrderFact):
    """A fact about one shipment of an order."""

    shipmentId: int | None = Field(description="Increff's number; null where a shipment was met without it")
    shipmentCode: str | None = Field(description="The marketplace's code; null where its answer to Pack had none")
    shipmentLocationCode: str
    items: list[ShippedUnits]


class ShipmentPacked(ShipmentFact):
    """The marketplace agreed to a Pack: these units are packed."""


class PackRefused(ShipmentFact):
    """The marketplace refused a Pack: its units are open again."""

    status: Status


class PackUnanswered(ShipmentFact):
    """A Pack had no usable answer in time: its units are open again until Increff asks again."""

    status: Status


class PackDiffered(ShipmentFact):
    """Increff repeated a Pack with other content. It got the answer of the first."""


class LeavingFact(ShipmentFact):
    """A fact about a packed shipment on its way out."""

    shipmentState: Annotated[str, known(SHIPMENT_STATES)]


class InvoiceIssued(LeavingFact):
    """The marketplace gave a shipment's invoice."""

    invoiceCode: str


class LabelIssued(LeavingFact):
    """The marketplace gave a shipment's label: its courier and tracking number."""

    awbNumber: str | None
    transporter: str | None


class ShipmentManifested(LeavingFact):
    """A shipment is on a manifest."""

    manifestCode: str | None = Field(description="The marketplace's code, else Increff's manifestId")
    transporter: str | None
    awbNumber: str | None


class ShipmentHandedOver(LeavingFact):
    """A shipment left the warehouse."""


class CancelledUnits(Part):
    """Totals of one line after the cancellation, not the units that it added."""

    orderItemCode: str
    channelSkuCode: str
    customerCancelled: Quantity
    sellerCancelled: Quantity


class SellerCancelled(OrderFact):
    """Increff cancelled units, or Sluice the rest of an order that ships once (fulfillmentType)."""

    cancelled: list[CancelledUnits] = Field(description="The lines that changed")
    automatic: bool | None = Field(
        default=None, description="true: by Sluice itself, because no other shipment follows"
    )


class CustomerCancelled(OrderFact):
    """Increff took a customer's cancellation."""

    cancelled: list[CancelledUnits] = Field(description="The lines that changed")


class CancellationRefused(OrderFact):
    """Increff refused a customer's cancellation: nothing is cancelled."""

    status: Status


class DisputedUnits(Part):
    """Units of one line about which the two sides disagree."""

    orderItemCode: str
    channelSkuCode: str
    quantity: Quantity


class SellerCancellationRefused(OrderFact):
    """Increff cancelled units that are packed here: both cannot be, and an operator has to look."""

    refused: list[DisputedUnits] = Field(description="Totals that Increff's call named")


class CancellationCrossed(OrderFact):
    """Increff took a customer's cancellation of units that are packed here, or out in a Pack."""

    crossed: list[DisputedUnits] = Field(description="Units that are both cancelled there and packed here")


class RequestFact(Fact):
    """A fact about a request to a far side. One of orderCode, returnOrderCode and manifestId names its entity."""

    orderCode: str | None = None
    returnOrderCode: str | None = None
    manifestId: str | None = None
    state: str = Field(description="Of the order, return or manifest")
    locationCode: str | None
    touchpoint: str = Field(description="The call, as in docs/touchpoints.md")
    status: Status
    lines: list[LineUnits] | None = None
    lineCount: Quantity | None = None
    milestones: dict[str, DurationMs] | None = None


class RequestResubmitted(Fact):
    """An operator had a refused request sent again. One of orderCode, returnOrderCode and manifestId names its
    entity. Of a Create, `order-created` came before, or `return-created` follows."""

    orderCode: str | None = None
    returnOrderCode: str | None = None
    manifestId: str | None = None
    state: str = Field(description="Of the order, return or manifest, after this")
    locationCode: str | None
    touchpoint: str = Field(description="The call, as in docs/touchpoints.md")
    request: str = Field(description="`Sluice-Delivery-Id` of the refused request")
    by: str = Field(description="Name of the operator's token of /api")
    reason: str = Field(description="The operator's own words")
    lines: list[LineUnits] | None = None
    lineCount: Quantity | None = None
    milestones: dict[str, DurationMs] | None = None


class NoticeOvertaken(OrderFact):
    """A relay is sent before a notification that was to leave before it, keeps failing and is optional: a Pack before
    its acknowledgement, a customer's cancellation before a hold. The notification is still tried. Once per pair."""

    touchpoint: str = Field(description="The notification's call, as in docs/touchpoints.md")
    by: str = Field(description="The relay's call")
    destination: str = Field(description="`increff`, or `channel:NAME`")
    request: str = Field(description="The notification's `Sluice-Delivery-Id`")
    byRequest: str = Field(description="The relay's `Sluice-Delivery-Id`")


class DeliveryFailed(RequestFact):
    """A request was given up after all its attempts. An operator may retry it."""

    destination: str = Field(description="`increff`, or `channel:NAME`")


class DeliveryRefused(RequestFact):
    """The far side refused a request that no caller waits for."""
