"""A log to publish to and records to decide, for tests of the runtime without a broker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from streams.positions.position_table import PositionTable
from streams.runtime.durability.changelog import ChangelogReader
from streams.runtime.durability.group_commit import GroupCommit
from streams.runtime.durability.late_writes import LateWrites
from streams.runtime.durability.offset_ledger import OffsetLedger
from streams.runtime.durability.publisher import Publisher
from streams.runtime.metrics import Metrics
from streams.runtime.tables.partition_table import PartitionTable
from topics.configuration.settings import Settings

Headers = tuple[tuple[str, bytes], ...]

TABLE_KINDS = (PartitionTable, PositionTable)
"""What keeps a table in memory, for tests that any of them must pass."""


def raw_record(offset: int, value: bytes | None, key: bytes = b"k", headers: Sequence[tuple[str, bytes]] = ()) -> Any:
    """A record as aiokafka gives it; its timestamp is 1,000 and the offset."""
    size = len(value or b"")
    return ConsumerRecord("source", 0, offset, 1_000 + offset, 0, key, value, None, len(key), size, tuple(headers))


@dataclass(frozen=True)
class Written:
    """A record in the log of all topics, as the producer appends it."""

    topic: str
    partition: int
    key: bytes
    value: bytes | None
    headers: Headers


@dataclass(frozen=True)
class Read:
    offset: int
    key: bytes
    value: bytes | None
    headers: Headers


class FakeChangelogReader(ChangelogReader):
    """`log` is the producer's; a record's offset is its place among those of its partition."""

    def __init__(self, log: list[Written] | None = None) -> None:
        super().__init__(Settings(), "test")
        self._log = log if log is not None else []
        self.failure: Exception | None = None

    async def ends(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        if self.failure is not None:
            raise self.failure
        return {place: len(self._records(place)) for place in partitions}

    async def read(
        self,
        partitions: Collection[TopicPartition],
        apply: Callable[[TopicPartition, Sequence[Any]], None],
        *,
        first: Mapping[TopicPartition, int] | None = None,
        end: Mapping[TopicPartition, int] | None = None,
    ) -> dict[TopicPartition, int]:
        stands = {}
        for place in partitions:
            records = self._records(place)
            until = (end or {}).get(place, len(records))
            apply(place, records[(first or {}).get(place, 0) : until])
            stands[place] = until
        return stands

    def _records(self, place: TopicPartition) -> list[Read]:
        written = [each for each in self._log if (each.topic, each.partition) == place]
        return [Read(offset, each.key, each.value, each.headers) for offset, each in enumerate(written)]


@dataclass(frozen=True)
class Acknowledged:
    offset: int


class _Builder:
    """A batch of aiokafka and its builder in one."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes | None, tuple[tuple[str, bytes], ...]]] = []
        self._relative_offset = 0
        self._builder = self

    def append(
        self, number: int, timestamp: int | None, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> bool:
        assert number == len(self.records), "records of a batch are numbered without a gap"
        assert timestamp is None, "the producer's clock stamps records"
        self.records.append((key, value, tuple(headers)))
        return True

    def record_count(self) -> int:
        return len(self.records)

    def close(self) -> None:
        """Nothing more is appended."""


class FakeProducer:
    """Acknowledges at once, or when `acknowledge` is called; may refuse a topic."""

    def __init__(self) -> None:
        self.log: list[Written] = []
        self.asked: list[str] = []
        """Topics of the batches that were given, acknowledged or not."""
        self.refuse: dict[str, Exception] = {}
        self.held: dict[str, asyncio.Event] = {}
        """By topic, what its acknowledgement waits for."""
        self.hides_offsets = False
        self.open = asyncio.Event()
        self.open.set()

    def batch_of(self, _topic: str, _partition: int) -> _Builder:
        return _Builder()

    async def send_batch(self, batch: _Builder, topic: str, *, partition: int) -> asyncio.Future[Acknowledged]:
        self.asked.append(topic)
        future: asyncio.Future[Acknowledged] = asyncio.get_running_loop().create_future()
        if topic in self.refuse:
            future.set_exception(self.refuse[topic])
            return future
        await self.open.wait()
        await self.held.get(topic, self.open).wait()
        offset = sum((each.topic, each.partition) == (topic, partition) for each in self.log)
        future.set_result(Acknowledged(-1 if self.hides_offsets else offset))
        self.log += [Written(topic, partition, *record) for record in batch.records]
        return future

    def topic(self, name: str) -> list[Written]:
        return [record for record in self.log if record.topic == f"t.{name}.v1"]


def fake_publisher(*topics: str, partitions: int = 4) -> tuple[Publisher, FakeProducer]:
    """A Publisher with topic prefix `t` whose producer is fake."""
    publisher = Publisher(Settings(topic_prefix="t"), "test")
    producer = FakeProducer()
    publisher._producer = producer
    publisher._partitions = {f"t.{topic}.v1": partitions for topic in topics}
    return publisher, producer


async def valid() -> None:
    """The lease is valid."""


def fake_commit(
    publisher: Publisher,
    ledger: OffsetLedger,
    fail: Callable[[BaseException], None],
    *,
    metrics: Metrics | None = None,
    lease: Callable[[], Awaitable[None]] = valid,
    reader: FakeChangelogReader | None = None,
) -> GroupCommit:
    metrics = metrics or Metrics("test")
    return GroupCommit(publisher, ledger, metrics, fail, lease, LateWrites(reader or FakeChangelogReader(), metrics))
