"""An order's state follows from what is known about it: one function, so that no handler can forget a rule."""

from __future__ import annotations

from typing import Any

from streams.order.model import limits
from streams.order.model.decision import Decision
from streams.order.model.entities import FACT_LINES, Order
from streams.order.model.parts import Shipment
from streams.order.model.states import OrderState, ShipmentState

_OF_SHIPMENT = {
    ShipmentState.PACKED: OrderState.PACKED,
    ShipmentState.LABELLED: OrderState.LABELLED,
    ShipmentState.MANIFESTED: OrderState.MANIFESTED,
    # A shipment left while units are open: the order as a whole is no further than this.
    ShipmentState.HANDED_OVER: OrderState.MANIFESTED,
}


def state_of(order: Order) -> OrderState:
    """The state that follows from what the order holds."""
    if order.state == OrderState.REJECTED:
        return OrderState.REJECTED
    if "delivered" in order.milestones:
        return OrderState.DELIVERED
    if not may_have_more(order) and not order.line_index.kept:
        return OrderState.CANCELLED
    furthest = order.shipment_index.furthest() if order.shipments else ShipmentState.PACKING
    if furthest != ShipmentState.PACKING:
        return OrderState.HANDED_OVER if _all_left(order) else _OF_SHIPMENT[furthest]
    if order.held:
        return OrderState.HELD
    if order.acknowledged:
        return OrderState.ACKNOWLEDGED
    submitted = order.adopted or "submitted" in order.milestones
    return OrderState.SUBMITTED if submitted else OrderState.RECEIVED


def settle_order(decision: Decision[Order]) -> None:
    """Bring the state up to date; reaching an end is a fact of its own."""
    order = decision.entity
    before = order.state
    order.state = state_of(order)
    if order.state == before:
        return
    if order.state == OrderState.CANCELLED:
        reach_milestone(order, "cancelled", decision.now_ms)
        decision.fact("order-cancelled", order_context(order))
    elif order.state == OrderState.HANDED_OVER:
        reach_milestone(order, "handedOver", decision.now_ms)
        decision.fact("order-handed-over", order_context(order))


def reach_milestone(order: Order, milestone: str, now_ms: int) -> None:
    """Note when a milestone was reached; the first time counts."""
    order.milestones.setdefault(milestone, now_ms)


def order_context(order: Order) -> dict[str, Any]:
    """The members of every fact of an order: its state, its lines, and how long its steps took since creation."""
    return {
        "orderCode": order.code,
        "state": order.state,
        "locationCode": order.location,
        "lines": _lines(order),
        "lineCount": len(order.lines),
        "milestones": {f"{name}Ms": at_ms - order.created_ms for name, at_ms in order.milestones.items()},
    }


def _lines(order: Order) -> list[dict[str, Any]]:
    """The lines as facts have them. Facts share them as long as no line changes."""
    found: list[dict[str, Any]] | None = order.__dict__.get(FACT_LINES)
    if found is None:
        found = order.__dict__[FACT_LINES] = [
            {
                "orderItemCode": line.code,
                "channelSkuCode": line.sku,
                "ordered": line.ordered,
                # As `open` and `cancelled` of a line: a fact has up to 200 of them.
                "open": line.ordered - line.packed - line.customer - line.seller,
                "packed": line.packed,
                "cancelled": line.customer + line.seller,
            }
            for line in order.lines[: limits.FACT_LINES_MAX]
        ]
    return found


def shipment_context(shipment: Shipment) -> dict[str, Any]:
    """The members of every fact of a shipment, besides those of its order."""
    return {
        **shipment_name(shipment),
        "shipmentLocationCode": shipment.location,
        "items": [
            {"orderItemCode": code, "channelSkuCode": sku, "quantity": units} for code, sku, units in shipment.items
        ],
    }


def shipment_name(shipment: Shipment) -> dict[str, Any]:
    return {"shipmentId": shipment.number, "shipmentCode": shipment.code}


def with_location(order: Order, body: dict[str, Any]) -> dict[str, Any]:
    """Add the order's location where the caller left it out: Increff identifies an order by it (contract 0.3)."""
    if order.location is None or body.get("locationCode") is not None:
        return body
    return {**body, "locationCode": order.location}


def _all_left(order: Order) -> bool:
    left = order.shipment_index.handed_over == len(order.shipments)
    return left and (_holds_unknown(order) or not order.line_index.open)


def may_have_more(order: Order) -> bool:
    """Whether an adopted order may have units, or may have shipped units, that no call has named."""
    return order.open_ended or _holds_unknown(order)


def _holds_unknown(order: Order) -> bool:
    """Whether a shipment was packed before Sluice saw the order, so that its items are not known."""
    return order.adopted and bool(order.shipment_index.unknown)
