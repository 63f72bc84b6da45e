"""Calls that are decided once a Pack or a cancellation of the same order has its answer.

A customer's cancellation must not cross a Pack at the far side, and a label or an invoice needs the answer of its Pack.
Each such call waits within its caller's deadline.
"""

from __future__ import annotations

from typing import Final

from streams.order.model import limits
from streams.order.model.decision import PENDING, Decision, Ruling, failed
from streams.order.model.entities import Order
from streams.order.model.events import Event, EventKind
from streams.order.model.parts import DeferredCall
from streams.order.model.refusals import refusal_of
from topics.contract.touchpoints import BY_NAME

NOT_IN_TIME = "the answer that this call waits for did not come in time; a repeat is safe"

RESUMING: Final = frozenset(
    {
        EventKind.PACK_TAKEN,
        EventKind.PACK_FAILED,
        EventKind.CUSTOMER_CANCEL_TAKEN,
        EventKind.CUSTOMER_CANCEL_FAILED,
    }
)
"""After each of these all deferred calls are decided again."""


def defer(decision: Decision[Order], touchpoint: str) -> Ruling:
    """The event is decided once the answer is in; its caller waits until then."""
    order, event = decision.entity, decision.event
    if len(order.deferred) >= limits.DEFERRED_MAX:
        return failed("too many callers wait for an answer about this order; repeat later")
    deadline_ms = event.deadline_ms or decision.now_ms
    order.deferred.append(DeferredCall(event.id, event.reply_to, deadline_ms, event.kept_body, touchpoint))
    return PENDING


def known_deferred(order: Order, event: Event, now_ms: int) -> Ruling | None:
    """The ruling on an event that is deferred under its very id: its record was produced twice."""
    found = any(one.event == event.id and one.deadline_ms > now_ms for one in order.deferred)
    return PENDING if found else None


def resumed_call(decision: Decision[Order], call: DeferredCall) -> Decision[Order]:
    """The decision on a deferred call, made again."""
    return decision.resume(call.event, call.touchpoint, call.body, reply_to=call.reply_to, deadline_ms=call.deadline_ms)


def expire_deferred(decision: Decision[Order]) -> None:
    """Answer the callers whose deadline has passed: they have to call again."""
    order, now_ms = decision.entity, decision.now_ms
    for call in order.deferred:
        if call.deadline_ms <= now_ms:
            decision.reply(call.event, call.reply_to, failed(NOT_IN_TIME))
            decision.effects += refusal_of(call.event, call.reply_to, BY_NAME.get(call.touchpoint), failed(NOT_IN_TIME))
    order.deferred = [call for call in order.deferred if call.deadline_ms > now_ms]
