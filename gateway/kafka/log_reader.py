"""Readers of a topic for single calls: from any offset or time on, some records at a time.

Redrives and receivers that fill a gap are rare, so each reading has a consumer of its own, without a group.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from gateway.kafka import CLIENT_ID
from gateway.ports import LogRecord, Overloaded, Unavailable
from topics.configuration.settings import Settings
from topics.kafka import clients
from topics.kafka.catalogue import BY_NAME, RECORD_BYTES_MAX

READINGS_MAX = 4
"""Most readers of one topic at once: each fetches ahead and takes processor time of the gateway. A redrive needs
two."""
WAIT_S = 5.0
"""How long a call waits for its turn to read."""
KAFKA_TIMEOUT_S = 5.0
"""How long Kafka may take for an answer about the log."""
FACT_BYTES = 1 << 20
"""Fetched of a partition at once: some thirty of the largest facts."""
DEAD_LETTER_BYTES = RECORD_BYTES_MAX
"""The same of dead letters: each has the whole body of its request."""
CHUNK_RECORDS_MAX = 500
"""Handled before the event loop gets a turn: some milliseconds."""
POLL_MS = 100
"""How long one read waits when there is nothing."""


class TopicReading:
    """Implements gateway.ports.LogReading."""

    def __init__(
        self, consumer: AIOKafkaConsumer, topic: str, begins: Mapping[int, int], ends: Mapping[int, int]
    ) -> None:
        self.begins = begins
        self.ends = ends
        self.at_end = False
        self._consumer = consumer
        self._topic = topic

    async def offsets_at(self, time_ms: int) -> Mapping[int, int]:
        if time_ms <= 0:
            return self.begins
        wanted = {TopicPartition(self._topic, partition): time_ms for partition in self.ends}
        async with kafka_answers(self._topic):
            found = await self._consumer.offsets_for_times(wanted)
        return {at.partition: self.ends[at.partition] if one is None else one.offset for at, one in found.items()}

    def seek(self, offsets: Mapping[int, int]) -> None:
        for partition, offset in offsets.items():
            self._consumer.seek(TopicPartition(self._topic, partition), max(offset, self.begins[partition]))

    async def next(self, *, wait: bool = True) -> Sequence[tuple[int, LogRecord]]:
        async with kafka_answers(self._topic):
            found = await self._consumer.getmany(timeout_ms=POLL_MS if wait else 0, max_records=CHUNK_RECORDS_MAX)
            if not found and wait:
                self.at_end = await self._has_passed_ends()
        await asyncio.sleep(0)  # fetched records come without a pause, and the loop is not ours alone
        return [
            (at.partition, LogRecord(one.offset, one.timestamp, one.key, one.value, tuple(one.headers)))
            for at, records in found.items()
            for one in records
        ]

    async def _has_passed_ends(self) -> bool:
        for partition, end in self.ends.items():
            if await self._consumer.position(TopicPartition(self._topic, partition)) < end:
                return False
        return True


class TopicLog:
    """Implements gateway.ports.Log. `fetch_bytes`: fetched of one partition at once."""

    def __init__(self, settings: Settings, topic: str, fetch_bytes: int) -> None:
        self._settings = settings
        self._name = topic
        self._topic = BY_NAME[topic].full_name(settings.topic_prefix)
        self._fetch_bytes = fetch_bytes
        self._turns = asyncio.Semaphore(READINGS_MAX)

    @asynccontextmanager
    async def reading(self, partitions: Collection[int] | None = None) -> AsyncIterator[TopicReading]:
        await self._acquire_turn()
        consumer = clients.consumer(
            self._settings,
            CLIENT_ID,
            partition_fetch_bytes=self._fetch_bytes,
            fetch_max_bytes=2 * self._fetch_bytes,
        )
        try:
            wanted = range(self._settings.partitions) if partitions is None else partitions
            assigned = [TopicPartition(self._topic, partition) for partition in wanted]
            async with kafka_answers(self._topic):
                await consumer.start()
                consumer.assign(assigned)
                begins = await consumer.beginning_offsets(assigned)
                ends = await consumer.end_offsets(assigned)
            yield TopicReading(consumer, self._topic, _by_partition(begins), _by_partition(ends))
        finally:
            self._turns.release()
            await consumer.stop()

    async def _acquire_turn(self) -> None:
        try:
            async with asyncio.timeout(WAIT_S):
                await self._turns.acquire()
        except TimeoutError:
            raise Overloaded(f"{READINGS_MAX} calls read {self._name} already") from None


def fact_log(settings: Settings) -> TopicLog:
    return TopicLog(settings, "orders.events", FACT_BYTES)


def dead_letter_log(settings: Settings) -> TopicLog:
    return TopicLog(settings, "deliveries.dead", DEAD_LETTER_BYTES)


def action_log(settings: Settings) -> TopicLog:
    return TopicLog(settings, "operators.events", FACT_BYTES)


def _by_partition(offsets: Mapping[TopicPartition, int]) -> dict[int, int]:
    return {at.partition: offset for at, offset in offsets.items()}


@asynccontextmanager
async def kafka_answers(topic: str) -> AsyncIterator[None]:
    """Raises Unavailable when Kafka does not answer in time."""
    try:
        async with asyncio.timeout(KAFKA_TIMEOUT_S):
            yield
    except (KafkaError, OSError, TimeoutError) as error:
        raise Unavailable(f"{topic} cannot be read: {error!r}") from error
