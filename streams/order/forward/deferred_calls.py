"""Callers whose call can be decided once a Pack or a cancellation that is out for its answer has it.

They wait inside their own deadline: a customer cancellation that must not cross a Pack at the far side, a label or an
invoice whose Pack is about to be answered.
"""

from __future__ import annotations

from streams.order.model import limits
from streams.order.model.decision import PENDING, Decision, Ruling, failed
from streams.order.model.entities import Order
from streams.order.model.events import Event, EventKind
from streams.order.model.parts import DeferredCall

NOT_IN_TIME = "what this order waits for did not end in time; a repeat is safe"

MAY_RESUME = frozenset(
    {
        EventKind.PACK_TAKEN,
        EventKind.PACK_FAILED,
        EventKind.CUSTOMER_CANCEL_TAKEN,
        EventKind.CUSTOMER_CANCEL_FAILED,
    }
)
"""What callers wait for: after each of these all of them are decided again."""


def defer(decision: Decision[Order], touchpoint: str) -> Ruling:
    """The event's caller waits until the answer is in."""
    order, event = decision.entity, decision.event
    if len(order.deferred) >= limits.DEFERRED_MAX:
        return failed("too many callers wait for an answer about this order; repeat later")
    deadline_ms = event.deadline_ms or decision.now_ms
    order.deferred.append(DeferredCall(event.id, event.reply_to, deadline_ms, event.body, touchpoint))
    return PENDING


def known_deferred(order: Order, event: Event, now_ms: int) -> Ruling | None:
    """The ruling of an event that waits under its very id: its record was produced twice."""
    found = any(one.event == event.id and one.deadline_ms > now_ms for one in order.deferred)
    return PENDING if found else None


def resumed_call(decision: Decision[Order], waiting: DeferredCall) -> Decision[Order]:
    """The turn of the caller's event, which is decided again."""
    return decision.resumed(
        waiting.event,
        waiting.touchpoint,
        waiting.body,
        reply_to=waiting.reply_to,
        deadline_ms=waiting.deadline_ms,
    )


def expire_deferred(decision: Decision[Order]) -> None:
    """Callers that are gone by now: whatever they wait for, they will have to ask again."""
    order = decision.entity
    if not order.deferred or all(defer.deadline_ms > decision.now_ms for defer in order.deferred):
        return
    for waiting in order.deferred:
        if waiting.deadline_ms <= decision.now_ms:
            decision.reply(waiting.event, waiting.reply_to, failed(NOT_IN_TIME))
    order.deferred = [waiting for waiting in order.deferred if waiting.deadline_ms > decision.now_ms]
