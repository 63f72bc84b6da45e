"""Orders first met midway, as in a cut-over from a direct integration: adopted where the channel's policy allows it.

Sluice learns such an order from the calls about it. Until its Create comes, its lines are those that calls named, with
as many units as are packed, cancelled or asked for: so ordered = open + packed + cancelled holds as for any order, and
no call is refused for want of units. A Pack names SKUs only: a line has its SKU for a code until a call tells its
orderItemCode.
"""

from __future__ import annotations

from typing import Any

from streams.order.forward import early_events
from streams.order.forward.progress import order_context, reach_milestone, shipment_name
from streams.order.model import limits
from streams.order.model.decision import AnswerLookup, Decision, Ruling, first_decision, refused
from streams.order.model.entities import Order
from streams.order.model.events import Event, EventKind
from streams.order.model.parts import UNNUMBERED, Line, Shipment
from streams.order.model.states import OrderState, ShipmentState

ADOPTABLE: dict[EventKind, tuple[OrderState, ...]] = {
    EventKind.ACKNOWLEDGE: (OrderState.ACKNOWLEDGED,),
    EventKind.PACK: (OrderState.SUBMITTED,),
    EventKind.GET_INVOICE: (OrderState.SUBMITTED,),
    EventKind.GET_LABEL: (OrderState.SUBMITTED,),
    EventKind.HANDOVER: (OrderState.HANDED_OVER,),
    EventKind.SELLER_CANCEL: (OrderState.SUBMITTED,),
    EventKind.CUSTOMER_CANCEL: (OrderState.SUBMITTED,),
    EventKind.UPDATE: (OrderState.SUBMITTED, OrderState.HELD),
    EventKind.REPORT_DELIVERED: (OrderState.DELIVERED,),
    EventKind.SHIPMENT_MANIFESTED: (OrderState.MANIFESTED,),
    EventKind.RETURN_CLAIMED: (OrderState.SUBMITTED,),
}
"""The first events by which an order may be adopted, and the states that each may lead to."""


def is_adoptable(event: Event) -> bool:
    """Whether the channel adopts the unknown order that this event is about."""
    return event.unknown_orders == "adopt" and event.kind in ADOPTABLE


def adopt_order(event: Event, now_ms: int, lookup: AnswerLookup) -> tuple[Decision[Order], Ruling | None] | None:
    """Adopt or expect the unknown order that this event is about, by the channel's policy. None: it stays unknown."""
    if not is_adoptable(event):
        return early_events.expect_order(event, now_ms, lookup) if event.kind in early_events.MAY_COME_EARLY else None
    decision = first_decision(Order, OrderState.EXPECTED, event, now_ms, lookup)
    begin_adopted(decision)
    return decision, None


def begin_adopted(decision: Decision[Order]) -> None:
    """From here on it is a real order, which Increff has."""
    order = decision.entity
    order.adopted = True
    order.state = OrderState.SUBMITTED
    order.begin(decision.now_ms)
    reach_milestone(order, "adopted", decision.now_ms)
    decision.fact("order-adopted", {**order_context(order), "by": decision.event.kind}, {"by": decision.event.kind})


def learn_items(order: Order, items: list[dict[str, Any]]) -> Ruling | None:
    """Add the order items that a cancellation names. None: all of them are lines now."""
    for item in items:
        code, sku = item["orderItemCode"], item["channelSkuCode"]
        if order.line(code) is not None:
            continue
        by_sku = order.line(sku)
        if by_sku is not None and by_sku.sku == sku:
            order.rename_line(by_sku, code)
            continue
        line = _new_line(order, code, sku)
        if isinstance(line, Ruling):
            return line
    return None


def learn_sku(order: Order, sku: str, units: int) -> Ruling | None:
    """Add units of a SKU that a Pack names beyond those that were known. None: done."""
    same = order.line_index.of_sku(sku)
    line = order.lines[same[-1]] if same else _new_line(order, sku, sku)
    if isinstance(line, Ruling):
        return line
    order.change_line(line, ordered=units)
    return None


def _new_line(order: Order, code: str, sku: str) -> Line | Ruling:
    if len(order.lines) >= limits.LINES_MAX:
        return refused(f"order {order.code} has {limits.LINES_MAX} items, which is the most")
    line = Line(code, sku, 0)
    order.add_line(line)
    return line


def learn_total(order: Order, line: Line, cancelled: int) -> None:
    """Units that were cancelled had been ordered."""
    more = line.packed + line.packing + cancelled - line.ordered
    if more > 0:
        order.change_line(line, ordered=more)


def adopt_shipment(
    decision: Decision[Order], code: Any, shipment_id: Any = None, location: Any = None
) -> Shipment | None:
    """A shipment that was packed before Sluice saw its order. None when the call names none, or there is no room."""
    order = decision.entity
    if not code or len(order.shipments) >= limits.SHIPMENTS_MAX:
        return None
    number = _number(order, shipment_id)
    shipment = Shipment(number, str(location or ""), [], "", state=ShipmentState.PACKED, code=str(code))
    order.add_shipment(shipment)
    reach_milestone(order, "packed", decision.now_ms)
    noted = shipment_name(shipment)
    decision.fact("shipment-adopted", {**order_context(order), **noted}, noted)
    return shipment


def unite(order: Order, shipment: Shipment) -> None:
    """Unite a packed shipment with the one that was adopted without an id under the same code: they are one."""
    same = order.shipment_index.by_code.get(shipment.code, ()) if shipment.code is not None else ()
    twin = next((one for one in same if one.number is None), None)
    if twin is None:
        return
    order.change_shipment(
        shipment,
        state=twin.state,
        awb=twin.awb,
        transporter=twin.transporter,
        invoice=twin.invoice,
        manifest=twin.manifest,
    )
    order.remove_shipment(twin)
    for relay in order.relays:
        if relay.data == twin.id:
            relay.data = shipment.id
            relay.key = relay.key.replace(twin.name, shipment.name, 1)


def complete_lines(order: Order, items: list[dict[str, Any]]) -> None:
    """The Create came at last: its items are the order's lines, with what was learned of each."""
    known = {line.code: line for line in order.lines}
    lines: list[Line] = []
    for item in items:
        line = known.pop(item["orderItemCode"], None) or Line(item["orderItemCode"], item["channelSkuCode"], 0)
        line.sku, line.ordered = item["channelSkuCode"], item["quantity"]
        lines.append(line)
    order.set_lines(lines)
    for line in known.values():
        same = order.line_index.of_sku(line.sku) if line.code == line.sku else []
        if same:
            _divide(order, line, [order.lines[position] for position in same])
        else:
            order.add_line(line)
    for line in order.lines:
        # Increff knows the order better than a Create that came late: units packed or cancelled had been ordered.
        learn_total(order, line, line.cancelled)


def _divide(order: Order, line: Line, same: list[Line]) -> None:
    """Give the units of a line that had only its SKU to the order items of that SKU, in their order."""
    first, last = 0, len(same) - 1
    for shipment in order.shipment_index.holding(line.code):
        items: list[tuple[str, str, int]] = []
        for code, sku, quantity in shipment.items:
            if code != line.code:
                items.append((code, sku, quantity))
                continue
            units = quantity
            while units:
                one = same[first]
                part = units if first == last else min(units, max(0, one.free))
                units -= part
                if part:
                    packing = part if shipment.state == ShipmentState.PACKING else 0
                    order.change_line(one, packing=packing, packed=part - packing)
                    items.append((one.code, sku, part))
                if units:
                    first += 1  # it has no free units any more
        order.change_shipment(shipment, items=items)


def _number(order: Order, shipment_id: Any) -> int:
    text = str(shipment_id)
    if text.isdecimal() and order.shipment(int(text)) is None:
        return int(text)
    return min((UNNUMBERED + 1, *order.shipment_index.by_id)) - 1
