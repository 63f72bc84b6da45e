"""Batches that take records until they leave: what comes for a partition while it waits for its turn joins its batch.

aiokafka has that for single records, at 15 to 19 us each; to append to a batch costs 3.
"""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count, repeat
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
        """`first_offset` -1: Kafka has the batch from an earlier try, and no longer knows where."""
        for offset, future in zip(count(first_offset) if first_offset >= 0 else repeat(-1), self.futures, strict=False):
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
        self._is_closed = False
        self._open: dict[tuple[str, int], _Batch] = {}
        """The youngest batch of each partition, if it has not been settled."""
        self._queues: dict[tuple[str, int], deque[_Batch]] = {}
        """Batches of a partition that wait until the full one before them leaves."""
        self._senders: set[asyncio.Task[None]] = set()
        """One task for each of these queues."""

    def close(self) -> None:
        """Takes no more records, and fails the batches that the producer has not taken yet. It takes none when it
        closes, and says so to nobody that waits for room."""
        self._is_closed = True
        for task in self._senders:
            task.cancel()

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
        if self._is_closed:
            raise ProducerClosed
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
        place = (batch.topic, batch.partition)
        if (queue := self._queues.get(place)) is not None:
            queue.append(batch)
            return
        sending = self.producer.send_batch(batch.builder, batch.topic, partition=batch.partition)
        try:
            sending.send(None)
        except StopIteration as taken:
            taken.value.add_done_callback(partial(self._settle, batch))
        else:
            sending.close()  # it has given nothing away yet
            queue = self._queues[place] = deque([batch])
            sender = asyncio.create_task(self._send_queue(place, queue), name="batches-behind-a-full-one")
            self._senders.add(sender)
            sender.add_done_callback(partial(self._end_queue, place, queue))

    async def _send_queue(self, place: tuple[str, int], queue: deque[_Batch]) -> None:
        """Sends what waits for a partition in its order: one after the other, because aiokafka takes whoever comes
        first when there is room."""
        while queue:
            batch = queue[0]
            try:
                taken = await self.producer.send_batch(batch.builder, batch.topic, partition=batch.partition)
            except Exception as error:  # noqa: BLE001 - those who wait for its records hear it
                self._fail(queue.popleft(), error)
            else:
                queue.popleft()
                taken.add_done_callback(partial(self._settle, batch))
        del self._queues[place]

    def _end_queue(self, place: tuple[str, int], queue: deque[_Batch], sender: asyncio.Task[None]) -> None:
        """Fails what is left in a queue whose task was cancelled."""
        self._senders.discard(sender)
        if queue:
            del self._queues[place]
        for batch in queue:
            self._fail(batch, ProducerClosed())

    def _fail(self, batch: _Batch, error: BaseException) -> None:
        batch.builder.close()
        self._end(batch)
        batch.fail(error)

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
