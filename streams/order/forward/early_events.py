"""Events that came before what they are about: kept in the order's state, applied when it comes, or ended by a fact.

An order that nobody has created yet, but that has parked events, is EXPECTED: no order yet, and gone with the last of
them. Its facts are numbered like any other's, and go on when a Create makes it real.
"""

from __future__ import annotations

import orjson

from streams.order.forward.progress import order_context
from streams.order.model import limits
from streams.order.model.decision import AnswerLookup, Decision, Ruling, early
from streams.order.model.entities import Order
from streams.order.model.events import OUTCOMES, Event, EventKind
from streams.order.model.parts import EarlyEvent
from streams.order.model.states import OrderState
from topics.records.envelope import iso_time
from topics.records.verdicts import Verdict

MAY_COME_EARLY = (
    EventKind.ACKNOWLEDGE,
    EventKind.HANDOVER,
    EventKind.SELLER_CANCEL,
    EventKind.SHIPMENT_MANIFESTED,
)
"""What happened all the same, so that its forerunner must be on its way. What asks for something is refused instead."""

MAY_APPLY_EARLY = OUTCOMES | {EventKind.CREATE}
"""What parked events wait for: a Create, a Pack that is taken, and room for a request, which any outcome may make."""


def expect_order(event: Event, now_ms: int, lookup: AnswerLookup) -> tuple[Decision[Order], Ruling] | None:
    """The first event of an order that is not known. None when it is not to be kept."""
    if event.unknown_orders == "refuse" or _size(event) > limits.EARLY_BYTES_MAX:
        return None
    order = Order(
        channel=event.channel, code=event.code, state=OrderState.EXPECTED, created_ms=now_ms, updated_ms=now_ms
    )
    decision = Decision(order, event, now_ms, lookup)
    return decision, keep_early(decision, order_not_known(decision))


def order_not_known(decision: Decision[Order]) -> Ruling:
    return early(f"order {decision.entity.code} is not known")


def keep_early(decision: Decision[Order], ruling: Ruling) -> Ruling:
    """Park the event of an EARLY ruling, if there is room: its caller is told until when."""
    order, event = decision.entity, decision.event
    if order.state != OrderState.EXPECTED and not any(line.open for line in order.lines):
        return ruling  # no Pack can follow
    known_early = next((one for one in order.early if one.kind == event.kind and one.body == event.body), None)
    if known_early is not None:
        return _kept_ruling(ruling.message, known_early)
    size = _size(event) + sum(one.size for one in order.early)
    if len(order.early) >= limits.EARLY_EVENTS_MAX or size > limits.EARLY_BYTES_MAX:
        return early(f"{ruling.message}; not kept, because {len(order.early)} events of this order wait already")
    touchpoint = event.touchpoint.name if event.touchpoint is not None else ""
    until_ms = decision.now_ms + limits.EARLY_KEPT_MS
    parked = EarlyEvent(event.id, event.kind, touchpoint, event.body, until_ms, _size(event), event.offered)
    order.early.append(parked)
    decision.fact("event-parked", {**order_context(order), **_about(parked)}, _noted(parked))
    return _kept_ruling(ruling.message, parked)


def known_early(order: Order, event: Event) -> Ruling | None:
    """The ruling of an event that is parked under its very id: its record was produced twice."""
    for parked in order.early:
        if parked.event == event.id:
            return _kept_ruling(f"order {order.code} still waits for what comes before this", parked)
    return None


def resumed_event(decision: Decision[Order], parked: EarlyEvent) -> Decision[Order]:
    """The turn of the event as it came. Nobody waits for its verdict any more."""
    return decision.resumed(
        parked.event, parked.touchpoint, parked.body, kind=EventKind(parked.kind), offered=parked.offered
    )


def close_early(decision: Decision[Order], parked: EarlyEvent, ruling: Ruling) -> None:
    """A parked event was decided at last, in a turn of its own."""
    order = decision.entity
    order.early.remove(parked)
    decision.remember(ruling)
    if ruling.verdict is not None and not ruling.verdict.succeeded:
        # Why may be in a far side's words: they are for the order's own list, not for every reader of facts.
        reason = {"reason": ruling.message[: limits.MESSAGE_MAX]}
        said = {**order_context(order), **_about(parked), "verdict": ruling.verdict.value}
        decision.fact("event-refused", said, {**_noted(parked), **reason})


def expire_early(decision: Decision[Order]) -> None:
    """End what waited in vain. Each is a fact, because its caller may have been told that it is kept."""
    order = decision.entity
    if next_expiry_ms(order) > decision.now_ms:
        return
    over = [parked for parked in order.early if parked.until_ms <= decision.now_ms]
    order.early = [parked for parked in order.early if parked.until_ms > decision.now_ms]
    for parked in over:
        decision.fact("event-expired", {**order_context(order), **_about(parked)}, _noted(parked))


def next_expiry_ms(order: Order) -> int:
    """When the first parked event is over; 0 when none is parked."""
    return min((parked.until_ms for parked in order.early), default=0)


def is_nothing_left(order: Order) -> bool:
    """Whether nothing is left of an order that was only expected."""
    return order.state == OrderState.EXPECTED and not order.early


def _kept_ruling(message: str, parked: EarlyEvent) -> Ruling:
    until = iso_time(parked.until_ms)
    return Ruling(Verdict.EARLY, f"{message}; kept until {until} and applied as soon as it can be", kept=True)


def _size(event: Event) -> int:
    return len(orjson.dumps(event.body))


def _about(parked: EarlyEvent) -> dict[str, object]:
    return {"eventId": parked.event, "event": parked.kind, "untilMs": parked.until_ms}


def _noted(parked: EarlyEvent) -> dict[str, object]:
    return {"event": parked.kind}
