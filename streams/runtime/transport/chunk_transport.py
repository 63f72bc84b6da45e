"""Faust's transport, changed so that one event carries chunks of records, one for each partition that has some.

Faust keeps the app, the agent, the consumer thread, assignment and rebalance. These are overridden:

- `getmany`: an event costs Faust 50 to 80 us, so one event carries all the records of a poll. Faust compares no offsets
  of events, because it would drop some.
- `force_commit`, `wait_empty`, `ack`: Faust commits past messages in flight and counts duplicates after a rebalance.
  Here the OffsetLedger decides, and waiting for empty means that the groups in flight are durable.
- the consumer: a short wait for a fetch that leaves out a partition with unread data, static membership that leaves on
  a clean stop, a seek also where nothing is committed.
- consumer and producer are made by topics.kafka.clients, as all others are.
- the consumer's thread: uvloop as in the main one, and a poll goes into it without the queue of Faust's other calls.
- `TableManager`, `Recovery`: Faust sleeps a second before it subscribes, and would recover one event per record.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import aiokafka
import faust
import uvloop
from aiokafka.errors import IllegalStateError, KafkaError
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from streams.runtime.limits import (
    FETCH_BESIDE_MS,
    FETCH_WAIT_MS,
    NOTHING_TO_POLL_S,
    POLL_RECORDS_MAX,
    POLL_S,
)
from streams.runtime.stuck.held_up import Progress
from streams.runtime.transport.chunks import AnyOffset, Chunk, portions
from streams.runtime.transport.hooks import Hooks
from topics.kafka import clients

_FAUST_LOG = logging.getLogger("faust")
"""Faust's own chatter stays under its own name, where run_role keeps it to warnings."""


class SourceApp(faust.App):  # type: ignore[misc]  # faust is untyped to mypy
    """A Faust app that keeps nothing on disk and knows the worker it belongs to."""

    logger = _FAUST_LOG
    hooks: Hooks

    def _create_directories(self) -> None:
        """No table is on disk, so no directory is needed."""


class ChunkConsumer(driver.Consumer):  # type: ignore[misc]
    """Yields messages whose `value` is a list of chunks of raw records; their `offset` is that of the last record."""

    logger = _FAUST_LOG
    app: SourceApp

    def _new_consumer_thread(self) -> ChunkConsumerThread:
        thread = ChunkConsumerThread(self, loop=self.loop, thread_loop=uvloop.new_event_loop(), beacon=self.beacon)
        thread._close_thread_loop_on_stop = True  # nothing else uses it
        return thread

    def on_init(self) -> None:
        super().on_init()
        self._no_poll = asyncio.Event()
        self._no_poll.set()
        self._idle_at: dict[TP, int] = {}
        """Positions at the last poll that found nothing."""
        self._read_offset = AnyOffset()

    async def poll_ended(self) -> None:
        """Returns when no poll is under way.

        A poll that began before a rebalance may take records of the new assignment, and drops them. So seeking to the
        committed offsets has to wait for its end.
        """
        await self._no_poll.wait()

    async def _poll(self, active: set[TP]) -> dict[TP, Sequence[Any]]:
        self._no_poll.clear()
        try:
            polled: dict[TP, Sequence[Any]] = await self._getmany(active, POLL_S)
            if not polled:
                # All that was polled before is handed out. Positions also pass the ends of transactions, and records of
                # aborted ones, which nobody hands out.
                self._idle_at = self._thread.positions(active)
            return polled
        finally:
            self._no_poll.set()

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ASYNC109, ARG002
        hooks = self.app.hooks
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        count, turns, generation = hooks.assignments, hooks.held_up.paused.turns, self.app.consumer_generation_id
        active = self._get_active_partitions()
        if self.should_stop or not active or not hooks.may_read():
            await asyncio.sleep(NOTHING_TO_POLL_S)
            return
        for tp, polled in portions(await self._poll(active), count, turns):
            if not self.flow_active or hooks.assignments != count or not hooks.may_read():
                return  # a rebalance or the end: the rest is read again from the committed offset
            chunks = polled
            if hooks.held_up.paused.turns:  # what was fetched before a pause is read again after it
                chunks = [chunk for chunk in polled if hooks.held_up.paused.has_turn(chunk.partition, chunk.turn)]
                if not chunks:
                    continue
            for chunk in chunks:
                hooks.ledger.handed_out(chunk.partition, chunk.records[-1].offset)
            yield tp, _message(tp, chunks, chunks[-1].records[-1], generation)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Does nothing: gaps between offsets are inside chunks."""

    def track_message(self, message: Any) -> None:
        """Does nothing: the ledger tracks chunks."""

    def ack(self, message: Any) -> bool:
        """Ignores what Faust acknowledges on its own: only a durable group finishes a chunk."""
        message.acked = True
        return False

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002
        hooks = self.app.hooks
        mine = {tp.partition: tp for tp in self.assignment()}
        offsets = {p: offset for p, offset in hooks.ledger.committable().items() if p in mine}
        if not offsets or hooks.failed:
            return False
        if not await self._commit({mine[partition]: offset for partition, offset in offsets.items()}):
            return False
        hooks.committed(offsets)
        return True

    async def wait_empty(self) -> None:
        hooks = self.app.hooks
        if not hooks.ending():  # else it has drained and committed already, or must not
            await hooks.drained()
            await self.commit()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self.app.hooks.revoking()
        await super().on_partitions_revoked(revoked)
        self.app.hooks.ledger.clear()
        self._idle_at = {}

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self.app.hooks.joined(self._thread.member())
        self.app.hooks.assigned({tp.partition for tp in assigned}, generation_id)
        await super().on_partitions_assigned(assigned, generation_id)

    def progress(self) -> dict[int, Progress]:
        """Per partition of the assignment."""
        found: dict[int, Progress] = {}
        ledger = self.app.hooks.ledger
        for tp in self.assignment():
            try:
                end, stable = self._thread.ends(tp)
            except (AssertionError, AttributeError, IllegalStateError):
                continue  # the consumer's thread is giving it back at this moment, which shows in these three ways
            at = ledger.next_offset(tp.partition)
            if at is None:
                at = self._committed_offset.get(tp) or 0  # where Faust resumed reading
            if ledger.is_idle(tp.partition) and tp.partition not in self.app.hooks.held_up.paused:
                at = max(at, self._idle_at.get(tp, 0))
            found[tp.partition] = Progress(at, end, end if stable is None else stable)
        return found

    async def hold(self, partition: int, offset: int) -> None:
        await self._thread.hold(self._place(partition), offset)
        self._idle_at = {}

    async def release(self, partition: int, offset: int) -> None:
        # A poll that began before would take its records, and drop them as those of another turn.
        await self.poll_ended()
        await self._thread.release(self._place(partition), offset)

    def _place(self, partition: int) -> TP | None:
        """None when the partition is given back at this moment."""
        return next((tp for tp in self.assignment() if tp.partition == partition), None)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Does nothing: /live and the lag metric show a slow stream. Faust would go by its own acknowledgements."""


def _message(tp: TP, chunks: list[Chunk], last: Any, generation: int) -> ConsumerMessage:
    place = tp.topic, tp.partition, last.offset, last.timestamp / 1000.0, last.timestamp_type
    return ConsumerMessage(*place, (), None, chunks, None, 0, 0, tp, generation_id=generation)


class ChunkConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """Makes the consumer as the runtime needs it and leaves the group on a clean stop."""

    logger = _FAUST_LOG

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:  # noqa: ARG002
        conf = self.app.conf
        self._assignor = self.app.assignor
        return clients.consumer(
            self.app.hooks.settings,
            conf.broker_client_id,
            prompt=True,
            offset_reset=conf.consumer_auto_offset_reset,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            partition_assignment_strategy=[self._assignor],
            max_poll_records=POLL_RECORDS_MAX,
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            fetch_max_wait_ms=FETCH_WAIT_MS,
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_s=conf.broker_rebalance_timeout,
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
        )

    async def getmany(self, active: set[TP], timeout: float) -> dict[TP, Sequence[Any]]:  # noqa: ASYNC109 - Faust's
        """Avoids the thread's queue, where a call costs twice as much: every verdict waits for this one."""
        polled = asyncio.run_coroutine_threadsafe(self._take(active, timeout), self.thread_loop)
        found: dict[TP, Sequence[Any]] = await asyncio.wrap_future(polled)
        return found

    async def _take(self, active: set[TP], timeout: float) -> dict[TP, Sequence[Any]]:  # noqa: ASYNC109 - Faust's
        """Takes from each partition its share of what was fetched: aiokafka would take as much as it can of the first,
        so a backlog in one would come before new records of the others."""
        consumer = self._ensure_consumer()
        unread = [tp for tp in consumer._fetcher._records if tp in active]
        taken: dict[TP, Sequence[Any]] = {}
        if len(unread) > 1:
            share = max(1, POLL_RECORDS_MAX // len(unread))
            try:
                for tp in unread:
                    taken.update(await self._fetch_records(consumer, {tp}, timeout=0.0, max_records=share))
            except KafkaError:
                if not taken:  # else those are handed out first; the partition with the error meets it again
                    raise
        if not taken:
            taken = await self._fetch_records(consumer, active, timeout=timeout, max_records=POLL_RECORDS_MAX)
        return taken

    async def seek_to_committed(self) -> Mapping[TP, int | None]:
        found: Mapping[TP, int | None] = await self.call_thread(self._seek_to_committed)
        return found

    async def _seek_to_committed(self) -> Mapping[TP, int | None]:
        """Goes back to the beginning where nothing is committed: aiokafka leaves such a partition behind what the last
        poll took, which is not decided if that was during a rebalance."""
        consumer = self._ensure_consumer()
        committed: Mapping[TP, int | None] = await consumer.seek_to_committed()
        at = self.positions({tp for tp, offset in committed.items() if not offset})
        if taken := [tp for tp, position in at.items() if position]:
            await consumer.seek_to_beginning(*taken)
        return committed

    def ends(self, tp: TP) -> tuple[int | None, int | None]:
        """The end of a partition, and the end of what can be read of it."""
        consumer = self._ensure_consumer()
        return consumer.highwater(tp), consumer.last_stable_offset(tp)

    def positions(self, partitions: set[TP]) -> dict[TP, int]:
        """The next offsets to fetch, of partitions that have one."""
        subscription = self._ensure_consumer()._subscription.subscription
        assignment = subscription.assignment if subscription is not None else None
        states = {
            tp: assignment.state_value(tp) for tp in partitions if assignment is not None and tp in assignment.tps
        }
        return {tp: state.position for tp, state in states.items() if state.has_valid_position}

    def member(self) -> str:
        """This worker's id in the group."""
        return str(self._ensure_consumer()._coordinator.member_id)

    async def hold(self, tp: TP | None, offset: int) -> None:
        def hold(consumer: aiokafka.AIOKafkaConsumer, place: aiokafka.TopicPartition) -> None:
            consumer.pause(place)
            consumer.seek(place, offset)

        await self._at_place(tp, hold)

    async def release(self, tp: TP | None, offset: int) -> None:
        def release(consumer: aiokafka.AIOKafkaConsumer, place: aiokafka.TopicPartition) -> None:
            if place in consumer.paused():  # else a rebalance came meanwhile, and it is read from elsewhere
                consumer.seek(place, offset)
                consumer.resume(place)

        await self._at_place(tp, release)

    async def _at_place(
        self, tp: TP | None, act: Callable[[aiokafka.AIOKafkaConsumer, aiokafka.TopicPartition], None]
    ) -> None:
        """Acts in the consumer's thread, without a pause there. A partition that is given back is left alone."""

        async def acting() -> None:
            with suppress(IllegalStateError):
                act(self._ensure_consumer(), driver.ensure_aiokafka_TP(tp))

        if tp is not None:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(acting(), self.thread_loop))

    async def on_start(self) -> None:
        await super().on_start()
        consumer = self._ensure_consumer()
        wait_briefly_beside_unread(consumer._fetcher)
        self._watch_heartbeats(consumer._coordinator)

    def _watch_heartbeats(self, coordinator: Any) -> None:
        hooks = self.consumer.app.hooks
        beat = coordinator._do_heartbeat

        async def watched() -> bool:
            sent_at = time.monotonic()
            confirmed: bool = await beat()
            if confirmed:
                hooks.heartbeat(sent_at)
            return confirmed

        coordinator._do_heartbeat = watched

    async def on_thread_stop(self) -> None:
        if self._consumer is not None and not self.consumer.app.hooks.failed:
            # A static member of aiokafka stays in the group when it stops, so its partitions would stand still for a
            # session. After a clean drain others may take over at once; after a failure the restart gets them back.
            self._consumer._coordinator._group_instance_id = None
        await super().on_thread_stop()


def wait_briefly_beside_unread(fetcher: Any) -> None:
    """Shortens fetches that leave out a partition whose data is unread: aiokafka has one fetch under way to a node, so
    that partition's next records wait until it is back."""
    actions = fetcher._get_actions_per_node

    def watched(assignment: Any) -> Any:
        fetcher._fetch_max_wait_ms = FETCH_BESIDE_MS if fetcher._records else FETCH_WAIT_MS
        return actions(assignment)

    fetcher._get_actions_per_node = watched


class IdleProducer(driver.Producer):  # type: ignore[misc]
    """Faust's own producer, which is not used: the runtime writes through its Publisher."""

    def _new_producer(self, transactional_id: str | None = None) -> aiokafka.AIOKafkaProducer:  # noqa: ARG002
        settings = self.app.hooks.settings
        return clients.producer(settings, self.client_id, idempotent=False)


class ChunkTransport(driver.Transport):  # type: ignore[misc]
    Consumer = ChunkConsumer
    Producer = IdleProducer


class SourceRecovery(Recovery):  # type: ignore[misc]
    """Faust's coordination of recovery and rebalance; the tables are the worker's."""

    logger = _FAUST_LOG

    async def _resume_streams(self, generation_id: int = 0) -> None:
        hooks = self.app.hooks
        count = hooks.assignments
        # Both raise RebalanceAgain when another rebalance begins, and are done again for that assignment.
        await self._wait(hooks.recover())
        await self._wait(self.app.consumer.poll_ended())
        await super()._resume_streams(generation_id)
        hooks.resumed(count)


class SourceTableManager(TableManager):  # type: ignore[misc]
    """Holds no Faust table; subscribes at once instead of after a second."""

    logger = _FAUST_LOG
    _recovery: Recovery | None

    @property
    def recovery(self) -> Recovery:
        if self._recovery is None:
            self._recovery = SourceRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()
