"""`decide`: one event and an entity make a verdict, the new state and effects. No clock, no I/O, no chance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from streams.order.forward import adopt, create, deferred_calls, early_events, fulfilment_type, shipments
from streams.order.forward.progress import order_context
from streams.order.machine import watchdog
from streams.order.machine.outcomes import entity_context, note_outcome
from streams.order.machine.resubmit import preview
from streams.order.machine.transitions import MAKERS, TABLES, absent
from streams.order.model import limits
from streams.order.model.canonical import id_digest
from streams.order.model.decision import (
    DUPLICATE,
    NO_ROOM,
    PASSING,
    REFUSALS,
    AnswerLookup,
    Decision,
    NoRoomError,
    Ruling,
    failed,
    refused,
    reply_of,
)
from streams.order.model.effects import Effect
from streams.order.model.entities import Order, Return
from streams.order.model.entity import Entity
from streams.order.model.events import OUTCOMES, Event, EventKind
from streams.order.model.refusals import refusal_of
from streams.order.model.states import NOT_ADMITTED, OrderState
from streams.order.records.document import document
from streams.order.returns import claims, returns
from streams.order.storage.encoding import copy_entity
from topics.contract.definition import Mode
from topics.records.verdicts import Verdict


class Decided:
    """A finished decision. `entity` is the new state (None: still unknown), `changed` whether it differs from the old.

    `verdict` None: the caller's answer comes later, with the far side's. `gone`: `entity` was its last state, which is
    not kept; the next event under its key finds it unknown. `kept`: EARLY, and the event is kept.
    """

    __slots__ = ("changed", "effects", "entity", "gone", "kept", "message", "verdict")

    def __init__(
        self,
        entity: Entity | None,
        verdict: Verdict | None,
        message: str,
        effects: list[Effect],
        *,
        changed: bool,
        gone: bool = False,
        kept: bool = False,
    ) -> None:
        self.entity = entity
        self.verdict = verdict
        self.message = message
        self.effects = effects
        self.changed = changed
        self.gone = gone
        self.kept = kept


def nothing_recorded(_key: bytes) -> tuple[int | None, Any] | None:
    """No answers are recorded."""
    return None


def decide(entity: Entity | None, event: Event, now_ms: int, lookup: AnswerLookup = nothing_recorded) -> Decided:
    """Decide one event. `entity` is left as it is."""
    copy = copy_entity(entity) if entity is not None else None
    decided = advance(copy, event, now_ms, lookup)
    if not decided.changed:
        decided.entity = entity
    return decided


def advance(entity: Entity | None, event: Event, now_ms: int, lookup: AnswerLookup) -> Decided:
    """As `decide`, for callers that own `entity`: it becomes the new state, and is of no use if nothing changed."""
    if event.kind is EventKind.QUERY:
        ruling = Ruling(Verdict.ANSWERED, body=document(entity) if entity is not None else None)
        return _unchanged(entity, event, ruling)
    if event.kind is EventKind.RESUBMIT and event.body["dryRun"]:
        return _unchanged(entity, event, preview(entity, event, now_ms))
    if entity is None:
        return _decide_first(event, now_ms, lookup)
    known = _known(entity, event, now_ms)
    if known is not None:
        return _unchanged(entity, event, known, is_noted=True)
    decision: Decision[Any] = Decision(entity, event, now_ms, lookup)
    if event.kind is EventKind.TICK:
        return _decide_tick(decision)
    if isinstance(entity, Order):
        _expire(decision)
        if entity.state == OrderState.EXPECTED and adopt.is_adoptable(event):
            # The channel's policy was changed while early events were kept.
            adopt.begin_adopted(decision)
            _decide_early(decision)
    try:
        if event.outcome is not None and not note_outcome(decision):
            return _nothing_new(decision)
        ruling = _rule(decision)
    except NoRoomError:
        return _unchanged(entity, event, failed(NO_ROOM))
    return _finished(decision, ruling)


def _decide_tick(decision: Decision[Any]) -> Decided:
    """Time has passed: what is over ends, and waits that are too long are reported. Repeated, it changes nothing."""
    entity, before_ms = decision.entity, decision.entity.due_ms
    if isinstance(entity, Order):
        _expire(decision)
    elif isinstance(entity, Return):
        returns.remind_forward_order(decision)
    gone = watchdog.is_forgotten(decision) or (isinstance(entity, Order) and early_events.is_nothing_left(entity))
    _close(decision, gone=gone)
    changed = gone or bool(decision.effects) or entity.due_ms != before_ms
    return Decided(entity, Verdict.APPLIED, "", decision.effects, changed=changed, gone=gone)


def _decide_first(event: Event, now_ms: int, lookup: AnswerLookup) -> Decided:
    """Decide an event of an entity that is not known."""
    if event.kind is EventKind.RETURN_CLAIMED and not adopt.is_adoptable(event):
        answer = claims.answer_for_unknown(event)
        return Decided(None, Verdict.EARLY, "", [answer] if answer is not None else [], changed=False)
    ruling = _switched_off(event)
    if ruling is None and event.kind in MAKERS:
        made = MAKERS[event.kind][1](event, now_ms, lookup)
        if made is not None:
            decision, made_ruling = made
            return _finished(decision, made_ruling or _look_up(decision))
    return _unchanged(None, event, ruling or absent(None, event))


def _rule(decision: Decision[Any]) -> Ruling:
    """The ruling of the table on an event of a known entity, and what follows from the event."""
    event = decision.event
    ruling = _switched_off(event)
    if ruling is not None:
        return ruling
    ruling = _no_room(decision) or _look_up(decision)
    if _is_early(decision, ruling):
        return early_events.keep_early(decision, ruling)
    if isinstance(decision.entity, Order):
        _go_on(decision)
    return ruling


def _is_early(decision: Decision[Any], ruling: Ruling) -> bool:
    event, order = decision.event, decision.entity
    if ruling.verdict is Verdict.EARLY:
        return event.kind in early_events.MAY_COME_EARLY
    is_applied = ruling.verdict is None or ruling.verdict.succeeded
    return not is_applied and isinstance(order, Order) and bool(order.early) and early_events.is_kept(order, event)


def _look_up(decision: Decision[Any]) -> Ruling:
    """The ruling of the table's cell. A call that was taken is not refused when it comes again: see `remember`."""
    entity, event = decision.entity, decision.event
    cell = TABLES[entity.KIND].get((entity.state, event.kind))
    ruling = cell.handler(decision) if cell is not None else absent(entity, event)
    return DUPLICATE if ruling.verdict in REFUSALS and _was_taken(decision) else ruling


def _was_taken(decision: Decision[Any]) -> bool:
    """Whether a call that would be refused now was taken before."""
    known = _ONCE.get(decision.event.kind) if isinstance(decision.entity, Order) else None
    return known(decision) if known is not None else decision.was_taken()


_ONCE: Final[dict[EventKind, Callable[[Decision[Any]], bool]]] = {
    EventKind.ACKNOWLEDGE: create.is_acknowledged,
    EventKind.HANDOVER: shipments.is_handed_over,
}
"""Calls whose effect stays, so that a repeat is known by it."""


def _no_room(decision: Decision[Any]) -> Ruling | None:
    """The ruling on a call that cannot be refused, and whose request has no room; None when it may be decided.

    Found out on a copy: a fact has to report it, and after NoRoomError nothing of a decision counts.
    """
    event, entity = decision.event, decision.entity
    if not event.is_unrefusable or not event.offered or entity.has_room():
        return None
    try:
        _look_up(Decision(copy_entity(entity), event, decision.now_ms, decision.lookup))
    except NoRoomError:
        return failed(NO_ROOM)
    return None


def _report_unapplied(decision: Decision[Any], ruling: Ruling) -> None:
    """Publish a fact about a call that may have been answered with success before its verdict, which is none.

    Its caller goes by the success, so what this side has differs from what that one has. Once for each content.
    """
    event, order, verdict = decision.event, decision.entity, ruling.verdict
    if not event.is_unrefusable or event.touchpoint is None or verdict is None or verdict.succeeded or ruling.kept:
        return
    if isinstance(order, Order) and decision.report_unapplied(verdict):
        noted = {"touchpoint": event.touchpoint.name, "verdict": verdict.value}
        # The reason may be in a far side's words: it is for the order's own list, not for every reader of facts.
        reason = {"reason": ruling.message[: limits.MESSAGE_MAX]}
        decision.fact("call-not-applied", {**order_context(order), **noted, "eventId": event.id}, {**noted, **reason})


def _expire(decision: Decision[Order]) -> None:
    if decision.entity.deferred:
        deferred_calls.expire_deferred(decision)
    if decision.entity.early:
        early_events.expire_early(decision)


def _go_on(decision: Decision[Order]) -> None:
    """Follow up an event: close the rest of the order, then decide early events, then deferred calls."""
    order, kind = decision.entity, decision.event.kind
    if kind in OUTCOMES:
        fulfilment_type.close_rest(decision)
    if order.early and kind in early_events.APPLYING and order.state != OrderState.REJECTED:
        _decide_early(decision)
    if order.deferred and kind in deferred_calls.RESUMING:
        calls, order.deferred = order.deferred, []
        for call in calls:
            inner = deferred_calls.resumed_call(decision, call)
            ruling = _look_up(inner)
            if not _has_recorded_answer(inner.event, ruling.verdict):
                inner.remember(ruling)
            inner.reply(call.event, call.reply_to, ruling)
            inner.effects += refusal_of(call.event, call.reply_to, inner.event.touchpoint, ruling)


def _decide_early(decision: Decision[Order]) -> None:
    order = decision.entity
    for kept in list(order.early):
        inner = early_events.resumed_event(decision, kept)
        # An event makes one request at most. Without room for it, the event stays.
        ruling = _look_up(inner) if order.has_room() else failed(NO_ROOM)
        if ruling.verdict not in PASSING:
            early_events.close_early(inner, kept, ruling)


def _finished(decision: Decision[Any], ruling: Ruling) -> Decided:
    event, entity = decision.event, decision.entity
    if event.outcome is None and not ruling.kept and not _has_recorded_answer(event, ruling.verdict):
        decision.remember(ruling)
    _report_unapplied(decision, ruling)
    decision.reply(event.id, event.reply_to, ruling)
    decision.effects += refusal_of(event.id, event.reply_to, event.touchpoint, ruling)
    entity.updated_ms = decision.now_ms
    gone = isinstance(entity, Order) and early_events.is_nothing_left(entity)
    _close(decision, gone=gone)
    return Decided(entity, ruling.verdict, ruling.message, decision.effects, changed=True, gone=gone, kept=ruling.kept)


def _close(decision: Decision[Any], *, gone: bool) -> None:
    """Review what the entity waits for now; the last fact of one that is gone says so."""
    if gone:
        decision.fact("order-forgotten", entity_context(decision.entity))
    else:
        watchdog.review(decision)


def _nothing_new(decision: Decision[Any]) -> Decided:
    """An outcome that was noted before."""
    if decision.effects:
        watchdog.review(decision)
    changed = bool(decision.effects) or decision.listed
    return Decided(decision.entity, Verdict.DUPLICATE, "", decision.effects, changed=changed)


def _unchanged(entity: Entity | None, event: Event, ruling: Ruling, *, is_noted: bool = False) -> Decided:
    """`is_noted`: the verdict is the one that this very event got before."""
    reply = reply_of(event.id, event.reply_to, ruling)
    effects: list[Effect] = [] if reply is None else [reply]
    if not is_noted:
        effects += refusal_of(event.id, event.reply_to, event.touchpoint, ruling)
    return Decided(entity, ruling.verdict, ruling.message, effects, changed=False, kept=ruling.kept)


def _known(entity: Entity, event: Event, now_ms: int) -> Ruling | None:
    """The verdict this very event got before: its record was produced twice, or decided before a crash.

    A relay that succeeded is not looked up here: its repeat gets the recorded answer.
    """
    if event.outcome is not None:
        return None
    if isinstance(entity, Order) and (entity.early or entity.deferred):
        known = early_events.known_early(entity, event) or deferred_calls.known_deferred(entity, event, now_ms)
        if known is not None:
            return known
    digest = id_digest(event.id)
    for entry in entity.seen:
        if entry[0] == digest:
            verdict = Verdict(entry[1])
            if verdict is Verdict.REFUSED and _was_taken_since(entity, event):
                return None
            if not _has_recorded_answer(event, verdict):
                return Ruling(verdict, entry[2])
    return None


def _was_taken_since(entity: Entity, event: Event) -> bool:
    """Whether a Create that was refused is that of an order or return which the far side has after all."""
    if event.touchpoint is None or event.kind not in (EventKind.CREATE, EventKind.CREATE_RETURN):
        return False
    ended = entity.state == OrderState.REJECTED or entity.state in NOT_ADMITTED
    return not ended and event.has_payload(entity.digest, event.touchpoint.request)


def _has_recorded_answer(event: Event, verdict: Verdict | None) -> bool:
    return verdict is Verdict.DUPLICATE and _relayed(event)


def _switched_off(event: Event) -> Ruling | None:
    """The refusal of a relay whose far side is switched off. A notification is recorded all the same, and not sent."""
    if event.offered or event.touchpoint is None or not _relayed(event):
        return None
    return refused(f"{event.touchpoint.name} is switched off for channel {event.channel}")


def _relayed(event: Event) -> bool:
    return event.touchpoint is not None and event.touchpoint.mode is Mode.RELAY
