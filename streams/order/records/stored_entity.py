"""Entities read from the table, with checks of what holds whenever one is written."""

from __future__ import annotations

from streams.order.model.entities import Entity, Order, StateError, decode_entity
from streams.runtime.invariants import violated
from streams.runtime.role import Poison, Table
from topics.records.unreadable import UNREADABLE

STATE = "orders.state"


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
