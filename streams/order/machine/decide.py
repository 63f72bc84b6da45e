"""`decide`: one event and what is known make a verdict, the new state and effects. No clock, no I/O, no chance."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from streams.order.forward import adopt, deferred_calls, early_events, fulfilment_type
from streams.order.machine import watchdog
from streams.order.machine.outcomes import entity_context, note_outcome
from streams.order.machine.transitions import MAKERS, TABLES, absent
from streams.order.model.canonical import id_digest
from streams.order.model.decision import NO_ROOM, PASSING, AnswerLookup, Decision, NoRoomError, Ruling, failed, refused
from streams.order.model.effects import Effect, ReplyTo
from streams.order.model.entities import Entity, Order, Return
from streams.order.model.events import OUTCOMES, Event, EventKind
from streams.order.model.states import OrderState
from streams.order.records.document import document
from streams.order.returns import claims, returns
from topics.contract.definition import Mode
from topics.records.verdicts import Reply, Verdict
from topics.values import value


@value
class Decided:
    """`entity` is the new state (None: still unknown), `changed` whether it differs from the old one.

    `verdict` None: the caller's answer comes later, with the far side's. `gone`: `entity` was its last state, which is
    not kept; whatever comes under its key afterwards finds it unknown. `kept`: EARLY, and the event is parked.
    """

    entity: Entity | None
    verdict: Verdict | None
    message: str
    effects: list[Effect]
    changed: bool
    gone: bool = False
    kept: bool = False


def nothing_recorded(_key: bytes) -> tuple[int | None, Any] | None:
    """No answers are recorded."""
    return None


def decide(entity: Entity | None, event: Event, now_ms: int, lookup: AnswerLookup = nothing_recorded) -> Decided:
    """Decide one event. `entity` is left as it is."""
    decided = advance(copy.deepcopy(entity), event, now_ms, lookup)
    return decided if decided.changed else replace(decided, entity=entity)


def advance(entity: Entity | None, event: Event, now_ms: int, lookup: AnswerLookup) -> Decided:
    """As `decide`, for callers that own `entity`: it becomes the new state, and is of no use if nothing changed."""
    if event.kind is EventKind.QUERY:
        return _answer(entity, event)
    if entity is None:
        return _first(event, now_ms, lookup)
    known = _known(entity, event, now_ms)
    if known is not None:
        return _unchanged(entity, event, known)
    decision: Decision[Any] = Decision(entity, event, now_ms, lookup)
    if event.kind is EventKind.TICK:
        return _tick(decision)
    if isinstance(entity, Order):
        deferred_calls.expire_deferred(decision)
        early_events.expire_early(decision)
        if entity.state == OrderState.EXPECTED and adopt.is_adoptable(event):
            # The channel's policy was changed while events of it were parked.
            adopt.begin_adopted(decision)
            _decide_parked(decision)
    try:
        ruling = _rule(decision)
    except NoRoomError:
        return _unchanged(entity, event, failed(NO_ROOM))
    if ruling is None:
        if decision.effects:
            watchdog.review(decision)
        return Decided(
            entity, Verdict.DUPLICATE, "", decision.effects, changed=bool(decision.effects) or decision.listed
        )
    return _decided(decision, ruling)


def _tick(decision: Decision[Any]) -> Decided:
    """Time has passed: what is over ends, what waits too long is said. Done again, it changes nothing."""
    entity, before_ms = decision.entity, decision.entity.due_ms
    if isinstance(entity, Order):
        deferred_calls.expire_deferred(decision)
        early_events.expire_early(decision)
    elif isinstance(entity, Return):
        returns.remind_forward_order(decision)
    gone = watchdog.is_forgotten(decision) or (isinstance(entity, Order) and early_events.is_nothing_left(entity))
    if gone:
        decision.fact("order-forgotten", entity_context(entity))
    else:
        watchdog.review(decision)
    changed = gone or bool(decision.effects) or entity.due_ms != before_ms
    return Decided(entity, Verdict.APPLIED, "", decision.effects, changed=changed, gone=gone)


def _first(event: Event, now_ms: int, lookup: AnswerLookup) -> Decided:
    """The entity is not known."""
    if event.kind is EventKind.RETURN_CLAIMED and not adopt.is_adoptable(event):
        answer = claims.answer_for_unknown(event)
        return Decided(None, Verdict.EARLY, "", [answer] if answer is not None else [], changed=False)
    ruling = _switched_off(event)
    if ruling is None and event.kind in MAKERS:
        made = MAKERS[event.kind][1](event, now_ms, lookup)
        if made is not None:
            decision, made_ruling = made
            return _decided(decision, made_ruling or _look_up(decision))
    return _unchanged(None, event, ruling or absent(None, event))


def _rule(decision: Decision[Any]) -> Ruling | None:
    """What the table says; None for an outcome that was noted before."""
    entity, event = decision.entity, decision.event
    if (event.kind in OUTCOMES or event.kind is EventKind.ATTEMPT_FAILED) and not note_outcome(decision):
        return None
    ruling = _switched_off(event)
    if ruling is not None:
        return ruling
    ruling = _look_up(decision)
    if ruling.verdict is Verdict.EARLY and event.kind in early_events.MAY_COME_EARLY:
        return early_events.keep_early(decision, ruling)
    if isinstance(entity, Order):
        _go_on(decision)
    return ruling


def _look_up(decision: Decision[Any]) -> Ruling:
    """What the cell of the table says."""
    entity, event = decision.entity, decision.event
    cell = TABLES[entity.KIND].get((entity.state, event.kind))
    return cell.handler(decision) if cell is not None else absent(entity, event)


def _go_on(decision: Decision[Order]) -> None:
    """What follows from this event: the rest is closed, what came early is decided, then callers that wait."""
    order, kind = decision.entity, decision.event.kind
    if kind in OUTCOMES:
        fulfilment_type.close_rest(decision)
    if order.early and kind in early_events.MAY_APPLY_EARLY and order.state != OrderState.REJECTED:
        _decide_parked(decision)
    if order.deferred and kind in deferred_calls.MAY_RESUME:
        callers, order.deferred = order.deferred, []
        for caller in callers:
            inner = deferred_calls.resumed_call(decision, caller)
            ruling = _look_up(inner)
            if not _has_recorded_answer(inner.event, ruling.verdict):
                inner.remember(ruling)
            inner.reply(caller.event, caller.reply_to, ruling)


def _decide_parked(decision: Decision[Order]) -> None:
    order = decision.entity
    for parked in list(order.early):
        inner = early_events.resumed_event(decision, parked)
        # An event makes one request at most. Without room for it, it stays where it is.
        ruling = _look_up(inner) if order.has_room() else failed(NO_ROOM)
        if ruling.verdict not in PASSING:
            early_events.close_early(inner, parked, ruling)


def _decided(decision: Decision[Any], ruling: Ruling) -> Decided:
    event, entity = decision.event, decision.entity
    if event.outcome is None and not ruling.kept and not _has_recorded_answer(event, ruling.verdict):
        decision.remember(ruling)
    decision.reply(event.id, event.reply_to, ruling)
    entity.updated_ms = decision.now_ms
    gone = isinstance(entity, Order) and early_events.is_nothing_left(entity)
    if gone:
        decision.fact("order-forgotten", entity_context(entity))
    else:
        watchdog.review(decision)
    return Decided(entity, ruling.verdict, ruling.message, decision.effects, changed=True, gone=gone, kept=ruling.kept)


def _unchanged(entity: Entity | None, event: Event, ruling: Ruling) -> Decided:
    effects = _replies(event, ruling)
    return Decided(entity, ruling.verdict, ruling.message, effects, changed=False, kept=ruling.kept)


def _known(entity: Entity, event: Event, now_ms: int) -> Ruling | None:
    """The verdict this very event got before: its record was produced twice, or decided before a crash.

    A relay that succeeded is not looked up here: its repeat gets the recorded answer.
    """
    if event.outcome is not None:
        return None
    if isinstance(entity, Order) and (entity.early or entity.deferred):
        held = early_events.known_early(entity, event) or deferred_calls.known_deferred(entity, event, now_ms)
        if held is not None:
            return held
    digest = id_digest(event.id)
    for known, word, message in entity.seen:
        verdict = Verdict(word)
        # An older version remembered verdicts that pass, too.
        if known == digest and verdict not in PASSING and not _has_recorded_answer(event, verdict):
            return Ruling(verdict, message)
    return None


def _has_recorded_answer(event: Event, verdict: Verdict | None) -> bool:
    return verdict is Verdict.DUPLICATE and _relayed(event)


def _switched_off(event: Event) -> Ruling | None:
    """A relay needs its far side. What is only told to it is recorded all the same, and not delivered."""
    if event.offered or event.touchpoint is None or not _relayed(event):
        return None
    return refused(f"{event.touchpoint.name} is switched off for channel {event.channel}")


def _relayed(event: Event) -> bool:
    return event.touchpoint is not None and event.touchpoint.mode is Mode.RELAY


def _answer(entity: Entity | None, event: Event) -> Decided:
    ruling = Ruling(Verdict.ANSWERED, body=document(entity) if entity is not None else None)
    return Decided(entity, Verdict.ANSWERED, "", _replies(event, ruling), changed=False)


def _replies(event: Event, ruling: Ruling) -> list[Effect]:
    if event.reply_to is None or ruling.verdict is None:
        return []
    reply = Reply(
        event=event.id, verdict=ruling.verdict, message=ruling.message, status=ruling.status, body=ruling.body
    )
    return [ReplyTo(event.reply_to, reply)]
