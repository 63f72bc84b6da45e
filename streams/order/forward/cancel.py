"""Cancellations, from either side. Quantities are absolute totals per line, and never go back.

Increff is the authority on whether a unit can still be cancelled. Sluice refuses only units that it knows to be packed.
"""

from __future__ import annotations

from typing import Any, Final

from streams.order.forward.adopt import learn_items, learn_total
from streams.order.forward.deferred_calls import defer
from streams.order.forward.location import misplaced
from streams.order.forward.progress import order_context, settle_order, with_location
from streams.order.forward.revival import revive_order
from streams.order.model.decision import APPLIED, DUPLICATE, Decision, Ruling, failed, refused
from streams.order.model.entities import Order
from streams.order.model.parts import Line
from streams.order.model.states import OrderState
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import OutcomeKind
from topics.records.verdicts import Verdict

SELLER: Final = BY_NAME["seller-cancellation"]
CUSTOMER: Final = BY_NAME["customer-cancellation"]
PACK: Final = BY_NAME["pack-order"]
_NOTED_CHARS = 255
"""Characters that the order's own list keeps of the lines of a cancellation."""


def seller_cancel(decision: Decision[Order]) -> Ruling:
    """Increff cancelled units: the total counts, and the customer's part of it where the call names it (contract 8)."""
    order, body = decision.entity, decision.event.body
    wrong = misplaced(order, body.get("locationCode")) or _unknown_item(order, body)
    if wrong is not None:
        return wrong
    if order.open_ended:
        _learn_totals(order, body)
    changes: list[tuple[Line, int, int]] = []
    for item in body["orderItems"]:
        line = _line(order, item)
        customer, total = _totals(line, item)
        ruling = _possible(line, total)
        if ruling is not None:
            refused_anew = ruling.verdict is Verdict.REFUSED and not decision.was_taken()
            if refused_anew and decision.report_unapplied(Verdict.REFUSED):
                # At Increff these units are cancelled, here they are packed: an operator has to look.
                units = {"refused": _units([(line, total)])}
                decision.fact("seller-cancellation-refused", {**order_context(order), **units})
            return ruling
        if (customer, total - customer) != (line.customer, line.seller):
            changes.append((line, customer, total - customer))
    if not changes:
        return DUPLICATE
    order.cancel_units(changes)
    decision.deliver(SELLER, with_location(order, body))
    decision.fact("seller-cancelled", *_about(order, changes))
    settle_order(decision)
    return APPLIED


def customer_cancel(decision: Decision[Order]) -> Ruling:
    """The customer cancels: Increff decides, once a Pack or another cancellation that is still out has its answer."""
    order, event = decision.entity, decision.event
    wanted = {item["orderItemCode"]: item["cancelledQuantity"] for item in event.body["orderItems"]}
    ruling = misplaced(order, event.body.get("locationCode")) or _unknown_item(order, event.body)
    ruling = ruling or _customer_ruling(order, wanted)
    if ruling is not None:
        return ruling
    key = _key(wanted)
    relay = order.relay(CUSTOMER.name, key)
    if relay is not None and not decision.is_overdue(relay):
        return decision.join_relay(relay)
    if any(one.touchpoint in (PACK.name, CUSTOMER.name) for one in decision.awaited()):
        return defer(decision, CUSTOMER.name)
    return decision.ask_far_side(CUSTOMER, with_location(order, event.body), key, data=wanted)


def customer_cancel_taken(decision: Decision[Order]) -> Ruling:
    """Increff took the customer's cancellation, so it has the order, even where it refused the Create."""
    order, relay = decision.entity, decision.pop_relay()
    if relay is None:
        return DUPLICATE
    if order.state == OrderState.REJECTED:
        revive_order(decision)
    changes: list[tuple[Line, int, int]] = []
    crossed: list[tuple[Line, int]] = []
    for code, quantity in relay.data.items():
        line = order.line(code)
        if line is None or quantity <= line.customer:
            continue
        if order.open_ended:
            learn_total(order, line, quantity + line.seller)
        room = line.ordered - line.packed - line.packing
        if room < line.ordered and quantity + line.seller > room:
            crossed.append((line, quantity + line.seller - room))
        customer = min(quantity, room)
        # A seller's total that came meanwhile may have counted the same units: no unit is cancelled twice.
        changes.append((line, customer, min(line.seller, room - customer)))
    order.cancel_units(changes)
    decision.pass_on(relay)
    if crossed:
        # Increff counts units as cancelled that are packed here, or out in a Pack.
        decision.fact("cancellation-crossed", {**order_context(order), "crossed": _units(crossed)})
    if changes:
        decision.fact("customer-cancelled", *_about(order, changes))
        settle_order(decision)
    return APPLIED


def customer_cancel_failed(decision: Decision[Order]) -> Ruling:
    """Increff refused the cancellation, or gave no answer: nothing is cancelled."""
    order, outcome = decision.entity, decision.outcome
    relay = decision.pop_relay()
    if relay is None:
        return DUPLICATE
    if outcome.kind is OutcomeKind.DEAD:
        # An operator may bring it back: then its success must still be applied.
        relay.dead = True
        order.relays.append(relay)
    decision.pass_on_failure(relay)
    if outcome.kind is OutcomeKind.REFUSED:
        status = {"status": outcome.status}
        decision.fact("cancellation-refused", {**order_context(order), **status}, status)
    return APPLIED


class Contended:
    """Units that customer cancellations, still out for their answer, would take of each line."""

    __slots__ = ("_asked", "_order")

    def __init__(self, decision: Decision[Order]) -> None:
        self._order = decision.entity
        self._asked: list[dict[str, int]] = [
            relay.data for relay in decision.awaited() if relay.touchpoint == CUSTOMER.name
        ]

    def units(self, line: Line) -> int:
        if not self._asked:
            return 0
        wanted = max((asked.get(line.code, 0) for asked in self._asked), default=0)
        return max(0, wanted - line.customer)


def _unknown_item(order: Order, body: dict[str, Any]) -> Ruling | None:
    """An item that the order does not have, or has of another SKU (contract 9: it is rejected)."""
    unknown = learn_items(order, body["orderItems"]) if order.open_ended else None
    if unknown is not None:
        return unknown
    by_code, lines = order.line_index.by_code, order.lines
    for item in body["orderItems"]:
        code, sku = item["orderItemCode"], item["channelSkuCode"]
        position = by_code.get(code)
        if position is None:
            return refused(f"order {order.code} has no orderItemCode {code}")
        line = lines[position]
        if line.sku != sku:
            return refused(f"orderItemCode {code} of order {order.code} has channelSkuCode {line.sku}, not {sku}")
    return None


def _learn_totals(order: Order, body: dict[str, Any]) -> None:
    for item in body["orderItems"]:
        learn_total(order, _line(order, item), item["cancelledQuantity"])


def _line(order: Order, item: dict[str, Any]) -> Line:
    """The line of an item that the order is known to have."""
    return order.lines[order.line_index.by_code[item["orderItemCode"]]]


def _customers(item: dict[str, Any]) -> int | None:
    """The customer's part of a seller's total, where it is said: both parts make the total (contract 8)."""
    if item.get("customerCancelledQty") is not None:
        return int(item["customerCancelledQty"])
    if item.get("sellerCancelledQty") is not None:
        return max(0, int(item["cancelledQuantity"]) - int(item["sellerCancelledQty"]))
    return None


def _customer_ruling(order: Order, wanted: dict[str, int]) -> Ruling | None:
    """The ruling that needs no answer of Increff; None when Increff has to be asked."""
    news = False
    for code, quantity in wanted.items():
        line = order.lines[order.line_index.by_code[code]]
        if quantity <= line.customer:
            continue
        if quantity > line.ordered - line.packed - line.seller and not order.open_ended:
            return refused(_too_many(line, quantity))
        news = True
    return None if news else Ruling(Verdict.DUPLICATE, status=200)


def _totals(line: Line, item: dict[str, Any]) -> tuple[int, int]:
    """The customer's part and the total after a seller's call.

    The call carries what Increff knew at the time: a customer's cancellation that Increff took since is not in its
    total, so each side's part counts by itself. Where the call names no parts, all units that are not known as the
    customer's are the seller's. The total never goes back, and units that both sides cancelled count once, as the
    customer's.
    """
    total: int = item["cancelledQuantity"]
    said = _customers(item)
    customer = max(line.customer, min(total, said or 0))
    theirs = line.customer if said is None else said
    return customer, max(line.cancelled, total, min(customer + total - theirs, line.ordered))


def _possible(line: Line, total: int) -> Ruling | None:
    """Whether so many units of a line can be cancelled by the seller; None when they can."""
    if total <= line.cancelled:
        return None
    if total > line.ordered - line.packed:
        return refused(_too_many(line, total))
    if total > line.ordered - line.packed - line.packing:
        return failed(f"units of orderItemCode {line.code} are in a Pack that is out for an answer; repeat later")
    return None


def _too_many(line: Line, quantity: int) -> str:
    return (
        f"{quantity} of orderItemCode {line.code} cannot be cancelled: {line.ordered} ordered, {line.packed} packed, "
        f"{line.customer} cancelled by the customer, {line.seller} by the seller"
    )


def _key(wanted: dict[str, int]) -> str:
    return ",".join(f"{code}={quantity}" for code, quantity in sorted(wanted.items()))


def cancelled_units(changes: list[tuple[Line, int, int]]) -> list[dict[str, Any]]:
    return [
        {
            "orderItemCode": line.code,
            "channelSkuCode": line.sku,
            "customerCancelled": customer,
            "sellerCancelled": seller,
        }
        for line, customer, seller in changes
    ]


def _units(lines: list[tuple[Line, int]]) -> list[dict[str, Any]]:
    return [{"orderItemCode": line.code, "channelSkuCode": line.sku, "quantity": quantity} for line, quantity in lines]


def _about(order: Order, changes: list[tuple[Line, int, int]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The members of a cancellation's fact, and the part of them that the order's own list keeps."""
    data = {**order_context(order), "cancelled": cancelled_units(changes)}
    items = ", ".join(f"{line.code}: {customer + seller}" for line, customer, seller in changes[:_NOTED_CHARS])
    return data, {"items": items[:_NOTED_CHARS]}
