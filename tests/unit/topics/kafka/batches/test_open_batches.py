"""Batches that take records until aiokafka counts them, on aiokafka's own accumulator."""

from __future__ import annotations

import asyncio
from typing import Any, cast
from unittest.mock import MagicMock

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError, ProducerClosed
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.producer.transaction_manager import TransactionManager

from tests.support.eventually import eventually
from topics.kafka.batches.compression import SizedBatch, Sizes
from topics.kafka.batches.open_batches import OpenBatches, RecordPlace
from topics.kafka.catalogue import RECORD_BYTES_MAX

BATCH_BYTES = 2_000
TOPIC, PARTITION = "t", 3


class Producer:
    """A producer whose requests a test sends."""

    def __init__(self) -> None:
        transactions = TransactionManager(None, 1_000)
        transactions.set_pid_and_epoch(1, 0)
        cluster = MagicMock(leader_for_partition=lambda _place: 0)
        self.accumulator = MessageAccumulator(cluster, BATCH_BYTES, 0, 1.0, txn_manager=transactions)
        self._sizes: Sizes = {}

    def batch_of(self, topic: str, partition: int) -> SizedBatch:
        return SizedBatch(BATCH_BYTES, self._sizes, (topic, partition), may_compress=False)

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Any:
        return await self.accumulator.add_batch(batch, TopicPartition(topic, partition), 5.0)

    def drain(self) -> Any:
        """The batch that leaves now."""
        (batches,) = self.accumulator.drain_by_nodes(())[0].values()
        return batches[TopicPartition(TOPIC, PARTITION)]


class Writer:
    """Adds records, and keeps what becomes of them."""

    def __init__(self) -> None:
        self.producer = Producer()
        self.freed: list[int] = []
        self.batches = OpenBatches(cast("Any", self.producer), self.freed.append)

    def add(self, value: bytes = b"v", size: int = 1) -> asyncio.Future[RecordPlace]:
        future: asyncio.Future[RecordPlace] = asyncio.get_running_loop().create_future()
        self.batches.add(TOPIC, PARTITION, b"k", value, [("h", b"1")], future, size)
        return future


async def test_records_that_come_before_a_request_leave_in_one_batch() -> None:
    writer = Writer()
    futures = [writer.add() for _ in range(3)]
    batch = writer.producer.drain()
    assert batch.record_count == 3
    batch.done(40)
    assert [await future for future in futures] == [
        (TOPIC, PARTITION, 40),
        (TOPIC, PARTITION, 41),
        (TOPIC, PARTITION, 42),
    ]
    assert writer.freed == [3]


async def test_what_comes_when_a_batch_has_left_is_in_the_next_one() -> None:
    writer = Writer()
    first = writer.add()
    leaving = writer.producer.drain()
    second = writer.add()
    assert leaving.record_count == 1
    leaving.get_data_buffer()
    following = writer.producer.drain()
    assert following.record_count == 1
    following.done(8)
    leaving.done(7)
    assert ((await first)[2], (await second)[2]) == (7, 8)


async def test_what_comes_while_a_full_batch_waits_keeps_its_order() -> None:
    writer = Writer()
    futures = [writer.add(b"v" * 600) for _ in range(10)]
    offset = 0
    while offset < len(futures):
        await eventually(lambda: TopicPartition(TOPIC, PARTITION) in writer.producer.accumulator._batches)
        batch = writer.producer.drain()
        assert batch.record_count <= 3
        batch.done(offset)
        offset += batch.record_count
    assert [(await future)[2] for future in futures] == list(range(10))
    assert sum(writer.freed) == 10
    assert not writer.batches._open
    assert not writer.batches._queues
    assert not writer.batches._senders


async def test_a_batch_that_comes_when_there_is_room_again_leaves_behind_those_that_waited() -> None:
    writer = Writer()
    place = TopicPartition(TOPIC, PARTITION)
    futures = [writer.add(b"v" * 1_500) for _ in range(3)]
    await asyncio.sleep(0)  # the second waits now
    writer.producer.drain().done(0)
    futures += [writer.add(b"v" * 1_500) for _ in range(2)]  # before the second hears that there is room
    for offset in range(1, 5):
        await eventually(lambda: place in writer.producer.accumulator._batches)
        writer.producer.drain().done(offset)
    assert [(await future)[2] for future in futures] == list(range(5))
    assert not writer.batches._queues


async def test_batches_that_a_closing_producer_has_not_taken_fail_and_free_their_bytes() -> None:
    writer = Writer()
    futures = [writer.add(b"v" * 1_500) for _ in range(3)]
    await asyncio.sleep(0)
    writer.batches.close()
    with pytest.raises(ProducerClosed):
        writer.add()
    closing = asyncio.create_task(writer.producer.accumulator.close())
    for future in futures[1:]:
        with pytest.raises(ProducerClosed):
            await future
    writer.producer.drain().done(0)
    assert (await futures[0])[2] == 0
    await closing
    assert sum(writer.freed) == 3
    assert not writer.batches._open
    assert not writer.batches._queues


async def test_records_whose_place_kafka_no_longer_knows_are_given_none() -> None:
    writer = Writer()
    futures = [writer.add(), writer.add()]
    writer.producer.drain().done(-1)
    assert [(await future)[2] for future in futures] == [-1, -1]


async def test_a_failure_reaches_each_record_and_frees_its_bytes() -> None:
    writer = Writer()
    futures = [writer.add(), writer.add()]
    futures[0].cancel()  # its caller gave up
    writer.producer.drain().failure(KafkaTimeoutError("away"))
    with pytest.raises(KafkaTimeoutError):
        await futures[1]
    assert writer.freed == [2]


async def test_a_producer_that_failed_takes_nothing() -> None:
    writer = Writer()
    writer.producer.accumulator.fail_all(KafkaTimeoutError("fenced"))
    with pytest.raises(KafkaTimeoutError):
        writer.add()
    assert writer.freed == []
    assert not writer.batches._open


async def test_a_record_that_no_topic_takes_is_refused() -> None:
    writer = Writer()
    with pytest.raises(MessageSizeTooLargeError):
        writer.add(b"v" * RECORD_BYTES_MAX)
    assert writer.freed == []
