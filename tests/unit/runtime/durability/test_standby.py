"""A standby keeps tables of others current, and a takeover from it reads on to the end of the log first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams.runtime.durability.claim import Claims, Takeover
from streams.runtime.durability.rebalance_steps import RebalanceSteps
from streams.runtime.durability.rebuild import Rebuild
from streams.runtime.durability.recovery import Recovery
from streams.runtime.durability.standby import Standby
from streams.runtime.limits import STANDBY_KEY_BYTES
from streams.runtime.metrics import Metrics
from streams.runtime.tables.partition_table import PartitionState, PartitionTable
from tests.fakes.runtime import FakeChangelogReader, Written, fake_publisher, valid
from tests.support.eventually import eventually

TOPIC = "sluice.state.v1"


def place(partition: int) -> TopicPartition:
    return TopicPartition(TOPIC, partition)


def written(partition: int, key: bytes, value: bytes | None, offset: int, epoch: int = 1) -> Written:
    return Written(TOPIC, partition, key, value, (("sluice-made-by", b"%d/%d" % (epoch, offset)),))


class FakeConsumer:
    """Gives what a log has behind each position, one batch at a time."""

    def __init__(self, reader: StandbyReader) -> None:
        self._reader = reader
        self._positions: dict[TopicPartition, int] = {}

    def assign(self, places: Collection[TopicPartition]) -> None:
        self._positions = dict.fromkeys(places, 0)

    def seek(self, at: TopicPartition, offset: int) -> None:
        self._positions[at] = offset

    async def getmany(self, *_: TopicPartition, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        assert timeout_ms > 0
        assert max_records > 0
        await asyncio.sleep(0)
        if self._reader.failures:
            raise self._reader.failures.pop()
        found = {}
        for at, position in self._positions.items():
            records = [each for each in self._reader._records(at) if each.offset >= position]
            if records:
                found[at] = [records]
                self._positions[at] = records[-1].offset + 1
        return found


class StandbyReader(FakeChangelogReader):
    def __init__(self, log: list[Written]) -> None:
        super().__init__(log)
        self.failures: list[Exception] = []
        self.began: list[Mapping[TopicPartition, int]] = []
        self.open = 0
        """Consumers that were not closed."""

    @asynccontextmanager
    async def consumer(self, **_: Any) -> AsyncIterator[Any]:
        self.open += 1
        yield FakeConsumer(self)
        self.open -= 1

    async def read(self, partitions: Any, apply: Any, *, first: Any = None, end: Any = None) -> Any:
        self.began.append(dict(first or {}))
        return await super().read(partitions, apply, first=first, end=end)


def fresh(partition: int) -> Takeover:
    state = PartitionState(partition, ("state",), PartitionTable)
    return Takeover(state, [Rebuild(state.all[0], TOPIC)])


class Lab:
    def __init__(self, bytes_max: int = 1 << 20, committed: Mapping[int, int] | None = None) -> None:
        publisher, producer = fake_publisher()
        self.log: list[Written] = producer.log
        self.reader = StandbyReader(self.log)
        self.metrics = Metrics("test")

        async def ask() -> Mapping[int, int]:
            return committed or {}

        self.standby = Standby(self.reader, fresh, ask, bytes_max, self.metrics)
        self.recovery = Recovery(
            self.reader,
            Claims(publisher, self.reader, valid, "worker"),
            lambda _: TOPIC,
            ("state",),
            PartitionTable,
            self.metrics,
            lambda: None,
            RebalanceSteps(self.metrics, "worker"),
        )

    async def reads(self, records: int) -> None:
        def applied() -> bool:
            return bool(self.metrics.standby_records._value.get() == records)

        await eventually(applied, what=lambda: f"{records} records, {self.metrics.standby_records._value.get()} so far")

    async def recovered(self, *partitions: int, epoch: int = 5) -> dict[int, dict[bytes, bytes]]:
        states = await self.recovery.recover(partitions, epoch, self.standby)
        return {state.partition: dict(state.all[0].items()) for state in states}


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    made = Lab()
    made.standby.start()
    yield made
    await made.standby.stop()


async def test_a_takeover_reads_on_where_the_standby_is(lab: Lab) -> None:
    lab.log += [written(0, b"a", b"1", 0), written(1, b"b", b"1", 0), written(0, b"gone", b"1", 1)]
    lab.standby.follow({0, 1})
    await lab.reads(3)
    lab.standby.follow({1})  # 0 is another's to follow: what was read of it is dropped
    lab.standby.follow({0, 1})
    await lab.reads(5)
    taken = lab.standby.take(1)
    assert taken is not None
    lab.log += [written(0, b"a", b"2", 2), written(0, b"gone", None, 3)]
    assert await lab.recovered(0) == {0: {b"a": b"2"}}
    assert lab.reader.began[0] == {place(0): 2}
    assert lab.standby.take(0) is None


async def test_a_partition_that_is_not_followed_is_read_from_its_beginning(lab: Lab) -> None:
    lab.log += [written(0, b"a", b"1", 0), written(1, b"b", b"1", 0)]
    lab.standby.follow({1})
    await lab.reads(1)
    assert await lab.recovered(0, 1) == {0: {b"a": b"1"}, 1: {b"b": b"1"}}
    assert lab.reader.began[0] == {place(1): 1}


async def test_what_a_former_owner_writes_behind_a_claim_counts_nowhere(lab: Lab) -> None:
    lab.log += [written(0, b"a", b"1", 0, epoch=2), written(0, b"a", b"2", 1, epoch=3)]
    lab.standby.follow({0})
    await lab.reads(2)
    lab.log += [written(0, b"a", b"late", 9, epoch=2), written(0, b"b", b"late", 9, epoch=2)]
    await lab.reads(4)
    (state,) = await lab.recovery.recover([0], 5, lab.standby)
    assert dict(state.all[0].items()) == {b"a": b"2"}
    assert state.all[0].overwritten == {b"a", b"b"}
    assert state.epoch == 5


async def test_a_log_that_ends_before_what_was_read_is_read_anew(lab: Lab) -> None:
    lab.log += [written(0, b"a", b"1", 0), written(0, b"b", b"1", 1), written(1, b"c", b"1", 0)]
    lab.standby.follow({0, 1})
    await lab.reads(3)
    warm = lab.standby._warm[0]
    warm.positions[place(0)] = 100
    assert await lab.recovered(0, 1) == {0: {b"a": b"1", b"b": b"1"}, 1: {b"c": b"1"}}
    assert lab.reader.began == [{place(0): 100, place(1): 1}, {}, *lab.reader.began[2:]]


async def test_records_that_come_again_begin_the_table_anew(lab: Lab) -> None:
    lab.log += [written(0, b"a", b"1", 0), written(0, b"b", b"1", 1)]
    lab.standby.follow({0})
    await lab.reads(2)
    lab.standby._warm[0].positions[place(0)] = 7
    lab.log += [written(0, b"a", b"2", 2)]
    await lab.reads(5)
    warm = lab.standby.take(0)
    assert warm is not None
    assert dict(warm.takeover.state.all[0].items()) == {b"a": b"2", b"b": b"1"}


async def test_it_follows_again_after_all_was_taken(lab: Lab) -> None:
    lab.log += [written(0, b"a", b"1", 0)]
    lab.standby.follow({0})
    await lab.reads(1)
    assert await lab.recovered(0) == {0: {b"a": b"1"}}
    await eventually(lambda: not lab.reader.open, what="it has no consumer")
    lab.standby.follow({1})
    lab.log += [written(1, b"b", b"1", 0)]
    await lab.reads(2)


async def test_it_goes_on_after_kafka_was_away(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.runtime.durability.standby.STANDBY_RETRY_S", 0.01)
    lab.log += [written(0, b"a", b"1", 0)]
    lab.standby.follow({0})
    await lab.reads(1)
    lab.reader.failures += [KafkaError(), OSError()]
    lab.log += [written(0, b"a", b"2", 1)]
    await lab.reads(2)


async def test_a_failure_of_its_own_leaves_takeovers_to_the_log(lab: Lab) -> None:
    lab.log += [written(0, b"a", b"1", 0)]
    lab.standby.follow({0})
    await lab.reads(1)
    lab.reader.failures += [ValueError("a defect")]
    await eventually(lambda: lab.metrics.standby_partitions._value.get() == 0, what="it ends")
    lab.standby.follow({0, 1})
    assert await lab.recovered(0) == {0: {b"a": b"1"}}
    assert lab.reader.began[0] == {}


async def test_partitions_beyond_the_bound_are_left_out_until_the_next_rebalance(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One line says which."""
    lab = Lab(bytes_max=2 * STANDBY_KEY_BYTES + 20)
    lab.standby.start()
    try:
        lab.log += [written(0, b"a", b"1", 0), *(written(n, b"b", b"x" * 600, 0) for n in (1, 2))]
        lab.standby.follow({0, 1, 2})
        await eventually(lambda: lab.metrics.standby_partitions._value.get() == 1, what="two are left out")
        assert lab.standby.take(1) is lab.standby.take(2) is None
        assert lab.standby.take(0) is not None
        await eventually(lambda: "leaves out" in caplog.text, what="the log says which")
        assert len(caplog.records) == 1
        assert "leaves out partitions [1, 2]" in caplog.text
    finally:
        await lab.standby.stop()


async def test_without_room_nothing_is_followed() -> None:
    lab = Lab(bytes_max=0)
    lab.standby.start()
    lab.standby.follow({0})
    assert lab.standby.take(0) is None
    await lab.standby.stop()


async def test_deletions_by_committed_records_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.runtime.durability.standby.STANDBY_FORGET_S", 0.0)
    lab = Lab(committed={0: 6})
    lab.standby.start()
    try:
        lab.log += [written(0, b"old", None, 5), written(0, b"new", None, 6)]
        lab.standby.follow({0})
        await eventually(
            lambda: (
                (warm := lab.standby._warm.get(0)) is not None and warm.takeover.state.all[0].deleted == {b"new": 6}
            ),
            what="one deletion is left",
        )
    finally:
        await lab.standby.stop()
