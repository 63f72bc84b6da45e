"""What holds when an entity is written is checked when it is read; in production the work goes on all the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from streams.order.model.entities import Order
from streams.order.records import stored_entity
from streams.order.records.stored_entity import STATE, StoredEntities, read_entity
from streams.order.storage.encoding import copy_entity, decode_entity, encode_entity
from streams.runtime.invariants import MODE_VARIABLE, InvariantError
from streams.runtime.role import Record
from streams.runtime.tables.parted_table import PartedTable
from streams.runtime.tables.partition_table import PartitionState, PartitionTable
from tests.support.orders import CHANNEL, CODE, START_MS, Story, acknowledgement_body, cancel_body
from topics.records.deliveries import OutcomeKind
from topics.records.json_text import read, write
from topics.records.keys import order_key


def damaged(damage: Callable[[Order], None]) -> tuple[PartitionTable, bytes, Order]:
    """A table with an order that was damaged after its last decision."""
    story = Story()
    story.create()
    story.tell("acknowledgement", acknowledgement_body())
    order, table = story.order, PartitionState(0, ("orders.state",)).all[0]
    key = order.key
    damage(order)
    table.set(key, encode_entity(order), -1)
    return table, key, order


def rename(order: Order) -> None:
    order.code = "ANOTHER"


def lose_a_fact(order: Order) -> None:
    order.fact_sequence += 1


def skip_a_fact(order: Order) -> None:
    order.facts[0].sequence -= 1


def pack_too_much(order: Order) -> None:
    order.lines[0].packed = order.lines[0].ordered + 1


def cancel_less_than_nothing(order: Order) -> None:
    order.lines[0].seller = -1


DAMAGES = [
    (rename, "entity_is_under_its_key"),
    (lose_a_fact, "facts_are_numbered_without_a_gap"),
    (skip_a_fact, "facts_are_numbered_without_a_gap"),
    (pack_too_much, "line_units_add_up"),
    (cancel_less_than_nothing, "line_units_add_up"),
]


@pytest.mark.parametrize(("damage", "invariant"), DAMAGES)
def test_damage_is_noticed_when_the_order_is_read(damage: Callable[[Order], None], invariant: str) -> None:
    table, key, _ = damaged(damage)
    with pytest.raises(InvariantError, match=invariant):
        read_entity(table, key)


def test_in_production_a_damaged_order_is_decided_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MODE_VARIABLE)
    table, key, order = damaged(pack_too_much)
    assert read_entity(table, key) == order


def test_an_order_that_is_whole_is_read_as_it_was_written() -> None:
    table, key, order = damaged(lambda _: None)
    assert read_entity(table, key) == order
    assert read_entity(table, order_key("demo", "NONE")) is None


ODD = b'{"zeros":499.0000,"big":9400111899223197428490,"list":[0.10,10.0,-18446744073709551617]}'
"""Numbers that no double holds, or writes in other digits."""


def test_a_call_that_waits_in_a_state_leaves_with_the_digits_that_it_came_with() -> None:
    story = Story()
    story.tell("seller-cancellation", {**cancel_body(i1=1), "odd": read(ODD)})
    order = story.entity(order_key(CHANNEL, CODE))
    assert isinstance(order, Order)
    assert [write(kept.body["odd"]) for kept in order.early] == [ODD]
    story.create()
    (sent,) = [request for request in story.requests if request.touchpoint == "seller-cancellation"]
    assert write(sent.body["odd"]) == ODD


def test_attempts_of_a_state_stay_plain_numbers() -> None:
    """A state's decoder looks at numbers of bodies alone: attempts are in each state."""
    story = Story()
    story.create()
    (request,) = story.requests
    story.outcome(request, OutcomeKind.RETRYING, status=500)
    ((_, _, took_ms, _, _),) = story.order.deliveries[0].attempts
    assert type(took_ms) in (int, float)
    raw = encode_entity(story.order)
    assert encode_entity(decode_entity(raw)) == raw


def test_large_orders_stay_decoded_after_first_decisions_that_were_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story()
    story.create(quantities=(1,) * 1_000)
    order, entities = story.order, StoredEntities()
    monkeypatch.setattr(stored_entity, "KEPT_BYTES_MAX", 2 * len(encode_entity(order)))
    table = PartitionState(0, (STATE,), PartedTable).all[0]
    for offset in range(4):
        table.undo()
        table.state.offset, copied = offset, copy_entity(order)
        entities.write(Record(0, offset, START_MS, order.key, b"", ()), table, order.key, copied)
    table.merge()
    assert entities.read(Record(0, 4, START_MS, order.key, b"", ()), table, order.key) is copied
