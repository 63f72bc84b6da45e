"""`fulfillmentType`: how many shipments an order may have, and what becomes of units outside them (contract 0.5).

A split order is counted per location, and its open units are never cancelled here: only Increff knows which of them
belong to another location. Nor are those of an order that was met midway, while it may have more. Any type that is not
named here allows several shipments.
"""

from __future__ import annotations

from typing import Any

from streams.order.forward.cancel import SELLER, Contended, cancelled_units
from streams.order.forward.progress import order_context, settle_order, with_location
from streams.order.model.decision import Decision, Ruling, refused
from streams.order.model.entities import Order

SINGLE = "SINGLE_SHIPMENT_PARTIAL"
BLOCK = "BLOCK_COMPLETE"


def one_too_many(order: Order, body: dict[str, Any]) -> Ruling | None:
    """The refusal of a second shipment where one of the two must be the only one; None when it is allowed."""
    single, index = body.get("fulfillmentType") == SINGLE, order.shipment_index
    singles = index.at_place if single else index.singles_at
    if not singles or (order.split and body["locationCode"] not in singles):
        return None
    for shipment in order.shipments:
        same_place = not order.split or shipment.location == body["locationCode"]
        if same_place and (single or shipment.single):
            return refused(
                f"{SINGLE} allows order {order.code} one shipment, and shipmentId {shipment.id} is it: "
                f"{body['shipmentId']} would be a second"
            )
    return None


def leaves_open(decision: Decision[Order], allotted: list[tuple[int, int]]) -> Ruling | None:
    """The refusal of a partial shipment where an order ships as a whole or not at all; None when it is allowed.

    Units that a customer is cancelling may stay out.
    """
    order = decision.entity
    if order.split or order.open_ended or decision.event.body.get("fulfillmentType") != BLOCK:
        return None
    contended = Contended(decision)
    packed, lines, free = dict(allotted), order.lines, order.line_index.free
    if len(packed) == len(free) and all(units == lines[position].free for position, units in allotted):
        return None
    rest = [(n, lines[n].free - packed.get(n, 0) - contended.units(lines[n])) for n in sorted(free)]
    left = [(n, units) for n, units in rest if units > 0]
    if not left:
        return None
    total, (position, units) = sum(units for _, units in left), left[0]
    code = lines[position].code
    return refused(
        f"{BLOCK} ships order {order.code} as a whole: {total} units would stay open, {units} of them of "
        f"orderItemCode {code}"
    )


def close_rest(decision: Decision[Order]) -> None:
    """Cancel the open units, as the seller's, once the only shipment is packed; both sides learn it.

    Called after every outcome: it may have packed the shipment, answered a cancellation, or made room for a request.
    Units that a customer cancellation asks for wait for its answer: they become the customer's, or are closed then.
    """
    order = decision.entity
    if order.split or order.open_ended or not order.shipment_index.packed_singles or not order.line_index.free:
        return
    contended = Contended(decision)
    free = [order.lines[n] for n in sorted(order.line_index.free)]
    rest = [(line, line.free - contended.units(line)) for line in free]
    rest = [(line, units) for line, units in rest if units > 0]
    if not rest or not order.has_room():
        return
    order.cancel_units([(line, line.customer, line.seller + units) for line, units in rest])
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
