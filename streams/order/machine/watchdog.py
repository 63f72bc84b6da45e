"""Waits of an order that are too long, and the time at which an entity that is over is forgotten.

`waits` of an order holds the steps it waits in and since when; it is brought up to date after every event. A tick
compares it with the channel's policy and raises `order-stuck` for a wait that is too long, once; the event that ends
the wait withdraws it with `order-unstuck`.
"""

from __future__ import annotations

from datetime import UTC
from functools import lru_cache
from typing import Any, Final

from streams.order.forward import early_events
from streams.order.forward.progress import may_have_more, order_context
from streams.order.model import limits
from streams.order.model.decision import Decision
from streams.order.model.entities import Manifest, Order, Return
from streams.order.model.entity import Entity
from streams.order.model.events import EventKind
from streams.order.model.parts import Shipment
from streams.order.model.shipment_index import hand_over_key
from streams.order.model.states import ENDED, IN_WAREHOUSE, ManifestState, OrderState, ReturnState
from streams.order.returns import questions
from topics.configuration.sla import Policy
from topics.schema_base import time_of

SUBMIT = "submit"
ACKNOWLEDGE = "acknowledge"
PACK = "pack"
HAND_OVER = "hand-over"
DISPATCH = "dispatch"
STEPS = (SUBMIT, ACKNOWLEDGE, PACK, HAND_OVER, DISPATCH)

_OWN_STEPS: Final = (SUBMIT, ACKNOWLEDGE, PACK)
"""Steps that an order waits in as a whole, in one of them at a time. A wait for a handover is a shipment's."""
_WAITS_FOR_NOTHING: Final = frozenset({*ENDED, OrderState.EXPECTED})
_RECEIVED: Final = OrderState.RECEIVED
_HELD: Final = OrderState.HELD
_SUBMITTED: Final = OrderState.SUBMITTED
_ACKNOWLEDGED: Final = OrderState.ACKNOWLEDGED
"""Names of their own, because every event needs some: compiled, a final name is no look-up."""
_OVER: Final[dict[str, frozenset[str]]] = {
    Return.KIND: frozenset({ReturnState.COMPLETED, ReturnState.CANCELLED, ReturnState.REFUSED, ReturnState.REJECTED}),
    Manifest.KIND: frozenset({ManifestState.MANIFESTED, ManifestState.REFUSED}),
}
_TIMES_KEPT = 4_096
"""Texts of `dispatchByTime` whose time is remembered: every event of an order needs its own."""


def review(decision: Decision[Any]) -> None:
    """Bring waits, alarms and the next due time up to date. Only a tick raises an alarm.

    Called last, when the entity is as it will stay.
    """
    entity, policy, more = decision.entity, decision.event.policy, False
    if isinstance(entity, Order):
        ended = _note_waits(decision)
        if entity.stuck:
            more = _withdraw(decision, ended)
        if decision.event.kind is EventKind.TICK:
            more = _raise(decision) or more
    entity.due_ms = due_ms(entity, policy)
    if more:
        # Behind the time of this tick, which would find it due for ever.
        entity.due_ms = decision.now_ms + 1


def due_ms(entity: Entity, policy: Policy) -> int:
    """When a tick must look at an entity next; 0: never. Asked after every event, so it makes no lists."""
    due = forgotten_ms(entity, policy)
    if isinstance(entity, Return):
        return _sooner(due, questions.next_question_ms(entity))
    if not isinstance(entity, Order):
        return due
    stuck, waits = entity.stuck, entity.waits
    step = _own_step(waits)
    if step and step not in stuck and _allowed_ms(step, policy):
        due = _sooner(due, waits[step] + _allowed_ms(step, policy))
    if policy.handover_ms and len(waits) > bool(step):
        earliest_ms = entity.wait_index.earliest_ms(waits, stuck)
        due = _sooner(due, earliest_ms + policy.handover_ms if earliest_ms else 0)
    if DISPATCH not in stuck:
        due = _sooner(due, _dispatch_ms(entity, policy))
    if entity.early:
        due = _sooner(due, early_events.next_expiry_ms(entity))
    for waiting in entity.deferred:
        due = _sooner(due, waiting.deadline_ms)
    return due


def _sooner(one_ms: int, other_ms: int) -> int:
    """The earlier of two times; 0 stands for none."""
    return min(one_ms, other_ms) if one_ms and other_ms else one_ms or other_ms


def _allowed_ms(key: str, policy: Policy) -> int:
    if key == ACKNOWLEDGE:
        return policy.acknowledge_ms
    if key == PACK:
        return policy.pack_ms
    return policy.submit_ms if key == SUBMIT else policy.handover_ms


def _dispatch_ms(order: Order, policy: Policy) -> int:
    """When the time of dispatch is near for an order that has not left; 0: never."""
    if not policy.dispatch_near_ms or order.state in _WAITS_FOR_NOTHING or not _is_to_leave(order, policy):
        return 0
    return _near_ms(order, policy.dispatch_near_ms)


def forgotten_ms(entity: Entity, policy: Policy) -> int:
    """When an entity that is over leaves the state; 0: not by itself."""
    after_ms = policy.forget_manifests_ms if isinstance(entity, Manifest) else policy.forget_ms
    if not after_ms or not _is_over(entity, policy):
        return 0
    at_ms = entity.updated_ms + after_ms
    if any(not delivery.settled and not delivery.given_up for delivery in entity.deliveries):
        # An operator may still decide about the request. After so long without an outcome it got lost.
        return max(at_ms, entity.updated_ms + limits.DELIVERY_LOST_MS)
    return at_ms


def is_forgotten(decision: Decision[Any]) -> bool:
    at_ms = forgotten_ms(decision.entity, decision.event.policy)
    return bool(at_ms) and at_ms <= decision.now_ms


@lru_cache(_TIMES_KEPT)
def time_ms(text: str) -> int:
    """Epoch milliseconds of a time as clients write it (`time_of`); without an offset, in UTC.

    0 for a text that is no time: the models refuse it, but a state may hold anything.
    """
    try:
        time = time_of(text.removesuffix("[UTC]"))
    except ValueError:
        return 0
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def _is_over(entity: Entity, policy: Policy) -> bool:
    if not isinstance(entity, Order):
        return entity.state in _OVER[entity.KIND]
    if entity.state in IN_WAREHOUSE:
        return not policy.handover and not _is_to_leave(entity, policy)
    return entity.state in ENDED


def _is_to_leave(order: Order, policy: Policy) -> bool:
    """Whether a unit is neither gone nor cancelled. Without handovers, packed is the last that the channel reports."""
    if not order.shipments or order.line_index.open:
        return True
    return policy.handover and order.shipment_index.handed_over < len(order.shipments)


def _near_ms(order: Order, near_ms: int) -> int:
    """When the time of dispatch is near. An order that came late has half of its time left; one too late, none."""
    by_ms = time_ms(str(order.properties.get("dispatchByTime") or ""))
    return max(by_ms - near_ms, (by_ms + order.created_ms) // 2, order.created_ms) if by_ms else 0


def _own_step(waits: dict[str, int]) -> str:
    """The step among waits that is the order's as a whole; empty when there is none."""
    for step in _OWN_STEPS:
        if step in waits:
            return step
    return ""


def _note_waits(decision: Decision[Order]) -> list[str]:
    """Bring `waits` up to date. A wait that lasts keeps its time; after a Pack the wait of open units begins again.
    Returns the waits that ended or began again.

    Looks only at the shipments that changed: an order may have hundreds.
    """
    order, now_ms, waits = decision.entity, decision.now_ms, decision.entity.waits
    if order.state in _WAITS_FOR_NOTHING:
        if waits:
            order.set_waits({})
        return list(waits)
    before, step = _own_step(waits), _step(order)
    begins = step != before or (step == PACK and decision.event.kind is EventKind.PACK_TAKEN)
    since_ms = waits.pop(before, now_ms)
    ended = _note_handovers(order, now_ms)
    if step:
        order.waits[step] = now_ms if begins else since_ms
    return [*ended, before] if before and begins else ended


def _note_handovers(order: Order, now_ms: int) -> list[str]:
    """Bring the waits for handovers up to date. Returns those that ended."""
    ended: list[str] = []
    waits, waiting = order.waits, 0
    if order.shipments:
        index = order.shipment_index
        for shipment_id in index.moved:
            key = hand_over_key(shipment_id)
            if index.is_waiting(shipment_id):
                if key not in waits:
                    order.begin_wait(shipment_id, now_ms)
            elif waits.pop(key, None) is not None:
                ended.append(key)
        index.moved.clear()
        waiting = index.waiting
    if len(waits) == waiting:
        return ended
    # It waited for nothing before, or its last shipment went.
    keys = [hand_over_key(one.id) for one in order.shipments if order.shipment_index.is_waiting(one.id)]
    order.set_waits({key: waits.get(key, now_ms) for key in keys})
    return [*ended, *waits]


def _step(order: Order) -> str:
    """The step that the order as a whole waits in now; empty when it waits in none."""
    state = order.state
    if may_have_more(order):
        return ""  # met midway: whether it was acknowledged, or what is still to be packed, is not known
    if state == _RECEIVED or (state == _HELD and "submitted" not in order.milestones):
        return SUBMIT  # Increff must learn of a hold, too
    if state == _SUBMITTED:
        return ACKNOWLEDGE
    if state == _ACKNOWLEDGED or (state in IN_WAREHOUSE and not order.held and order.line_index.open):
        return PACK
    return ""


def _withdraw(decision: Decision[Order], ended: list[str]) -> bool:
    """Withdraw alarms of waits that ended. Returns whether some are left, of an order that waits for nothing any more:
    it may have hundreds."""
    order, policy = decision.entity, decision.event.policy
    stuck, is_over = order.stuck, order.state in _WAITS_FOR_NOTHING
    at_stake = stuck.keys() if is_over or not policy.handover_ms else stuck.keys() & {*ended, *_OWN_STEPS, DISPATCH}
    over = [key for key in stuck if key in at_stake and _since_ms(order, key, policy) != stuck[key]] if at_stake else []
    for key in over[: limits.ALARMS_AT_ONCE] if is_over else over:
        since_ms = stuck.pop(key)
        about = _about(order, key)
        decision.fact(
            "order-unstuck",
            {**order_context(order), **about, "sinceMs": since_ms, "tookMs": decision.now_ms - since_ms},
            about,
        )
    return is_over and bool(stuck)


def _raise(decision: Decision[Order]) -> bool:
    """Raise alarms of waits that are too long. Returns whether some are left."""
    order, now_ms, policy = decision.entity, decision.now_ms, decision.event.policy
    waits, stuck, most = order.waits, order.stuck, limits.ALARMS_AT_ONCE
    step, keys = _own_step(waits), []
    if policy.handover_ms and len(waits) > bool(step):
        keys = order.wait_index.first(most, now_ms - policy.handover_ms, waits, stuck)
    for key in (*keys, step, DISPATCH):
        since_ms = _since_ms(order, key, policy) if key and key not in stuck else 0
        limit_ms = 0 if key == DISPATCH else _allowed_ms(key, policy)
        if since_ms and since_ms + limit_ms <= now_ms:
            stuck[key] = since_ms
            about = _about(order, key)
            why: dict[str, Any] = {"limitMs": limit_ms}
            if key == DISPATCH:
                why = {"dispatchByTime": order.properties["dispatchByTime"]}
            decision.fact("order-stuck", {**order_context(order), **about, **why, "sinceMs": since_ms}, about)
    return len(keys) == most


def _since_ms(order: Order, key: str, policy: Policy) -> int:
    """Since when the order waits in a step for which the channel has a limit; 0 when it does not."""
    if key == DISPATCH:
        return _dispatch_ms(order, policy)
    return order.waits.get(key, 0) if _allowed_ms(key, policy) else 0


def _about(order: Order, key: str) -> dict[str, Any]:
    step, _, shipment_id = key.partition(" ")
    if not shipment_id:
        return {"step": step}
    shipment: Shipment | None = order.shipment(int(shipment_id))
    code = shipment.code if shipment is not None else None
    number = shipment.number if shipment is not None else None
    return {"step": step, "shipmentId": number, "shipmentCode": code}
