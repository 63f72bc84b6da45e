"""Waits of an order that are too long, and the time at which an entity that is over is forgotten.

`waits` of an order holds the steps it waits in and since when; it is brought up to date after every event. A tick
compares it with the channel's policy and raises `order-stuck` for a wait that is too long, once; the event that ends
the wait withdraws it with `order-unstuck`.
"""

from __future__ import annotations

from datetime import UTC
from functools import lru_cache
from typing import Any

from streams.order.forward import early_events
from streams.order.forward.progress import may_have_more, order_context
from streams.order.model import limits
from streams.order.model.decision import Decision
from streams.order.model.entities import Manifest, Order, Return
from streams.order.model.entity import Entity
from streams.order.model.events import EventKind
from streams.order.model.parts import Shipment
from streams.order.model.states import ENDED, IN_WAREHOUSE, ManifestState, OrderState, ReturnState, ShipmentState
from streams.order.returns import questions
from topics.configuration.sla import Policy
from topics.schema_base import time_of

SUBMIT = "submit"
ACKNOWLEDGE = "acknowledge"
PACK = "pack"
HAND_OVER = "hand-over"
DISPATCH = "dispatch"
STEPS = (SUBMIT, ACKNOWLEDGE, PACK, HAND_OVER, DISPATCH)

_WAITS_FOR_NOTHING = frozenset({*ENDED, OrderState.EXPECTED})
_RECEIVED, _HELD = OrderState.RECEIVED, OrderState.HELD
_SUBMITTED, _ACKNOWLEDGED = OrderState.SUBMITTED, OrderState.ACKNOWLEDGED
"""Names of their own, because the look-up of an enumeration's member is slow and every event needs some."""
_LEFT = (ShipmentState.PACKING, ShipmentState.HANDED_OVER)
"""States of a shipment that does not wait for its handover: not packed yet, or gone."""
_OVER: dict[str, frozenset[str]] = {
    Return.KIND: frozenset({ReturnState.COMPLETED, ReturnState.CANCELLED, ReturnState.REFUSED, ReturnState.REJECTED}),
    Manifest.KIND: frozenset({ManifestState.MANIFESTED, ManifestState.REFUSED}),
}
_TIMES_KEPT = 4_096
"""Texts of `dispatchByTime` whose time is remembered: every event of an order needs its own."""


def review(decision: Decision[Any]) -> None:
    """Bring waits, alarms and the next due time up to date. Only a tick raises an alarm.

    Called last, when the entity is as it will stay.
    """
    entity, policy = decision.entity, decision.event.policy
    if isinstance(entity, Order):
        _note_waits(decision)
        if entity.stuck or decision.event.kind is EventKind.TICK:
            _compare(decision)
    entity.due_ms = due_ms(entity, policy)


def due_ms(entity: Entity, policy: Policy) -> int:
    """When a tick must look at an entity next; 0: never. Asked after every event, so it makes no lists."""
    due = forgotten_ms(entity, policy)
    if isinstance(entity, Return):
        return _sooner(due, questions.next_question_ms(entity))
    if not isinstance(entity, Order):
        return due
    stuck = entity.stuck
    for key, since_ms in entity.waits.items():
        allowed_ms = _allowed_ms(key, policy)
        if allowed_ms and key not in stuck:
            due = _sooner(due, since_ms + allowed_ms)
    if DISPATCH not in stuck:
        due = _sooner(due, _dispatch_ms(entity, policy))
    if entity.early:
        due = _sooner(due, early_events.next_expiry_ms(entity))
    for waiting in entity.deferred:
        due = _sooner(due, waiting.deadline_ms)
    return due


def broken_at(order: Order, policy: Policy) -> dict[str, tuple[int, int]]:
    """Step -> since when the order waits in it, and from when on that is too long. A shipment's step carries its id."""
    found = {}
    for key, since_ms in order.waits.items():
        allowed_ms = _allowed_ms(key, policy)
        if allowed_ms:
            found[key] = (since_ms, since_ms + allowed_ms)
    at_ms = _dispatch_ms(order, policy)
    if at_ms:
        found[DISPATCH] = (at_ms, at_ms)
    return found


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


def _note_waits(decision: Decision[Order]) -> None:
    """Bring `waits` up to date. A wait that lasts keeps its time; after a Pack the wait of open units begins again."""
    order = decision.entity
    former, keys = order.waits, _waits(order)
    if keys or former:
        order.waits = {key: former.get(key, decision.now_ms) for key in keys}
    if PACK in order.waits and decision.event.kind is EventKind.PACK_TAKEN:
        order.waits[PACK] = decision.now_ms


def _waits(order: Order) -> list[str]:
    """The steps that the order waits in now."""
    state = order.state
    if state in _WAITS_FOR_NOTHING:
        return []
    keys = [f"{HAND_OVER} {shipment.id}" for shipment in order.shipments if shipment.state not in _LEFT]
    if may_have_more(order):
        return keys  # met midway: whether it was acknowledged, or what is still to be packed, is not known
    if state == _RECEIVED or (state == _HELD and "submitted" not in order.milestones):
        keys.append(SUBMIT)  # Increff must learn of a hold, too
    elif state == _SUBMITTED:
        keys.append(ACKNOWLEDGE)
    elif state == _ACKNOWLEDGED or (state in IN_WAREHOUSE and not order.held and order.line_index.open):
        keys.append(PACK)
    return keys


def _compare(decision: Decision[Order]) -> None:
    """Withdraw alarms of waits that ended; at a tick, raise alarms of waits that are too long."""
    order = decision.entity
    broken = broken_at(order, decision.event.policy)
    for key, since_ms in list(order.stuck.items()):
        if key not in broken or broken[key][0] != since_ms:
            del order.stuck[key]
            about = _about(order, key)
            decision.fact(
                "order-unstuck",
                {**order_context(order), **about, "sinceMs": since_ms, "tookMs": decision.now_ms - since_ms},
                about,
            )
    if decision.event.kind is not EventKind.TICK:
        return
    for key, (since_ms, at_ms) in broken.items():
        if key not in order.stuck and at_ms <= decision.now_ms:
            order.stuck[key] = since_ms
            about = _about(order, key)
            why: dict[str, Any] = {"limitMs": at_ms - since_ms}
            if key == DISPATCH:
                why = {"dispatchByTime": order.properties["dispatchByTime"]}
            decision.fact("order-stuck", {**order_context(order), **about, **why, "sinceMs": since_ms}, about)


def _about(order: Order, key: str) -> dict[str, Any]:
    step, _, shipment_id = key.partition(" ")
    if not shipment_id:
        return {"step": step}
    shipment: Shipment | None = order.shipment(int(shipment_id))
    code = shipment.code if shipment is not None else None
    number = shipment.number if shipment is not None else None
    return {"step": step, "shipmentId": number, "shipmentCode": code}
