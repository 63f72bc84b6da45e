"""What others write into a changelog leaves a gap: older, it is written again; newer, it is the end.

The log here is one list: what the producer wrote, and between it what a former or a newer owner did.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka.errors import KafkaConnectionError

from streams.runtime.durability.late_writes import FencedError
from streams.runtime.durability.offset_ledger import OffsetLedger
from streams.runtime.metrics import Metrics
from streams.runtime.tables.partition_table import MakeTable, PartitionState
from tests.fakes.runtime import TABLE_KINDS, FakeChangelogReader, Written, fake_commit, fake_publisher
from topics.records.reading import MADE_BY, OWNER_KEY

TOPIC = "t.state.v1"


class Bench:
    """A worker that owns partition 0 at epoch 5."""

    def __init__(self, kind: MakeTable) -> None:
        publisher, self.producer = fake_publisher("state", "out")
        self.reader = FakeChangelogReader(self.producer.log)
        self.metrics = Metrics("test")
        self.failures: list[BaseException] = []
        self.commit = fake_commit(
            publisher, OffsetLedger(), self.failures.append, metrics=self.metrics, reader=self.reader
        )
        self.state = PartitionState(0, ["state"], kind)
        self.state.epoch = 5
        self.state.claim = b"claim 5"
        (self.table,) = self.state.all
        self.table.log_end = 0

    def put(self, key: bytes, value: bytes | None, offset: int) -> asyncio.Future[None]:
        self.state.offset = offset
        self.table.overlay[key] = value
        self.table.merge()
        self.commit.add_state(self.state)
        return self.commit.add_waiter()

    async def look(self) -> None:
        self.commit.audit([self.state])
        await self.commit.drain()

    def other_writes(self, epoch: int, *keys: bytes) -> None:
        self.producer.log.extend(Written(TOPIC, 0, key, b"theirs", ((MADE_BY, b"%d/9" % epoch),)) for key in keys)

    def log(self) -> list[tuple[bytes, bytes | None, bytes]]:
        return [(each.key, each.value, each.headers[-1][1]) for each in self.producer.topic("state")]


@pytest.fixture(params=TABLE_KINDS)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    bench = Bench(request.param)
    bench.commit.start()
    await bench.put(b"c|l|a", b"1", 1)
    await bench.put(b"c|l|gone", b"1", 2)
    await bench.put(b"c|l|gone", None, 3)
    yield bench
    await bench.commit.stop()


async def test_what_a_former_owner_wrote_is_written_again_with_the_next_group(bench: Bench) -> None:
    bench.other_writes(4, b"c|l|a", b"c|l|gone", b"c|l|never seen", OWNER_KEY)
    await bench.put(b"c|l|b", b"1", 4)
    await bench.commit.drain()
    assert bench.log()[7] == (b"c|l|b", b"1", b"5/4")
    assert sorted(bench.log()[8:]) == [
        (b"c|l|a", b"1", b"5/1"),
        (b"c|l|gone", None, b"5/3"),
        (b"c|l|never seen", None, b"5/-1"),
        (OWNER_KEY, b"claim 5", b"5/-1"),
    ]
    assert b"sluice_runtime_records_late_total 4.0" in bench.metrics.text()
    assert dict(bench.table.items()) == {b"c|l|a": b"1", b"c|l|b": b"1"}, "nobody believed it meanwhile"
    await bench.put(b"c|l|b", b"2", 5)
    await bench.commit.drain()
    assert len(bench.log()) == 13, "once is enough"


async def test_a_key_that_changes_meanwhile_is_written_once_as_it_is_then(bench: Bench) -> None:
    bench.other_writes(4, b"c|l|a")
    await bench.put(b"c|l|b", b"1", 4)
    await bench.put(b"c|l|a", b"2", 5)
    await bench.commit.drain()
    assert bench.log()[-1] == (b"c|l|a", b"2", b"5/5")


async def test_an_owner_that_writes_nothing_finds_it_when_it_looks(bench: Bench) -> None:
    bench.other_writes(4, b"c|l|a")
    await bench.look()
    assert bench.log()[-1] == (b"c|l|a", b"1", b"5/1")
    before = len(bench.log())
    await bench.look()
    assert len(bench.log()) == before


async def test_looking_waits_for_kafka_and_ends_nothing(bench: Bench) -> None:
    bench.other_writes(4, b"c|l|a")
    bench.reader.failure = KafkaConnectionError("away")
    await bench.look()
    assert not bench.failures
    bench.reader.failure = None
    await bench.look()
    assert bench.log()[-1] == (b"c|l|a", b"1", b"5/1")


@pytest.mark.parametrize("looks", [False, True])
async def test_who_finds_a_newer_owner_is_the_former_one_and_ends(bench: Bench, looks: bool) -> None:
    """And what it wrote last does not count as durable: whoever waits for it must not go on."""
    bench.other_writes(6, OWNER_KEY)
    waiter = None
    if looks:
        bench.commit.audit([bench.state])
    else:
        waiter = bench.put(b"c|l|a", b"2", 4)
    while not bench.failures:  # noqa: ASYNC110 - the group commit ends, and says so only here
        await asyncio.sleep(0)
    assert isinstance(bench.failures[0], FencedError)
    if waiter is not None:
        with pytest.raises(RuntimeError, match="could not be made durable"):
            await waiter


async def test_an_acknowledgement_without_an_offset_hides_nothing(bench: Bench) -> None:
    """Kafka may know that it has a batch, sent again, and no longer where it is."""
    bench.other_writes(4, b"c|l|a")
    bench.producer.hides_offsets = True
    await bench.put(b"c|l|b", b"1", 4)
    bench.producer.hides_offsets = False
    await bench.commit.drain()
    assert (b"c|l|a", b"1", b"5/1") in bench.log()[-1:]
    await bench.put(b"c|l|b", b"2", 5)
    await bench.commit.drain()
    assert len([each for each in bench.log() if each[0] == b"c|l|a"]) == 3
