"""Each thing that the runtime overrides in Faust or aiokafka: the stock behaviour fails here, and ours holds.

When a test of the stock side fails, the installed version has changed: look whether the override is still needed.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import time
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import faust
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from faust.tables.manager import TableManager
from faust.transport.drivers import aiokafka as driver
from faust.transport.producer import ProducerBuffer
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode.threads import ServiceThread

from streams.runtime.durability.offset_ledger import OffsetLedger
from streams.runtime.limits import CHUNK_BYTES_MAX, CHUNK_RECORDS_MAX, FETCH_BESIDE_MS, FETCH_WAIT_MS
from streams.runtime.tables.partition_table import PartitionState
from streams.runtime.transport.chunk_transport import (
    ChunkConsumer,
    ChunkConsumerThread,
    IdleProducer,
    SourceApp,
    SourceTableManager,
    wait_briefly_beside_unread,
)
from streams.runtime.transport.chunks import portions, split
from tests.fakes.runtime import raw_record
from tests.support.eventually import eventually

TP0 = TP("source", 0)


def stock_consumer() -> Any:
    """Faust's own consumer, as it is before it is started."""
    app = faust.App("stock", broker="kafka://127.0.0.1:1", store="memory://")
    app.topics._acking_topics.add(TP0.topic)
    return driver.Consumer(
        app.transport, callback=AsyncMock(), on_partitions_revoked=AsyncMock(), on_partitions_assigned=AsyncMock()
    )


def chunk_consumer() -> Any:
    """Ours, likewise."""
    app = SourceApp("ours", broker="kafka://127.0.0.1:1", store="memory://")
    return ChunkConsumer(
        app.transport, callback=AsyncMock(), on_partitions_revoked=AsyncMock(), on_partitions_assigned=AsyncMock()
    )


def message(offset: int) -> ConsumerMessage:
    return ConsumerMessage(TP0.topic, TP0.partition, offset, 0.0, 0, (), None, b"", None, 0, 0, TP0)


async def test_stock_faust_commits_past_a_message_in_flight_and_the_ledger_does_not() -> None:
    """Faust #606: 5 is in flight, 6 to 8 are done. Committing 9 would lose 5 in a crash."""
    consumer = stock_consumer()
    consumer._committed_offset[TP0] = 5
    in_flight = message(5)
    consumer.track_message(in_flight)
    for offset in (6, 7, 8):
        consumer.ack(message(offset))
    assert consumer._new_offset(TP0) == 9

    ledger = OffsetLedger()
    for offset in (5, 6, 7, 8):
        ledger.handed_out(0, offset)
    for offset in (6, 7, 8):
        ledger.finished(0, offset)
    assert ledger.committable() == {}
    ledger.finished(0, 5)
    assert ledger.committable() == {0: 9}


async def test_stock_faust_crawls_after_a_rebalance_and_the_ledger_does_not() -> None:
    """Acknowledgements of redelivered offsets are in Faust's list twice: it advances one offset per commit."""
    consumer = stock_consumer()
    consumer._acked[TP0] = [offset for offset in range(100, 200) for _ in range(2)]
    assert consumer._new_offset(TP0) == 101

    ledger = OffsetLedger()
    for _ in range(2):  # handed out, given back in a rebalance, handed out again
        ledger.clear()
        for offset in range(100, 200):
            ledger.handed_out(0, offset)
    for offset in range(100, 200):
        ledger.finished(0, offset)
        ledger.finished(0, offset)
    assert ledger.committable() == {0: 200}


async def test_stock_faust_forgets_a_message_whose_handler_raised_and_the_ledger_does_not() -> None:
    """Its WeakSet of unfinished messages loses it with the last reference, and nothing holds the commit back."""
    consumer = stock_consumer()
    raised = message(5)
    consumer.track_message(raised)
    assert len(consumer.unacked) == 1
    del raised
    gc.collect()
    assert len(consumer.unacked) == 0

    ledger = OffsetLedger()
    ledger.handed_out(0, 5)
    gc.collect()
    assert ledger.unfinished() == 1


async def test_stock_flush_before_commit_is_no_flush() -> None:
    """Faust's producer buffer gives up waiting after 0.1 s, and the source offset is committed nevertheless.

    The runtime sends nothing through it: a group awaits its acknowledgements (test_runtime_group_commit).
    """
    buffer = ProducerBuffer()
    buffer.app = MagicMock()
    buffer.app.conf.producer_threaded = False
    acknowledged = asyncio.Event()

    async def publish(*_: Any, **__: Any) -> None:
        await acknowledged.wait()

    future = MagicMock()
    future.message.channel.publish_message = publish
    await buffer.start()
    for _ in range(3):
        buffer.put(future)
    await buffer.flush()
    assert buffer.size > 0, "flushed, and still not sent"
    acknowledged.set()
    await eventually(lambda: buffer.size == 0)
    await buffer.stop()


class StandingFetcher(Fetcher):  # type: ignore[misc]
    """Only what chooses the next fetches; nothing is sent."""

    def __init__(self, unread: set[TopicPartition]) -> None:
        self._fetch_max_wait_ms, self._fetch_min_bytes, self._fetch_max_bytes = FETCH_WAIT_MS, 1, 1 << 20
        self._max_partition_fetch_bytes, self._isolation_level, self._fetcher_timeout = 1 << 20, 0, 1.0
        self._client_rack = None
        self._preferred_read_replica: dict[TopicPartition, Any] = {}
        self._in_flight: set[int] = set()
        self._client = MagicMock()
        self._client.cluster.leader_for_partition.return_value = 1
        self._records = {tp: MagicMock(calculate_backoff=lambda: 0) for tp in unread}

    def __del__(self) -> None:
        """There is nothing to close."""

    def waits(self) -> list[tuple[int, int]]:
        """Of each fetch that would be sent now: how long the broker may hold it, and for how many partitions it is."""
        assignment = MagicMock(tps=[TopicPartition("source", partition) for partition in range(3)])
        assignment.state_value.return_value = MagicMock(has_valid_position=True, paused=False, position=7)
        requests = self._get_actions_per_node(assignment)[0]
        return [(request._max_wait_ms, len(request.topics[0][1])) for _, request in requests]


def test_stock_fetcher_waits_for_idle_partitions_while_a_busy_one_has_new_records() -> None:
    """One partition's data is unread for longer than the back-off: the fetch without it may be held for half a second,
    and none is sent for it before. Ours comes back soon; with nothing unread it waits as long as ever."""
    unread = {TopicPartition("source", 1)}
    assert StandingFetcher(unread).waits() == [(FETCH_WAIT_MS, 2)]

    ours = StandingFetcher(unread)
    wait_briefly_beside_unread(ours)
    assert ours.waits() == [(FETCH_BESIDE_MS, 2)]
    ours._records.clear()
    assert ours.waits() == [(FETCH_WAIT_MS, 3)]


async def test_stock_store_keeps_keys_of_partitions_that_left_and_ours_does_not() -> None:
    """Faust's memory store drops only keys it recovered; those written since stay, and a sweeper sees them."""
    app = faust.App("stock", broker="kafka://127.0.0.1:1", store="memory://")
    table = app.Table("orders", key_type=bytes, value_type=bytes, partitions=2)
    table.data[b"written live in partition 0"] = b"1"
    left = {TP(table.changelog_topic_name, 0)}
    await table.data.on_rebalance(set(), left, set())
    assert b"written live in partition 0" in table.data

    states = {partition: PartitionState(partition, ["orders"]) for partition in (0, 1)}
    states[0].tables["orders"].put(b"live", b"1")
    states[0].all[0].merge()
    del states[0]
    assert all(b"live" not in dict(state.tables["orders"].items()) for state in states.values())


def test_stock_static_member_stays_in_its_group_when_it_stops() -> None:
    """aiokafka sends no LeaveGroup for one; the runtime takes the instance id away before a clean stop."""
    source = inspect.getsource(GroupCoordinator._maybe_leave_group)
    assert "self._group_instance_id is None" in source


def test_stock_table_manager_sleeps_before_it_subscribes() -> None:
    assert "self.sleep(1.0)" in inspect.getsource(TableManager.on_start)
    assert "sleep" not in inspect.getsource(SourceTableManager.on_start)


def test_a_chunk_is_bounded_in_records_and_bytes() -> None:
    """Faust's event is one record; a chunk is many, and neither many small nor few large ones are too many."""
    small = [raw_record(offset, b"x") for offset in range(2 * CHUNK_RECORDS_MAX + 1)]
    assert [len(chunk) for chunk, _ in split(small)] == [CHUNK_RECORDS_MAX, CHUNK_RECORDS_MAX, 1]
    large = [raw_record(offset, b"x" * (CHUNK_BYTES_MAX // 2)) for offset in range(5)]
    assert [len(chunk) for chunk, _ in split(large)] == [2, 2, 1]
    huge = [raw_record(offset, b"x" * (2 * CHUNK_BYTES_MAX)) for offset in range(2)]
    assert [len(chunk) for chunk, _ in split(huge)] == [1, 1]
    assert [record.offset for chunk, _ in split(small) for record in chunk] == list(range(len(small)))


def test_one_event_carries_what_a_poll_brought_within_the_bounds_of_a_chunk() -> None:
    """An event costs Faust more than a record; a busy partition has events of its own."""
    few = {TP("t", partition): [raw_record(offset, b"x") for offset in range(3)] for partition in range(4)}
    ((tp, chunks),) = portions(few, 7, {1: 2})
    assert tp.partition == 3
    assert [(chunk.assignments, chunk.turn, chunk.partition, len(chunk.records)) for chunk in chunks] == [
        (7, 2 if partition == 1 else 0, partition, 3) for partition in range(4)
    ]
    many = [raw_record(offset, b"x") for offset in range(CHUNK_RECORDS_MAX + 1)]
    large = [raw_record(0, b"x" * CHUNK_BYTES_MAX)]
    polled = {TP("t", 0): many, TP("t", 1): few[TP("t", 1)], TP("t", 2): large, TP("t", 3): large}
    found = [[(chunk.partition, len(chunk.records)) for chunk in chunks] for _, chunks in portions(polled, 7, {})]
    share = CHUNK_RECORDS_MAX // 4
    assert found == [[(0, share), (1, 3)], [(2, 1)], [(3, 1)], [(0, share)] * 3 + [(0, 1)]]


def test_partitions_with_a_backlog_share_each_event() -> None:
    polled = {TP("source", p): [raw_record(n, b"v") for n in range(1_000 + p)] for p in range(4)}
    events = [chunks for _, chunks in portions(polled, 1, {})]
    first = {chunk.partition: [record.offset for record in chunk.records] for chunk in events[0]}
    assert first == {p: list(range(CHUNK_RECORDS_MAX // 4)) for p in range(4)}
    assert max(sum(len(chunk.records) for chunk in chunks) for chunks in events) <= CHUNK_RECORDS_MAX
    for p in range(4):
        given = [
            record.offset for chunks in events for chunk in chunks for record in chunk.records if chunk.partition == p
        ]
        assert given == list(range(1_000 + p))


async def test_a_poll_from_before_a_rebalance_has_ended_before_the_seek() -> None:
    """A poll under way across a quick rebalance takes records of the new assignment, and drops them as too old.

    Stock Faust does not wait for it: `not_waiting_next_records` is set where it should be cleared, so its
    `wait_for_stopped_flow` returns at once, and what such a poll took after the seek is never decided.
    """
    release = asyncio.Event()

    async def slow_poll(*_: Any, **__: Any) -> dict[TP, list[Any]]:
        await release.wait()
        return {}

    stock = stock_consumer()
    stock.app.client_only = True
    stock._getmany = slow_poll
    polling = asyncio.create_task(stock._wait_next_records(1.0))
    await asyncio.sleep(0)
    await asyncio.wait_for(stock.wait_for_stopped_flow(), 5)
    assert not polling.done(), "Faust believes that nothing is being polled"
    release.set()
    await polling

    release.clear()
    ours = chunk_consumer()
    ours._getmany, ours._thread = slow_poll, MagicMock()
    polling = asyncio.create_task(ours._poll({TP0}))
    await asyncio.sleep(0)
    ended = asyncio.create_task(ours.poll_ended())
    done, _ = await asyncio.wait([ended], timeout=0.1)
    assert not done
    release.set()
    await polling
    await ended


async def test_a_confirmation_counts_from_when_it_was_asked_for() -> None:
    """A worker that stands still before it hears the answer would take a lease of old for a new one."""
    told: list[float] = []
    consumer = chunk_consumer()
    consumer.app.hooks = MagicMock(heartbeat=told.append)
    thread = ChunkConsumerThread(consumer, loop=asyncio.get_running_loop())
    answered: list[float] = []

    async def answer() -> bool:
        await asyncio.sleep(0)
        answered.append(time.monotonic())
        return True

    coordinator = MagicMock(_do_heartbeat=answer)
    thread._watch_heartbeats(coordinator)
    assert await coordinator._do_heartbeat()
    assert told[0] <= answered[0]


def test_progress_begins_where_faust_resumed_reading() -> None:
    """Until a chunk is finished the ledger knows no offset; Faust keeps the committed one under this name."""
    assert stock_consumer()._committed_offset == {}
    consumer = chunk_consumer()
    consumer.app.hooks = MagicMock(ledger=OffsetLedger(), held_up=MagicMock(paused=set()))
    ends = {TP0: (9, 8), TP("source", 1): (None, None)}
    consumer.assignment, consumer._thread = (lambda: set(ends)), MagicMock(ends=ends.get)
    consumer._committed_offset = {TP0: 5}
    assert consumer.progress() == {0: (5, 9, 8), 1: (0, None, None)}
    consumer.app.hooks.ledger.handed_out(0, 6)
    assert consumer.progress()[0] == (5, 9, 8)
    consumer.app.hooks.ledger.finished(0, 6)
    assert consumer.progress()[0] == (7, 9, 8)
    assert (consumer.progress()[0].lag(), consumer.progress()[0].readable_lag()) == (2, 1)
    consumer._idle_at = {TP0: 8}  # behind the marker that ends a transaction, which is no record
    assert (consumer.progress()[0].lag(), consumer.progress()[0].readable_lag()) == (1, 0)


def test_stock_faust_makes_its_clients_with_options_of_its_own() -> None:
    """Faust's producer and consumer are made by the factory, so that they connect as all other clients do."""
    assert "_settings_default" in inspect.getsource(driver.Producer._new_producer)
    assert "aiokafka.AIOKafkaConsumer(" in inspect.getsource(driver.AIOKafkaConsumerThread._create_worker_consumer)
    for ours in (IdleProducer._new_producer, ChunkConsumerThread._create_worker_consumer):
        assert "clients." in inspect.getsource(ours)
        assert "self.app.hooks.settings" in inspect.getsource(ours)


def test_stock_consumer_thread_leaves_a_loop_open_that_it_was_given() -> None:
    """Ours is given one of uvloop's, which nothing else closes."""
    assert "self._close_thread_loop_on_stop = thread_loop is None" in inspect.getsource(ServiceThread)
    thread = chunk_consumer()._new_consumer_thread()
    assert thread._close_thread_loop_on_stop
    thread.thread_loop.close()
