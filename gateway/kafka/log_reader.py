"""Reading a partition of orders.events for one call. Implements gateway.ports.FactLog.

A receiver that fills a gap is rare, so each call has a consumer of its own, without a group; few read at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from gateway.kafka import CLIENT_ID
from gateway.ports import LogRecord, Overloaded, Unavailable
from topics.configuration.settings import Settings
from topics.kafka import clients
from topics.kafka.catalogue import BY_NAME

READINGS_MAX = 4
"""At once, of one gateway: each fetches FETCH_BYTES_MAX ahead, and reading is the gateway's processor time."""
FETCH_BYTES_MAX = 1 << 20
"""Fetched and not yet looked at, of one call."""
WAIT_S = 5.0
"""How long a call waits for its turn to read."""
KAFKA_TIMEOUT_S = 5.0
"""How long Kafka may take for an answer about the log."""
CHUNK_RECORDS_MAX = 500
"""Handled before the event loop gets a turn: some milliseconds."""
POLL_MS = 100
"""How long one read waits when there is nothing."""


class Reading:
    def __init__(self, consumer: AIOKafkaConsumer, place: TopicPartition, begins: int, ends: int) -> None:
        self.partition = place.partition
        self.begins = begins
        self.ends = ends
        self._consumer = consumer
        self._place = place

    async def at(self, time_ms: int) -> int:
        if time_ms <= 0:
            return self.begins
        async with answered():
            found = (await self._consumer.offsets_for_times({self._place: time_ms}))[self._place]
        return self.ends if found is None else int(found.offset)

    async def seek(self, offset: int) -> None:
        self._consumer.seek(self._place, offset)

    async def next(self) -> Sequence[LogRecord]:
        async with answered():
            found = await self._consumer.getmany(self._place, timeout_ms=POLL_MS, max_records=CHUNK_RECORDS_MAX)
        await asyncio.sleep(0)  # fetched records come without a pause, and the loop is not ours alone
        return [
            LogRecord(one.offset, one.timestamp, one.key, one.value, tuple(one.headers))
            for records in found.values()
            for one in records
        ]


class KafkaFactLog:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = BY_NAME["orders.events"].full_name(settings.topic_prefix)
        self._turns = asyncio.Semaphore(READINGS_MAX)

    @asynccontextmanager
    async def reading(self, partition: int) -> AsyncIterator[Reading]:
        try:
            async with asyncio.timeout(WAIT_S):
                await self._turns.acquire()
        except TimeoutError:
            raise Overloaded(f"{READINGS_MAX} calls read the facts already") from None
        consumer = clients.consumer(self._settings, CLIENT_ID, partition_fetch_bytes=FETCH_BYTES_MAX)
        try:
            place = TopicPartition(self._topic, partition)
            async with answered():
                await consumer.start()
                consumer.assign([place])
                begins = (await consumer.beginning_offsets([place]))[place]
                ends = (await consumer.end_offsets([place]))[place]
            yield Reading(consumer, place, begins, ends)
        finally:
            self._turns.release()
            await consumer.stop()


@asynccontextmanager
async def answered() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(KAFKA_TIMEOUT_S):
            yield
    except (KafkaError, OSError, TimeoutError) as error:
        raise Unavailable(f"orders.events cannot be read: {error!r}") from error
