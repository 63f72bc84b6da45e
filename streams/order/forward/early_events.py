"""Events that came before what they depend on: kept in the order's state, applied when that comes, or ended by a fact.

An order that has early events and no Create is EXPECTED: it is no order yet, and is forgotten with its last early
event. Its facts are numbered like any other's, and the count goes on when a Create makes it a real order.
"""

from __future__ import annotations

from typing import Any

from streams.order.forward.progress import order_context
from streams.order.model import limits
from streams.order.model.decision import AnswerLookup, Decision, Ruling, early, first_decision
from streams.order.model.entities import Order
from streams.order.model.events import OUTCOMES, Event, EventKind, kept_members
from streams.order.model.meaning import mean_the_same
from streams.order.model.parts import EarlyEvent
from streams.order.model.states import OrderState
from topics.records.envelope import iso_time
from topics.records.json_text import write
from topics.records.verdicts import Verdict

MAY_COME_EARLY: tuple[EventKind, ...] = (
    EventKind.ACKNOWLEDGE,
    EventKind.HANDOVER,
    EventKind.SELLER_CANCEL,
    EventKind.SHIPMENT_MANIFESTED,
)
"""Events that report what has happened, so that their forerunner must be on its way. Events that ask for something are
refused instead."""

APPLYING = OUTCOMES | {EventKind.CREATE, EventKind.RESUBMIT}
"""After each of these all early events are decided again: a Create or a Pack's answer may have come, and any outcome
may have made room for a request."""


def expect_order(event: Event, now_ms: int, lookup: AnswerLookup) -> tuple[Decision[Order], Ruling] | None:
    """Keep the first event of an order that is not known. None when it is not to be kept."""
    if event.unknown_orders == "refuse" or _size(event) > limits.EARLY_BYTES_MAX:
        return None
    decision = first_decision(Order, OrderState.EXPECTED, event, now_ms, lookup)
    return decision, keep_early(decision, order_not_known(decision))


def order_not_known(decision: Decision[Order]) -> Ruling:
    return early(f"order {decision.entity.code} is not known")


def keep_early(decision: Decision[Order], ruling: Ruling) -> Ruling:
    """Keep the event of an EARLY ruling, if there is room; its caller learns until when."""
    order, event = decision.entity, decision.event
    same = _same(order, event)
    if same is not None:
        return _kept_ruling(ruling.message, same)
    if order.state != OrderState.EXPECTED and not order.line_index.open:
        return ruling  # no Pack can follow
    size = _size(event)
    if (
        len(order.early) >= limits.EARLY_EVENTS_MAX
        or size + sum(one.size for one in order.early) > limits.EARLY_BYTES_MAX
    ):
        return early(f"{ruling.message}; not kept, because {len(order.early)} events of this order wait already")
    touchpoint = event.touchpoint.name if event.touchpoint is not None else ""
    until_ms = decision.now_ms + limits.EARLY_KEPT_MS
    kept = EarlyEvent(event.id, event.kind, touchpoint, event.kept_body, until_ms, size, event.offered)
    order.early.append(kept)
    decision.fact("event-parked", _about(order, kept), {"event": kept.kind})
    return _kept_ruling(ruling.message, kept)


def is_kept(order: Order, event: Event) -> bool:
    """Whether the same call is kept, under whatever id: it may still be applied, so a repeat of it is not refused."""
    return event.kind in MAY_COME_EARLY and _same(order, event) is not None


def known_early(order: Order, event: Event) -> Ruling | None:
    """The ruling on an event that is kept under its very id: its record was produced twice."""
    for kept in order.early:
        if kept.event == event.id:
            return _kept_ruling(f"order {order.code} still waits for the event that comes before this", kept)
    return None


def resumed_event(decision: Decision[Order], kept: EarlyEvent) -> Decision[Order]:
    """The decision on an early event, as it came. Its caller does not wait for the verdict any more."""
    return decision.resume(kept.event, kept.touchpoint, kept.body, kind=kept.kind, offered=kept.offered)


def close_early(decision: Decision[Order], kept: EarlyEvent, ruling: Ruling) -> None:
    """An early event was decided at last, by this decision of its own."""
    order = decision.entity
    order.early.remove(kept)
    decision.remember(ruling)
    if ruling.verdict is not None and not ruling.verdict.succeeded:
        # The reason may be in a far side's words: it is for the order's own list, not for every reader of facts.
        noted = {"event": kept.kind, "reason": ruling.message[: limits.MESSAGE_MAX]}
        decision.fact("event-refused", {**_about(order, kept), "verdict": ruling.verdict.value}, noted)
        if decision.event.is_unrefusable:
            decision.report_unapplied(ruling.verdict)  # a repeat of the call needs no other fact


def expire_early(decision: Decision[Order]) -> None:
    """End early events whose time is over. Each is a fact, because its caller may have been told that it is kept."""
    order = decision.entity
    if next_expiry_ms(order) > decision.now_ms:
        return
    over = [kept for kept in order.early if kept.until_ms <= decision.now_ms]
    order.early = [kept for kept in order.early if kept.until_ms > decision.now_ms]
    for kept in over:
        decision.fact("event-expired", _about(order, kept), {"event": kept.kind})


def next_expiry_ms(order: Order) -> int:
    """When the next early event expires; 0 when there is none."""
    return min((kept.until_ms for kept in order.early), default=0)


def is_nothing_left(order: Order) -> bool:
    """Whether an order was only expected, and its last early event is gone."""
    return order.state == OrderState.EXPECTED and not order.early


def _kept_ruling(message: str, kept: EarlyEvent) -> Ruling:
    until = iso_time(kept.until_ms)
    return Ruling(Verdict.EARLY, f"{message}; kept until {until} and applied as soon as it can be", kept=True)


def _same(order: Order, event: Event) -> EarlyEvent | None:
    return next((one for one in order.early if one.kind == event.kind and _says_the_same(event, one)), None)


def _says_the_same(event: Event, kept: EarlyEvent) -> bool:
    body = kept_members(kept.touchpoint, kept.body)
    if event.touchpoint is None:
        return event.body == body
    return mean_the_same(event.touchpoint.request, event.body, body)


def _size(event: Event) -> int:
    return len(write(event.kept_body))


def _about(order: Order, kept: EarlyEvent) -> dict[str, Any]:
    return {**order_context(order), "eventId": kept.event, "event": kept.kind, "untilMs": kept.until_ms}
