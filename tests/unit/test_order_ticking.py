"""Finding what is due, and writing ticks for it.

Property: the index finds exactly the entities whose state is due, whatever changed in between; a tick is written only
where something is due and none is out, at once while more is due; an entity that cannot be decided holds up no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.order.limits import TICK_ENTITIES_MAX
from streams.order.ticking import Due, Ticker, tick_record, until_of
from streams.runtime.role import Change, Effect, PartitionLost, Poison, Record
from tests.support.eventually import eventually
from tests.support.orders import CHANNEL, CODE, create_body
from tests.support.orders_log import Logs, make_channels
from topics.keys import TICK_KEY, order_key

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


def state(due_ms: int) -> bytes:
    return b'{"due":%d,"kind":"order"}' % due_ms


KEYS = st.integers(0, 5).map(lambda n: b"%d" % n)
TIMES = st.integers(0, 6 * MINUTE_MS)
CHANGES = st.lists(st.one_of(st.tuples(KEYS, TIMES), st.tuples(KEYS, st.none()), TIMES), max_size=40)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(KEYS, TIMES), CHANGES)
def test_it_finds_exactly_what_is_due(first: dict[bytes, int], changes: list[Any]) -> None:
    table = FakeTable({key: state(due_ms) for key, due_ms in first.items()})
    due = Due(table)
    known = dict(first)
    for change in [*changes, 6 * MINUTE_MS]:
        if isinstance(change, tuple):
            key, due_ms = change
            if due_ms is None:
                known.pop(key, None)
                table.delete(key)
            else:
                known[key] = due_ms
                due.note(key, table.get(key), state(due_ms))
                table.put(key, state(due_ms))
            continue
        expected = {key for key, due_ms in known.items() if 0 < due_ms <= change}
        assert bool(due.until(change)) is bool(expected)
        assert set(due.take(change)) == expected
        for key in expected:
            known[key] = 0 if key < b"3" else change + MINUTE_MS
            table.put(key, state(known[key]))
            due.put_back(key, change)


def test_what_is_due_and_stays_due_is_left_out() -> None:
    table = FakeTable({b"a": state(5), b"b": state(6)})
    due = Due(table)
    assert list(due.take(10)) == [b"a", b"b"]
    due.put_back(b"a", 10)
    assert due.until(10) == 0
    due.rebuild()
    assert due.until(10) == 10


def test_a_tick_is_for_as_many_as_are_allowed_and_the_longest_due_come_first() -> None:
    due = Due(FakeTable({b"%d" % n: state(1_000 + n) for n in range(TICK_ENTITIES_MAX + 10)}))
    until_ms = due.until(MINUTE_MS)
    assert until_ms == 1_000 + TICK_ENTITIES_MAX - 1
    assert len(list(due.take(until_ms))) == TICK_ENTITIES_MAX
    assert due.until(MINUTE_MS) == MINUTE_MS


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
        ticker.partition_ready(partition, FakeTable({b"a": state(due_ms)}))
    await ticker.tick(committer)
    assert committer.ticks == [(1, 100), (2, 100)]
    await ticker.tick(committer)
    assert len(committer.ticks) == 2, "they are not decided yet"
    due = ticker.due(1)
    assert due is not None
    ticker.decided(due)
    ticker.partition_lost(2)
    await ticker.tick(committer)
    assert committer.ticks[2:] == [(1, 100)]


async def test_a_partition_that_left_costs_its_own_tick_only() -> None:
    ticker, committer = Ticker(10, lambda: 100), FakeCommitter()
    for partition in (1, 2):
        ticker.partition_ready(partition, FakeTable({b"a": state(50)}))
    committer.lost = {1}
    await ticker.tick(committer)
    assert committer.ticks == [(2, 100)]


async def test_more_that_is_due_gets_its_tick_at_once() -> None:
    ticker, committer = Ticker(3_600, lambda: MINUTE_MS), FakeCommitter()
    table = FakeTable({b"%d" % n: state(1_000 + n) for n in range(TICK_ENTITIES_MAX + 10)})
    ticker.partition_ready(0, table)
    ticker.start(committer)
    await eventually(lambda: len(committer.ticks) == 1)
    due = ticker.due(0)
    assert due is not None
    for key in list(due.take(committer.ticks[0][1])):
        table.put(key, state(0))
        due.put_back(key, MINUTE_MS)
    ticker.decided(due)
    await eventually(lambda: len(committer.ticks) == 2)
    await ticker.stop()


async def test_a_ticker_that_cannot_go_on_ends_the_process() -> None:
    ticker, committer = Ticker(10, lambda: 100), FakeCommitter()
    committer.broken = RuntimeError("no more")
    ticker.partition_ready(0, FakeTable({b"a": state(50)}))
    ticker.start(committer)
    await eventually(lambda: committer.failed is committer.broken)
    await ticker.stop()


def record(value: bytes, timestamp_ms: int = 100) -> Record:
    return Record(0, 0, timestamp_ms, TICK_KEY, value, ())


def test_a_tick_never_looks_past_its_own_time() -> None:
    assert until_of(record(tick_record(0, 70, "n", 70).value)) == 70
    assert until_of(record(tick_record(0, 170, "n", 70).value)) == 100


@pytest.mark.parametrize("value", [b"{", b"[]", b"{}", b'{"untilMs":"1"}', b'{"untilMs":true}'])
def test_what_is_no_tick_is_set_aside(value: bytes) -> None:
    with pytest.raises(Poison):
        until_of(record(value))
    logs = Logs()
    logs.append(TICK_KEY, value, tick_record(0, 1, "n", 1).headers, 0)
    logs.run()
    assert [code for code, _ in logs.rejected] == ["BAD_DATA"]


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


def test_a_tick_of_a_former_owner_and_one_that_comes_twice_find_nothing_to_do() -> None:
    logs = Logs(channels=make_channels(sla={"submit_s": 10}))
    logs.call("create-outward-order", create_body(), "create")
    logs.run()
    logs.tick(logs.now_ms + 10_000)
    before, left = logs.states_by_key(), len(logs.effects)
    for partition in range(len(logs.states)):
        for until_ms in (logs.now_ms - 5_000, logs.now_ms):
            effect = tick_record(partition, until_ms, "another", logs.now_ms)
            logs.append(effect.key, effect.value, effect.headers, partition)
    logs.run()
    assert (logs.states_by_key(), len(logs.effects)) == (before, left)
