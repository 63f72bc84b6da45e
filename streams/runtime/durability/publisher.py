"""Producer batches, filled while deciding and sent as a whole.

The producer is idempotent with acks=all: aiokafka retries, keeps the order of a partition, and writes nothing twice. It
never gives up a batch it has taken, so an outage of any length is waited for; /live reports a long one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from operator import length_hint
from typing import Any

from aiokafka.errors import KafkaTimeoutError
from mypy_extensions import mypyc_attr

from streams.runtime.limits import BATCH_BYTES_MAX, VALUE_BYTES_MAX
from streams.runtime.rejected import REJECTED_TOPIC
from topics.configuration.settings import Settings
from topics.kafka import clients
from topics.kafka.catalogue import RECORD_BYTES_MAX
from topics.records.keys import partition_of
from topics.records.skips import SKIPS

log = logging.getLogger(__name__)

Header = tuple[str, bytes]


class TooLargeError(ValueError):
    """A record does not fit the topics' limit."""


@mypyc_attr(native_class=False)
class UnknownTopicError(RuntimeError):
    """An effect names a topic that does not exist: topics are made from the catalogue, never by a role."""


SIZED_EVERY = 256
"""Records of some hundred bytes between two looks at a batch's size, which costs as much as a record."""


class Batches:
    """The batches of one topic partition, filled in order."""

    __slots__ = ("_append", "_builder", "_producer", "_size", "acknowledged", "built", "partition", "topic")

    def __init__(self, producer: Any, topic: str, partition: int) -> None:
        self._producer = producer
        self.topic = topic
        self.partition = partition
        self.built: list[Any] = []
        self.acknowledged: list[tuple[int, int]] = []
        """First offset (-1: Kafka did not say) and number of records of each batch sent."""
        self._open()

    def _open(self) -> None:
        self._builder = self._producer.batch_of(self.topic, self.partition)
        self._append = self._builder._builder.append
        self._size = 0
        self.built.append(self._builder)

    def append(self, key: bytes | None, value: bytes | None, headers: list[Header]) -> None:
        """`headers` is a list, and no other record's: aiokafka takes nothing else."""
        size = (len(key) if key is not None else 0) + (len(value) if value is not None else 0)
        if self._size + size > BATCH_BYTES_MAX and self._size:
            self._open()
        if not self._take(key, value, headers):
            # Headers may be larger than estimated; an empty batch takes every record that the size check let pass.
            self._open()
            if not self._take(key, value, headers):
                raise TooLargeError(f"a record of {size} bytes for {self.topic} does not fit {RECORD_BYTES_MAX} bytes")
        self._size += size

    def _take(self, key: bytes | None, value: bytes | None, headers: list[Header]) -> bool:
        """Whether the open batch has room for the record, and has it now. Goes past aiokafka's layer in Python around
        the builder: that takes half of the time of a record."""
        builder = self._builder
        number: int = builder._relative_offset
        if self._append(number, None, key, value, headers) is None:
            return False
        builder._relative_offset = number + 1
        return True

    def extend(self, keys: Sequence[bytes], values: Sequence[bytes], headers: Sequence[list[Header]]) -> int:
        """Appends many keys and values with their headers, which records may share. Returns the bytes they take.

        Does the same as `append` in less time: no step of Python comes between two records.
        """
        taken, begin, done = 0, self._builder.size(), 0
        while done < len(keys):
            if self._builder.size() > BATCH_BYTES_MAX and self._builder.record_count():
                taken, begin = taken + self._builder.size() - begin, 0
                self._open()
            some = slice(done, done + SIZED_EVERY)
            fitting, is_full = self._extend(keys[some], values[some], headers[some])
            done += fitting
            if is_full:
                taken, begin = taken + self._builder.size() - begin, 0
                self._open()
                self.append(keys[done], values[done], headers[done])
                done += 1
        self._size = self._builder.size()
        return int(taken + self._size - begin)

    def _extend(
        self, keys: Sequence[bytes], values: Sequence[bytes], headers: Sequence[list[Header]]
    ) -> tuple[int, bool]:
        """Returns how many were appended, and whether the next one does not fit."""
        builder = self._builder
        first: int = builder._relative_offset
        numbers = iter(range(first, first + len(keys)))
        now_ms = repeat(int(time.time() * 1000))
        is_full = None in map(builder._builder.append, numbers, now_ms, keys, values, headers)
        fitting = len(keys) - length_hint(numbers) - is_full
        builder._relative_offset = first + fitting
        return fitting, is_full

    def is_empty(self) -> bool:
        return len(self.built) == 1 and not self._builder.record_count()

    async def send(self) -> int:
        """Sends all batches in order; returns when all are acknowledged by all replicas."""
        futures = [await self.enqueue(builder) for builder in self.built]
        return self.acknowledge(await asyncio.gather(*futures))

    async def enqueue(self, builder: Any) -> Any:
        """Gives one of `built` to the producer. Returns a future of its acknowledgement."""
        builder.close()
        while True:
            try:
                return await self._producer.send_batch(builder, self.topic, partition=self.partition)
            except KafkaTimeoutError:
                # aiokafka takes one batch per partition, and the one before still waits for a broker. This one was not
                # taken, so giving it again writes nothing twice.
                log.warning("%s/%d: still waiting for a broker to take a batch", self.topic, self.partition)

    def acknowledge(self, acknowledged: Sequence[Any]) -> int:
        """Notes Kafka's answer to each batch. Returns the number of records."""
        counts = [builder.record_count() for builder in self.built]
        self.acknowledged += [(said.offset, count) for said, count in zip(acknowledged, counts, strict=True)]
        return sum(counts)


class Publisher:
    """The worker's one producer."""

    def __init__(self, settings: Settings, client_id: str) -> None:
        self._prefix = settings.topic_prefix
        self._settings = settings
        self._client_id = client_id
        self._producer: Any = None
        self._partitions: dict[str, int] = {}
        self._names: dict[str, str] = {}

    async def start(self) -> None:
        self._producer = clients.producer(self._settings, self._client_id)
        await self._producer.start()
        cluster = await self._producer.client.fetch_all_metadata()
        for topic in cluster.topics():
            if topic.startswith(self._prefix + "."):
                self._partitions[topic] = len(cluster.partitions_for_topic(topic) or ())

    async def stop(self) -> None:
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await producer.stop()

    def full_name(self, topic: str) -> str:
        name = self._names.get(topic)
        if name is None:
            name = self._names[topic] = f"{self._prefix}.{topic}.v1"
        return name

    def partitions(self, topic: str) -> int:
        """How many partitions a topic (full name) has."""
        found = self._partitions.get(topic, 0)
        if not found:
            raise UnknownTopicError(f"topic {topic} does not exist; make the topics with `sluice topics create`")
        return found

    def check(self, source: str, tables: Sequence[str], targets: Sequence[str] = ()) -> None:
        """Raises UnknownTopicError when a topic (catalogue name) is missing or a table has other partitions than the
        source."""
        expected = self.partitions(self.full_name(source))
        for topic in (REJECTED_TOPIC, SKIPS, *targets):
            self.partitions(self.full_name(topic))
        for table in tables:
            found = self.partitions(self.full_name(table))
            if found != expected:
                raise UnknownTopicError(
                    f"topic {self.full_name(table)} has {found} partitions and {self.full_name(source)} {expected}:"
                    " a table lives in its source's partitions"
                )

    def partition_for(self, topic: str, key: bytes, partition: int | None) -> int:
        partitions = self.partitions(topic)
        if partition is None:
            return partition_of(key, partitions)
        if not 0 <= partition < partitions:
            raise UnknownTopicError(f"topic {topic} has {partitions} partitions, and no partition {partition}")
        return partition

    def batches(self, topic: str, partition: int) -> Batches:
        return Batches(self._producer, topic, partition)


async def send_all(batches: Sequence[Batches]) -> int:
    """Sends to all topic partitions at once; returns the number of records when all are acknowledged."""
    if any(len(each.built) > 1 for each in batches):
        return sum(await asyncio.gather(*(each.send() for each in batches)))
    # The producer takes a partition's first batch at once: no task of its own is needed to wait for that.
    futures = [await each.enqueue(each.built[0]) for each in batches]
    acknowledged = await asyncio.gather(*futures)
    return sum(each.acknowledge([said]) for each, said in zip(batches, acknowledged, strict=True))


def check_fit(*values: Iterable[bytes | None]) -> None:
    """Raises TooLargeError for a value that fits no topic."""
    for value in chain(*values):
        if not fits(value):
            raise TooLargeError(f"a value of {len(value or b'')} bytes fits no topic")


def fits(value: bytes | None) -> bool:
    return value is None or len(value) <= VALUE_BYTES_MAX
