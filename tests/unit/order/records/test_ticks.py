"""Finding what is due, and writing ticks for it.

Property: the index finds exactly the entities whose state is due, whatever changed in between; a tick is written only
where something is due and none is out, for a bounded number of entities, at once while more is due; an entity that
cannot be decided holds up no other, and its next event brings it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from streams.order import role
from streams.order.model.entity import Entity
from streams.order.model.limits import TICK_ENTITIES_MAX
from streams.order.records import stored_entity
from streams.order.records.encode import EffectEncoder
from streams.order.records.ticks import DueIndex, Ticker, Until, tick_record, until_of
from streams.order.storage.changes import next_part
from streams.order.storage.glance import due_of
from streams.order.storage.small import NextPart
from streams.runtime.limits import VALUE_BYTES_MAX
from streams.runtime.role import Change, Effect, PartitionLost, Poison, Record
from streams.runtime.tables.partition_table import PartitionTable
from tests.support.eventually import eventually
from tests.support.forms import patches_compiled
from tests.support.orders import CHANNEL, CODE, create_body
from tests.support.orders_log import Logs, make_channels
from topics.records.keys import TICK_KEY, order_key

MINUTE_MS = 60_000


class FakeTable(dict[bytes, bytes]):
    """A table of states that are nothing but due."""

    def put(self, key: bytes, value: bytes) -> None:
        self[key] = value

    def delete(self, key: bytes) -> None:
        self.pop(key, None)

    def is_made_from(self, key: bytes) -> bool:
        return False

    def items(self) -> Iterator[tuple[bytes, bytes]]:  # type: ignore[override]
        return iter(list(super().items()))

    def walk(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        return iter(sorted((key, value) for key, value in self.items() if key.startswith(prefix)))


def state(due_ms: int) -> bytes:
    return b'{"due":%d,"kind":"order"}' % due_ms


def due_in(table: FakeTable) -> DueIndex:
    due = DueIndex(table)
    due.rebuild()
    return due


def ready(ticker: Ticker, partition: int, table: FakeTable) -> None:
    ticker.on_assigned(partition, table).rebuild()


KEYS = st.integers(0, 5).map(lambda n: b"%d" % n)
TIMES = st.integers(0, 6 * MINUTE_MS)
CHANGES = st.lists(st.one_of(st.tuples(KEYS, TIMES), st.tuples(KEYS, st.none()), TIMES), max_size=40)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(KEYS, TIMES), CHANGES)
def test_it_finds_exactly_what_is_due(first: dict[bytes, int], changes: list[Any]) -> None:
    table = FakeTable({key: state(due_ms) for key, due_ms in first.items()})
    due = due_in(table)
    known = dict(first)
    left_out: set[bytes] = set()
    for change in [*changes, 6 * MINUTE_MS]:
        if isinstance(change, tuple):
            key, due_ms = change
            left_out.discard(key)
            if due_ms is None:
                known.pop(key, None)
                table.delete(key)
            else:
                known[key] = due_ms
                due.on_due_change(key, due_of(table.get(key) or state(0)), due_ms)
                table.put(key, state(due_ms))
            continue
        late = {key for key, due_ms in known.items() if 0 < due_ms <= change}
        until, taken = due.next_until(change), due.pop_due(Until(change))
        assert until == (Until(change) if taken else None)
        assert len(set(taken)) == len(taken)
        # One that was left out may still be in an old place: it is looked at there once more.
        assert late - left_out <= set(taken) <= late
        for key in taken:
            if key == b"5":
                left_out.add(key)  # nothing could be done for it
            else:
                known[key] = 0 if key < b"3" else change + MINUTE_MS
                table.put(key, state(known[key]))
            due.put_back_decided(key, Until(change))


def test_what_is_due_and_stays_due_is_left_out_until_its_next_event() -> None:
    table = FakeTable({b"a": state(5), b"b": state(6)})
    due = due_in(table)
    assert due.pop_due(Until(10)) == [b"a", b"b"]
    due.put_back_decided(b"a", Until(10))
    assert due.next_until(10) is None
    due.on_due_change(b"a", 5, 2 * MINUTE_MS)
    # That event was undone, so the state is as before; the next one counts.
    due.on_due_change(b"a", 5, MINUTE_MS)
    table.put(b"a", state(MINUTE_MS))
    assert due.next_until(MINUTE_MS) == Until(MINUTE_MS)
    assert due.pop_due(Until(MINUTE_MS)) == [b"a"]
    due.put_back_decided(b"a", Until(MINUTE_MS))
    assert due.next_until(MINUTE_MS) is None
    due.rebuild()
    assert due.next_until(MINUTE_MS) == Until(MINUTE_MS)


def test_what_was_not_looked_at_is_found_again() -> None:
    due = due_in(FakeTable({b"a": state(5)}))
    assert due.pop_due(Until(10)) == [b"a"]
    due.put_back(b"a")
    assert due.pop_due(Until(10)) == [b"a"]


def test_an_entity_in_two_places_is_taken_once() -> None:
    table = FakeTable({b"a": state(3 * MINUTE_MS)})
    due = due_in(table)
    due.on_due_change(b"a", 3 * MINUTE_MS, MINUTE_MS)
    table.put(b"a", state(MINUTE_MS))
    assert due.next_until(4 * MINUTE_MS) == Until(4 * MINUTE_MS)
    assert due.pop_due(Until(4 * MINUTE_MS)) == [b"a"]


def test_a_tick_is_for_as_many_as_are_allowed_and_the_longest_due_come_first() -> None:
    due = due_in(FakeTable({b"%d" % n: state(1_000 + n) for n in range(TICK_ENTITIES_MAX + 10)}))
    until = due.next_until(MINUTE_MS)
    assert until == Until(1_000 + TICK_ENTITIES_MAX - 1, b"%d" % (TICK_ENTITIES_MAX - 1))
    assert len(due.pop_due(until)) == TICK_ENTITIES_MAX
    assert due.next_until(MINUTE_MS) == Until(MINUTE_MS)


def test_what_is_due_at_the_very_same_time_is_bounded_too_and_each_tick_names_its_own() -> None:
    """Told from the tick's record alone, as its redelivery to a new owner is."""
    keys = [b"%05d" % n for n in range(2 * TICK_ENTITIES_MAX + 10)]
    table = FakeTable(dict.fromkeys(keys, state(5)))
    due = due_in(table)
    found: list[bytes] = []
    for expected in (TICK_ENTITIES_MAX, TICK_ENTITIES_MAX, 10):
        until = due.next_until(MINUTE_MS)
        assert until is not None
        told = until_of(record(tick_record(0, until, "n", MINUTE_MS).value, MINUTE_MS))
        taken = due.pop_due(told)
        assert len(taken) == expected
        assert sorted(due_in(table).pop_due(told)) == sorted(taken)
        for key in taken:
            table.put(key, state(0))
            due.put_back_decided(key, told)
        found += taken
    assert found == keys
    assert due.next_until(MINUTE_MS) is None


class FakeCommitter:
    def __init__(self) -> None:
        self.ticks: list[tuple[int, int]] = []
        self.lost: set[int] = set()
        self.failed: BaseException | None = None
        self.broken: Exception | None = None

    async def commit(self, partition: int, effects: Iterable[Effect], changes: Iterable[Change]) -> None:
        if self.broken is not None:
            raise self.broken
        if partition in self.lost:
            raise PartitionLost
        (effect,) = effects
        assert (effect.topic, effect.key, effect.partition) == ("orders.commands", TICK_KEY, partition)
        self.ticks.append((partition, orjson.loads(effect.value)["untilMs"]))

    def fail(self, error: BaseException) -> None:
        self.failed = error


async def test_ticks_go_where_something_is_due_and_none_is_out() -> None:
    ticker, committer = Ticker(10, lambda: 100), FakeCommitter()
    for partition, due_ms in enumerate((0, 50, 100, 101)):
        ready(ticker, partition, FakeTable({b"a": state(due_ms)}))
    await ticker.tick(committer)
    assert committer.ticks == [(1, 100), (2, 100)]
    await ticker.tick(committer)
    assert len(committer.ticks) == 2, "they are not decided yet"
    due = ticker.due(1)
    assert due is not None
    ticker.on_tick_decided(due)
    ticker.on_revoked(2)
    await ticker.tick(committer)
    assert committer.ticks[2:] == [(1, 100)]


async def test_a_partition_that_left_costs_its_own_tick_only() -> None:
    ticker, committer = Ticker(10, lambda: 100), FakeCommitter()
    for partition in (1, 2):
        ready(ticker, partition, FakeTable({b"a": state(50)}))
    committer.lost = {1}
    await ticker.tick(committer)
    assert committer.ticks == [(2, 100)]


async def test_more_that_is_due_gets_its_tick_at_once() -> None:
    ticker, committer = Ticker(3_600, lambda: MINUTE_MS), FakeCommitter()
    table = FakeTable({b"%d" % n: state(1_000 + n) for n in range(TICK_ENTITIES_MAX + 10)})
    ready(ticker, 0, table)
    ticker.start(committer)
    await eventually(lambda: len(committer.ticks) == 1)
    due = ticker.due(0)
    assert due is not None
    for key in due.pop_due(Until(committer.ticks[0][1])):
        table.put(key, state(0))
    ticker.on_tick_decided(due)
    await eventually(lambda: len(committer.ticks) == 2)
    await ticker.stop()


async def test_a_ticker_that_cannot_go_on_ends_the_process() -> None:
    ticker, committer = Ticker(10, lambda: 100), FakeCommitter()
    committer.broken = RuntimeError("no more")
    ready(ticker, 0, FakeTable({b"a": state(50)}))
    ticker.start(committer)
    await eventually(lambda: committer.failed is committer.broken)
    await ticker.stop()


def record(value: bytes, timestamp_ms: int = 100) -> Record:
    return Record(0, 0, timestamp_ms, TICK_KEY, value, ())


def test_a_tick_never_looks_past_its_own_time() -> None:
    assert until_of(record(tick_record(0, Until(70), "n", 70).value)) == Until(70)
    assert until_of(record(tick_record(0, Until(70, b"k"), "n", 70).value)) == Until(70, b"k")
    assert until_of(record(tick_record(0, Until(170, b"k"), "n", 70).value)) == Until(100)


@pytest.mark.parametrize(
    "value", [b"{", b"[]", b"{}", b'{"untilMs":"1"}', b'{"untilMs":true}', b'{"untilMs":1,"untilKey":2}']
)
def test_what_is_no_tick_is_set_aside(value: bytes) -> None:
    with pytest.raises(Poison):
        until_of(record(value))
    logs = Logs()
    logs.append(TICK_KEY, value, tick_record(0, Until(1), "n", 1).headers, 0)
    logs.run()
    assert [code for code, _ in logs.rejected] == ["BAD_DATA"]


@patches_compiled
def test_a_partition_that_comes_is_walked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have a million entities, and nothing else goes on meanwhile."""
    logs = Logs()
    logs.call("create-outward-order", create_body(), "create")
    logs.run()
    walked: list[tuple[str, int]] = []
    items = PartitionTable.items

    def counted(table: PartitionTable) -> Iterator[tuple[bytes, bytes]]:
        walked.append((table.name, table.state.partition))
        return items(table)

    monkeypatch.setattr(PartitionTable, "items", counted)
    logs.restart()
    assert [partition for name, partition in walked if name == "orders.state"] == [0, 1, 2, 3]


def test_an_entity_that_cannot_be_read_keeps_no_other_waiting() -> None:
    logs = Logs(channels=make_channels(sla={"submit_s": 10}))
    logs.call("create-outward-order", create_body(), "create")
    logs.run()
    for partition in logs.states:
        partition.all[0].set(b"demo|broken", b'{"due":5,"kind":"order"}', -1)
    logs.restart()
    logs.tick(logs.now_ms + 10_000)
    assert logs.states_by_key()[order_key(CHANNEL, CODE)]["stuck"]
    assert logs.rejected == []


@patches_compiled
def test_an_entity_that_could_not_be_looked_at_is_found_again_after_its_next_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As long as no restart reads the index anew."""
    logs = Logs(channels=make_channels(sla={"submit_s": 10, "acknowledge_s": 20}))
    logs.call("create-outward-order", create_body(), "create")
    logs.run()

    def fail(*_: Any) -> Any:
        raise RuntimeError("a fault in the rules")

    with monkeypatch.context() as patched:
        patched.setattr(role, "advance", fail)
        assert logs.tick(logs.now_ms + 10_000) == []
    logs.answer(logs.requests()[0])
    logs.run()
    logs.tick(logs.now_ms + 30_000)
    assert list(logs.states_by_key()[order_key(CHANNEL, CODE)]["stuck"]) == ["acknowledge"]


@pytest.mark.parametrize("what", ["effect", "state"])
@patches_compiled
def test_an_entity_that_became_too_large_costs_itself_only(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    codes = [f"O-{n}" for n in range(12)]
    logs = Logs(channels=make_channels(sla={"submit_s": 10}))
    for code in codes:
        logs.call("create-outward-order", create_body(code), code)
    logs.run()
    large = order_key(CHANNEL, codes[0])
    if what == "state":
        too_much = b" " * (VALUE_BYTES_MAX + 1)

        def encoded(entity: Entity, origin: int) -> NextPart:
            return NextPart(0, too_much) if entity.code == codes[0] else next_part(entity, origin)

        monkeypatch.setattr(stored_entity, "next_part", encoded)
    else:
        perform = EffectEncoder.encode_effect

        def performed(self: EffectEncoder, *given: Any) -> Effect:
            effect = perform(self, *given)
            return replace(effect, value=b" " * (VALUE_BYTES_MAX + 1)) if effect.key == large else effect

        monkeypatch.setattr(EffectEncoder, "encode_effect", performed)
    left = logs.tick(logs.now_ms + 10_000)
    assert sorted(effect.key for effect in left) == sorted(order_key(CHANNEL, code) for code in codes[1:])
    assert logs.rejected == []
    stuck = {key for key, known in logs.states_by_key().items() if known.get("stuck")}
    assert stuck == {order_key(CHANNEL, code) for code in codes[1:]}


def test_a_tick_of_a_former_owner_and_one_that_comes_twice_find_nothing_to_do() -> None:
    logs = Logs(channels=make_channels(sla={"submit_s": 10}))
    logs.call("create-outward-order", create_body(), "create")
    logs.run()
    logs.tick(logs.now_ms + 10_000)
    before, left = logs.states_by_key(), len(logs.effects)
    for partition in range(len(logs.states)):
        for until_ms in (logs.now_ms - 5_000, logs.now_ms):
            effect = tick_record(partition, Until(until_ms), "another", logs.now_ms)
            logs.append(effect.key, effect.value, effect.headers, partition)
    logs.run()
    assert (logs.states_by_key(), len(logs.effects)) == (before, left)
