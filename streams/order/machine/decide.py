"""`decide`: one event and what is known make a verdict, the new state and effects. No clock, no I/O, no chance."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from streams.order.forward import adopt as adopting
from streams.order.forward import deferred_calls as waiting
from streams.order.forward import early_events as parking
from streams.order.forward import fulfilment_type as fulfilling
from streams.order.machine import watchdog
from streams.order.machine.outcomes import base_context, note
from streams.order.machine.transitions import MAKERS, TABLES, absent
from streams.order.model.canonical import id_digest
from streams.order.model.decision import NO_ROOM, PASSING, NoRoomError, Recall, Ruling, Turn, failed, refused
from streams.order.model.effects import Effect, ReplyTo
from streams.order.model.entities import Entity, Order, Return
from streams.order.model.events import OUTCOMES, Event, EventKind
from streams.order.model.states import OrderState
from streams.order.records.document import document
from streams.order.returns import claims as registering
from streams.order.returns import returns as returning
from topics.contract.definition import Mode
from topics.records.verdicts import Reply, Verdict
from topics.values import value


@value
class Decision:
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


def decide(entity: Entity | None, event: Event, now_ms: int, recall: Recall = nothing_recorded) -> Decision:
    """Decide one event. `entity` is left as it is."""
    decision = advance(copy.deepcopy(entity), event, now_ms, recall)
    return decision if decision.changed else replace(decision, entity=entity)


def advance(entity: Entity | None, event: Event, now_ms: int, recall: Recall) -> Decision:
    """As `decide`, for callers that own `entity`: it becomes the new state, and is of no use if nothing changed."""
    if event.kind is EventKind.QUERY:
        return _answer(entity, event)
    if entity is None:
        return _first(event, now_ms, recall)
    known = _known(entity, event, now_ms)
    if known is not None:
        return _unchanged(entity, event, known)
    turn: Turn[Any] = Turn(entity, event, now_ms, recall)
    if event.kind is EventKind.TICK:
        return _tick(turn)
    if isinstance(entity, Order):
        waiting.expire_waiting(turn)
        parking.expire(turn)
        if entity.state == OrderState.EXPECTED and adopting.wanted(event):
            # The channel's policy was changed while events of it were parked.
            adopting.begin(turn)
            _decide_parked(turn)
    try:
        ruling = _rule(turn)
    except NoRoomError:
        return _unchanged(entity, event, failed(NO_ROOM))
    if ruling is None:
        if turn.effects:
            watchdog.review(turn)
        return Decision(entity, Verdict.DUPLICATE, "", turn.effects, changed=bool(turn.effects) or turn.listed)
    return _decided(turn, ruling)


def _tick(turn: Turn[Any]) -> Decision:
    """Time has passed: what is over ends, what waits too long is said. Done again, it changes nothing."""
    entity, before_ms = turn.entity, turn.entity.due_ms
    if isinstance(entity, Order):
        waiting.expire_waiting(turn)
        parking.expire(turn)
    elif isinstance(entity, Return):
        returning.ask_again(turn)
    gone = watchdog.is_forgotten(turn) or (isinstance(entity, Order) and parking.is_over(entity))
    if gone:
        turn.fact("order-forgotten", base_context(entity))
    else:
        watchdog.review(turn)
    changed = gone or bool(turn.effects) or entity.due_ms != before_ms
    return Decision(entity, Verdict.APPLIED, "", turn.effects, changed=changed, gone=gone)


def _first(event: Event, now_ms: int, recall: Recall) -> Decision:
    """The entity is not known."""
    if event.kind is EventKind.RETURN_CLAIMED and not adopting.wanted(event):
        answer = registering.answer_for_unknown(event)
        return Decision(None, Verdict.EARLY, "", [answer] if answer is not None else [], changed=False)
    ruling = _switched_off(event)
    if ruling is None and event.kind in MAKERS:
        made = MAKERS[event.kind][1](event, now_ms, recall)
        if made is not None:
            turn, made_ruling = made
            return _decided(turn, made_ruling or _look_up(turn))
    return _unchanged(None, event, ruling or absent(None, event))


def _rule(turn: Turn[Any]) -> Ruling | None:
    """What the table says; None for an outcome that was noted before."""
    entity, event = turn.entity, turn.event
    if (event.kind in OUTCOMES or event.kind is EventKind.ATTEMPT_FAILED) and not note(turn):
        return None
    ruling = _switched_off(event)
    if ruling is not None:
        return ruling
    ruling = _look_up(turn)
    if ruling.verdict is Verdict.EARLY and event.kind in parking.PARKABLE:
        return parking.keep(turn, ruling)
    if isinstance(entity, Order):
        _go_on(turn)
    return ruling


def _look_up(turn: Turn[Any]) -> Ruling:
    """What the cell of the table says."""
    entity, event = turn.entity, turn.event
    cell = TABLES[entity.KIND].get((entity.state, event.kind))
    return cell.handler(turn) if cell is not None else absent(entity, event)


def _go_on(turn: Turn[Order]) -> None:
    """What follows from this event: the rest is closed, what came early is decided, then callers that wait."""
    order, kind = turn.entity, turn.event.kind
    if kind in OUTCOMES:
        fulfilling.close_rest(turn)
    if order.early and kind in parking.RELEASING and order.state != OrderState.REJECTED:
        _decide_parked(turn)
    if order.deferred and kind in waiting.ANSWERED:
        callers, order.deferred = order.deferred, []
        for caller in callers:
            inner = waiting.resumed(turn, caller)
            ruling = _look_up(inner)
            if not _has_recorded_answer(inner.event, ruling.verdict):
                inner.remember(ruling)
            inner.reply(caller.event, caller.reply_to, ruling)


def _decide_parked(turn: Turn[Order]) -> None:
    order = turn.entity
    for parked in list(order.early):
        inner = parking.resumed(turn, parked)
        # An event makes one request at most. Without room for it, it stays where it is.
        ruling = _look_up(inner) if order.has_room() else failed(NO_ROOM)
        if ruling.verdict not in PASSING:
            parking.applied(inner, parked, ruling)


def _decided(turn: Turn[Any], ruling: Ruling) -> Decision:
    event, entity = turn.event, turn.entity
    if event.outcome is None and not ruling.kept and not _has_recorded_answer(event, ruling.verdict):
        turn.remember(ruling)
    turn.reply(event.id, event.reply_to, ruling)
    entity.updated_ms = turn.now_ms
    gone = isinstance(entity, Order) and parking.is_over(entity)
    if gone:
        turn.fact("order-forgotten", base_context(entity))
    else:
        watchdog.review(turn)
    return Decision(entity, ruling.verdict, ruling.message, turn.effects, changed=True, gone=gone, kept=ruling.kept)


def _unchanged(entity: Entity | None, event: Event, ruling: Ruling) -> Decision:
    effects = _replies(event, ruling)
    return Decision(entity, ruling.verdict, ruling.message, effects, changed=False, kept=ruling.kept)


def _known(entity: Entity, event: Event, now_ms: int) -> Ruling | None:
    """The verdict this very event got before: its record was produced twice, or decided before a crash.

    A relay that succeeded is not looked up here: its repeat gets the recorded answer.
    """
    if event.outcome is not None:
        return None
    if isinstance(entity, Order) and (entity.early or entity.deferred):
        held = parking.known(entity, event) or waiting.known(entity, event, now_ms)
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


def _answer(entity: Entity | None, event: Event) -> Decision:
    ruling = Ruling(Verdict.ANSWERED, body=document(entity) if entity is not None else None)
    return Decision(entity, Verdict.ANSWERED, "", _replies(event, ruling), changed=False)


def _replies(event: Event, ruling: Ruling) -> list[Effect]:
    if event.reply_to is None or ruling.verdict is None:
        return []
    reply = Reply(
        event=event.id, verdict=ruling.verdict, message=ruling.message, status=ruling.status, body=ruling.body
    )
    return [ReplyTo(event.reply_to, reply)]
