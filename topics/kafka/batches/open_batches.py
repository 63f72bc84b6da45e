"""Batches that take records until they leave: what comes for a partition while it waits for its turn joins its batch.

aiokafka has that for single records, at 15 to 19 us each; to append to a batch costs 3.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any

from aiokafka.errors import MessageSizeTooLargeError, ProducerClosed
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from topics.kafka.catalogue import RECORD_BYTES_MAX
from topics.kafka.clients import BatchProducer

RecordPlace = tuple[str, int, int]
"""Topic, partition and offset of an acknowledged record."""


class _Batch:
    """The records of a batch: their futures, and their sizes together."""

    __slots__ = ("builder", "futures", "partition", "size", "topic")

    def __init__(self, builder: Any, topic: str, partition: int) -> None:
        self.builder = builder
        self.topic = topic
        self.partition = partition
        self.size = 0
        self.futures: list[asyncio.Future[RecordPlace]] = []

    def acknowledge(self, first_offset: int) -> None:
        for offset, future in enumerate(self.futures, first_offset):
            if not future.done():  # else its caller gave up
                future.set_result((self.topic, self.partition, offset))

    def fail(self, error: BaseException) -> None:
        for future in self.futures:
            if not future.done():
                future.set_exception(copy.copy(error))  # an error for each, because each gets a traceback


class OpenBatches:
    """The open batches of one idempotent producer."""

    def __init__(self, producer: BatchProducer, settled: Callable[[int], None]) -> None:
        """`settled` is called with the size of each batch that was acknowledged or has failed."""
        self.producer = producer
        self._settled = settled
        self._open: dict[tuple[str, int], _Batch] = {}
        """The youngest batch of each partition, if it has not been settled."""
        self._waiting: set[asyncio.Task[None]] = set()
        """Tasks of batches that wait until the full one before them leaves."""

    def add(
        self,
        topic: str,
        partition: int,
        key: bytes,
        value: bytes,
        headers: list[tuple[str, bytes]],
        future: asyncio.Future[RecordPlace],
        size: int,
    ) -> None:
        """Gives a record its place behind all others of its partition. `future` ends with its acknowledgement.

        Raises KafkaError if the record cannot be sent. The topic's metadata has to be known.
        """
        batch = self._open.get((topic, partition))
        if (
            batch is not None
            and batch.builder.append(timestamp=None, key=key, value=value, headers=headers) is not None
        ):
            batch.futures.append(future)
            batch.size += size
            return
        needed = DefaultRecordBatchBuilder.estimate_size_in_bytes(key, value, headers)
        if needed > RECORD_BYTES_MAX:
            raise MessageSizeTooLargeError(f"a record of {needed} bytes; a topic takes {RECORD_BYTES_MAX}")
        batch = _Batch(self.producer.batch_of(topic, partition), topic, partition)
        batch.builder.append(timestamp=None, key=key, value=value, headers=headers)
        batch.futures.append(future)
        batch.size = size
        self._send(batch)
        self._open[topic, partition] = batch

    def _send(self, batch: _Batch) -> None:
        """Gives a batch to the producer, which takes it at once unless a full one waits before it."""
        sending = self.producer.send_batch(batch.builder, batch.topic, partition=batch.partition)
        try:
            sending.send(None)
        except StopIteration as taken:
            taken.value.add_done_callback(lambda future: self._settle(batch, future))
        else:
            sending.close()  # it has given nothing away yet
            waiting = asyncio.create_task(self._send_later(batch), name="batch-behind-a-full-one")
            self._waiting.add(waiting)
            waiting.add_done_callback(self._waiting.discard)

    async def _send_later(self, batch: _Batch) -> None:
        """The batches of a partition wait in their order, because asyncio wakes those that wait in that order."""
        try:
            taken = await self.producer.send_batch(batch.builder, batch.topic, partition=batch.partition)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - those who wait for its records hear it
            batch.builder.close()
            self._end(batch)
            batch.fail(ProducerClosed() if isinstance(error, asyncio.CancelledError) else error)
        else:
            taken.add_done_callback(lambda future: self._settle(batch, future))

    def _settle(self, batch: _Batch, future: asyncio.Future[Any]) -> None:
        self._end(batch)
        error = ProducerClosed() if future.cancelled() else future.exception()
        if error is None:
            batch.acknowledge(future.result().offset)
        else:
            batch.fail(error)

    def _end(self, batch: _Batch) -> None:
        if self._open.get((batch.topic, batch.partition)) is batch:
            del self._open[batch.topic, batch.partition]
        self._settled(batch.size)
