"""Reading all partitions of deliveries.dead, for a redrive. Implements gateway.ports.DeadLog."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition

from gateway.kafka import CLIENT_ID
from gateway.kafka.log_reader import CHUNK_RECORDS_MAX, POLL_MS, answered
from gateway.ports import LogRecord
from topics.configuration.settings import Settings
from topics.kafka import clients
from topics.kafka.catalogue import BY_NAME, RECORD_BYTES_MAX

FETCH_BYTES_MAX = 2 * RECORD_BYTES_MAX
"""Fetched and not yet looked at: a dead letter has the whole body of its request."""


class Reading:
    def __init__(self, consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> None:
        self.ends = {place.partition: end for place, end in ends.items()}
        self.at_end = False
        self._consumer = consumer
        self._ends = ends

    async def next(self, *, wait: bool = True) -> Sequence[tuple[int, LogRecord]]:
        async with answered():
            timeout_ms = POLL_MS if wait else 0
            found = await self._consumer.getmany(timeout_ms=timeout_ms, max_records=CHUNK_RECORDS_MAX)
            if not found and wait:
                positions = [await self._consumer.position(place) >= end for place, end in self._ends.items()]
                self.at_end = all(positions)
        await asyncio.sleep(0)  # fetched records come without a pause, and the loop is not ours alone
        return [
            (place.partition, LogRecord(one.offset, one.timestamp, one.key, one.value, tuple(one.headers)))
            for place, records in found.items()
            for one in records
        ]


class KafkaDeadLog:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = BY_NAME["deliveries.dead"].full_name(settings.topic_prefix)

    @asynccontextmanager
    async def reading(self, *, since_ms: int = 0, starts: Mapping[int, int] | None = None) -> AsyncIterator[Reading]:
        consumer = clients.consumer(self._settings, CLIENT_ID, fetch_max_bytes=FETCH_BYTES_MAX)
        try:
            wanted = range(self._settings.partitions) if starts is None else sorted(starts)
            places = [TopicPartition(self._topic, partition) for partition in wanted]
            async with answered():
                await consumer.start()
                consumer.assign(places)
                begins = await consumer.beginning_offsets(places)
                ends = await consumer.end_offsets(places)
                since = await consumer.offsets_for_times(dict.fromkeys(places, since_ms)) if since_ms > 0 else {}
                for place in places:
                    start = begins[place]
                    if starts is not None:
                        start = max(start, starts[place.partition])
                    elif since_ms > 0:
                        found = since[place]
                        start = ends[place] if found is None else found.offset
                    consumer.seek(place, start)
            yield Reading(consumer, ends)
        finally:
            await consumer.stop()
