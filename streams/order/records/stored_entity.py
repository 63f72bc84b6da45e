"""Entities read from the table, with checks of what holds whenever one is written."""

from __future__ import annotations

from collections.abc import Iterator

from streams.order.model.entities import Order, Return, StateError, decode_entity
from streams.order.model.entity import Entity
from streams.order.model.parts import DeferredCall, Delivery, EarlyEvent, Question, Relay
from streams.runtime.invariants import is_raising, violated
from streams.runtime.role import Poison, Table
from topics.contract.touchpoints import BY_NAME
from topics.records.unreadable import UNREADABLE

STATE = "orders.state"
REASON_MAX = 200
_RECOUNTS = is_raising()
"""A recount walks through all lines and shipments, which no event may do in production."""


def read_entity(state: Table, key: bytes) -> Entity | None:
    """The entity under a key, the caller's to change; None when there is none. Raises Poison."""
    raw = state.get(key)
    if raw is None:
        return None
    try:
        entity = decode_entity(raw)
    except StateError as error:
        UNREADABLE.note(STATE, key, error)
        raise Poison("BAD_STATE", f"{key.decode(errors='replace')}: {error}") from error
    _check(entity, key)
    return entity


def check_indexes(entity: Entity) -> None:
    """Compares what an order has counted on its way with a recount, where a violation raises."""
    if _RECOUNTS and isinstance(entity, Order):
        wrong = entity.miscounted()
        if wrong:
            violated("orders_are_counted", f"order {entity.code} of {entity.channel}: {wrong}")


def check_is_ours(state: Table, key: bytes, failure: Exception) -> None:
    """Raises Poison when a decision has failed over a state that names what this version does not know: then it is the
    state of another version, and no failure of ours."""
    raw = state.get(key)
    if raw is None:
        return
    entity = decode_entity(raw)
    names = {call.touchpoint for call in _calls_of(entity) if call.touchpoint} - BY_NAME.keys()
    if entity.key != key:
        why = f"its {entity.KIND} is not the one in its key"
    elif names:
        why = f"this version does not know its calls {', '.join(sorted(names))[:REASON_MAX]}"
    else:
        return
    UNREADABLE.note(STATE, key, why)
    raise Poison("BAD_STATE", f"{key.decode(errors='replace')}: {why}") from failure


def _calls_of(entity: Entity) -> Iterator[Delivery | Relay | DeferredCall | EarlyEvent | Question]:
    yield from entity.deliveries
    yield from entity.relays
    if isinstance(entity, Order):
        yield from entity.deferred
        yield from entity.early
    elif isinstance(entity, Return) and entity.question is not None:
        yield entity.question


def _check(entity: Entity, key: bytes) -> None:
    """Compares counts only: this runs for every event."""
    if entity.key != key:
        violated("entity_is_under_its_key", f"{entity.KIND} {entity.code} of {entity.channel} is under {key!r}")
    facts, last = entity.facts, entity.fact_sequence
    if (facts[-1].sequence if facts else 0) != last or (facts and last - facts[0].sequence != len(facts) - 1):
        listed = [fact.sequence for fact in facts]
        violated("facts_are_numbered_without_a_gap", f"{key!r} has counted {last} facts, and lists {listed}")
    if isinstance(entity, Order):
        for line in entity.lines:
            packed, packing, cancelled = line.packed, line.packing, line.customer + line.seller
            if packed < 0 or packing < 0 or cancelled < 0 or line.ordered < packed + packing + cancelled:
                violated("line_units_add_up", f"{key!r}: {line}")
