"""The tail of one partition: what is written to it from an offset on, as it comes.

A consumer of aiokafka reads any number of partitions, with a task for each fetch, futures for whoever waits, and a
state for each partition. For one partition that is read all the time, that is half of the work. Records are parsed by
the same code.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    KafkaError,
    NoError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.fetch import FetchRequest

from topics.kafka.catalogue import RECORD_BYTES_MAX
from topics.kafka.fetched_records import BESIDE_TRANSACTIONS, FetchedBatches, ReadableRecords

log = logging.getLogger(__name__)

RETRY_S: Final = 0.1
"""Between two fetches while a broker cannot be asked, as in aiokafka."""
WAIT_MS: Final = 500
"""How long a broker holds a fetch back when there is nothing new, as in aiokafka."""
_LASTING: Final = (OffsetOutOfRangeError, TopicAuthorizationFailedError)
"""Errors that do not pass by themselves."""


class _TailRecords(ReadableRecords):
    """Records as the parser gives them: with an offset, a key, a value, a time and headers."""

    def _consumer_record(self, _place: TopicPartition, record: Any) -> Any:
        return record


class Tail:
    """Reads what was not written in transactions, which only other programs use."""

    def __init__(self, consumer: AIOKafkaConsumer, place: TopicPartition, offset: int) -> None:
        """`consumer` is started, and has no partitions; its connections are used."""
        self._client = consumer._client
        self._client.add_topic(place.topic)
        self._place = place
        self.offset = offset
        """The offset of the next record."""

    async def next(self) -> list[Any]:
        """The next records; none if there were none for a while. Raises KafkaError for what does not pass by itself:
        OffsetOutOfRangeError if there will be no record at this offset."""
        place = self._place
        leader = self._client.cluster.leader_for_partition(place)
        if leader is None or leader == -1:
            return await self._look_again(f"partition {place} has no leader")
        wanted = [(place.topic, [(place.partition, self.offset, RECORD_BYTES_MAX)])]
        try:
            answer = await self._client.send(
                leader, FetchRequest(WAIT_MS, 1, RECORD_BYTES_MAX, BESIDE_TRANSACTIONS, wanted)
            )
        except KafkaError as error:
            return await self._look_again(repr(error))
        if not answer.topics:  # a quota of this client is used up, and the broker answers without reading
            await asyncio.sleep(RETRY_S)
            return []
        ((_topic, ((_partition, code, _end, *_transactions, data),)),) = answer.topics
        kind = for_code(code)
        if kind is NoError:
            records = _TailRecords(
                place, FetchedBatches(data), None, self.offset, None, None, True, BESIDE_TRANSACTIONS
            )
            found = list(records)
            self.offset = records.next_fetch_offset
            return found
        if kind in _LASTING:
            raise kind(f"{place} at offset {self.offset}")
        return await self._look_again(kind.__name__)

    async def _look_again(self, why: str) -> list[Any]:
        """Asks which broker leads the partition, and waits a little."""
        log.debug("the tail of %s cannot be read now: %s", self._place, why)
        await asyncio.wait([self._client.force_metadata_update()], timeout=RETRY_S)
        await asyncio.sleep(RETRY_S)
        return []
