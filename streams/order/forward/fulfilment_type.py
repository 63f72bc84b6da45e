"""`fulfillmentType`: how many shipments an order may have, and what becomes of what is not in them (contract 0.5).

A split order is counted per location, and what is left of it is never cancelled here: which of its open units are
another location's only Increff knows. Nor is that of an order that was met midway, while it may have more. Any type
that is not named here allows several shipments.
"""

from __future__ import annotations

from typing import Any

from streams.order.forward.cancel import SELLER, cancelled_units, contended_units
from streams.order.forward.progress import order_context, settle_order, with_location
from streams.order.model.decision import Decision, Ruling, refused
from streams.order.model.entities import Order
from streams.order.model.parts import Line
from streams.order.model.states import ShipmentState

SINGLE = "SINGLE_SHIPMENT_PARTIAL"
BLOCK = "BLOCK_COMPLETE"


def one_too_many(order: Order, body: dict[str, Any]) -> Ruling | None:
    """A shipment beside another, where one of them is to be the only one."""
    single = body.get("fulfillmentType") == SINGLE
    for shipment in order.shipments:
        same_place = not order.split or shipment.location == body["locationCode"]
        if same_place and (single or shipment.single):
            return refused(
                f"{SINGLE} allows order {order.code} one shipment, and shipmentId {shipment.id} is it: "
                f"{body['shipmentId']} would be a second"
            )
    return None


def leaves_open(decision: Decision[Order], allotted: list[tuple[Line, int]]) -> Ruling | None:
    """A shipment of an order that ships as a whole or not at all. Units that a customer is cancelling may stay out."""
    order = decision.entity
    if order.split or order.open_ended or decision.event.body.get("fulfillmentType") != BLOCK:
        return None
    contended = contended_units(decision)
    packed = {line.code: units for line, units in allotted}
    left = {
        line.code: line.free - packed.get(line.code, 0) - contended.get(line.code, 0)
        for line in order.lines
        if line.free > packed.get(line.code, 0) + contended.get(line.code, 0)
    }
    if not left:
        return None
    code, units = next(iter(left.items()))
    return refused(
        f"{BLOCK} ships order {order.code} as a whole: {sum(left.values())} units would stay open, {units} of them of "
        f"orderItemCode {code}"
    )


def close_rest(decision: Decision[Order]) -> None:
    """The only shipment is packed: what is open is cancelled as the seller's, and both sides learn it.

    Asked after every outcome: one packs the shipment or answers a cancellation, any makes room for a request again.
    Units that a customer cancellation asks for wait for its answer: they are the customer's, or closed after it.
    """
    order = decision.entity
    if (
        order.split
        or order.open_ended
        or not any(one.single and one.state != ShipmentState.PACKING for one in order.shipments)
    ):
        return
    contended = contended_units(decision)
    rest = [(line, line.free - contended.get(line.code, 0)) for line in order.lines]
    rest = [(line, units) for line, units in rest if units > 0]
    if not rest or not order.has_room():
        return
    for line, units in rest:
        line.seller += units
    items = [
        {
            "channelSkuCode": line.sku,
            "orderItemCode": line.code,
            "cancelledQuantity": line.cancelled,
            "customerCancelledQty": line.customer,
            "sellerCancelledQty": line.seller,
        }
        for line, _ in rest
    ]
    decision.deliver(SELLER, with_location(order, {"orderCode": order.code, "orderItems": items}))
    changes = [(line, line.customer, line.seller) for line, _ in rest]
    data = {"cancelled": cancelled_units(changes), "automatic": True}
    decision.fact("seller-cancelled", {**order_context(order), **data}, {"automatic": True})
    settle_order(decision)
