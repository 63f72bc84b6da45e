"""Group commit: decisions become durable in groups; while two are in flight the next one gathers.

A group's steps, in the order that makes a crash between any two of them harmless:

1. effects: every record it causes, acknowledged by all in-sync replicas;
2. state: the table records that say these effects are out; those of the first table last, because it is the one that
   shows a redelivery;
3. offsets: only now its chunks count as finished, and the next commit of offsets may pass them.

After a crash before 3 the records are decided again. Before 2 that is from the old state, so the same effects leave
again with the same ids. After 2 the source offset in the state shows a redelivery, and nothing leaves.

A group's effects leave while the state of the group before is on its way: one round trip a group instead of two. Its
own state waits for that state, so a crash finds the two as it would find one group (decisions/0018).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from aiokafka import TopicPartition

from streams.runtime.durability.group import Group
from streams.runtime.durability.late_writes import LateWrites
from streams.runtime.durability.offset_ledger import OffsetLedger
from streams.runtime.durability.publisher import Batches, Publisher, UnknownTopicError, send_all
from streams.runtime.invariants import violated
from streams.runtime.metrics import Metrics
from streams.runtime.role import Change, Effect
from streams.runtime.tables.partition_table import PartitionState, PartitionTable
from topics.kafka.channel_topics import REPLIES
from topics.traces import spans
from topics.traces.catalogue import COMMIT
from topics.traces.context import TraceContext

log = logging.getLogger(__name__)


Step = Mapping[tuple[str, int | None], Batches] | Mapping[tuple[str, int], Batches]
"""Batches that are sent at once, by topic and partition."""


class GroupCommit:
    """One per worker. `add_*` never waits, so a chunk is handed over whole; the caller waits in `room` before."""

    def __init__(
        self,
        publisher: Publisher,
        ledger: OffsetLedger,
        metrics: Metrics,
        fail: Callable[[BaseException], None],
        lease: Callable[[], Awaitable[None]],
        late: LateWrites,
    ) -> None:
        self._publisher = publisher
        self._ledger = ledger
        self._metrics = metrics
        self._fail = fail
        self._lease = lease
        self._late = late
        self._gathering = Group()
        self._in_flight: list[Group] = []
        """Oldest first, at most two: the state of one is on its way, and the effects of another."""
        self._finishing: asyncio.Task[None] | None = None
        """Writes state and finishes offsets of the older one."""
        self._wake = asyncio.Event()
        self._moved = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self.progress_at = time.monotonic()
        """When a group was last finished; /live looks at it."""

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="group-commit")

    async def stop(self) -> None:
        tasks = [task for task in (self._task, self._finishing) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def is_full(self) -> bool:
        return self._gathering.is_full()

    async def room(self) -> None:
        """Returns when the gathering group has room."""
        if self._gathering.is_full():
            async with self._moved:
                await self._moved.wait_for(lambda: not self._gathering.is_full())

    async def drain(self) -> None:
        """Returns when everything added so far is durable."""
        async with self._moved:
            await self._moved.wait_for(lambda: not self._in_flight and self._gathering.is_empty())

    def add_effects(self, effects: Sequence[Effect], epoch: int, offset: int) -> None:
        """Adds effects of the record at `offset` of the source, or those of a role's own work after deciding it.

        Raises UnknownTopicError before any of them is added.
        """
        self._gathering.add_effects(effects, b"%d/%d" % (epoch, offset), self._effect_batches)

    def check_effects(self, effects: Iterable[Effect]) -> None:
        """Raises UnknownTopicError if one of them cannot be published."""
        for effect in effects:
            if not _is_reply(effect):
                self._publisher.partition_for(self._publisher.full_name(effect.topic), effect.key, effect.partition)

    def _effect_batches(self, effect: Effect) -> Batches | None:
        """None for a reply whose topic or partition does not exist: its address came with a record, and the next
        worker would find the same. Raises UnknownTopicError for any other effect, which must not be lost."""
        publisher, gathered = self._publisher, self._gathering.effects
        topic = publisher.full_name(effect.topic)
        try:
            partition = publisher.partition_for(topic, effect.key, effect.partition)
        except UnknownTopicError as error:
            if not _is_reply(effect):
                raise
            self._metrics.unaddressed.inc()
            log.warning("a reply has no address, and is not sent: %s", error)
            return None
        batches = gathered.get((effect.topic, partition))
        if batches is None:
            batches = gathered[effect.topic, partition] = publisher.batches(topic, partition)
        return batches

    def add_state(self, state: PartitionState) -> None:
        """Adds the changes that the partition's tables collected since the last time."""
        group = self._gathering
        for table in state.all:
            if table.overwritten:
                table.rewrite_overwritten()
            if not table.is_dirty():
                continue
            records, size = table.write_changes(
                self._state_batches(group.marks if table is state.all[0] else group.state, table)
            )
            group.records += records
            group.bytes += size

    def _state_batches(self, gathered: dict[tuple[str, int], Batches], table: PartitionTable) -> Batches:
        place = (self._publisher.full_name(table.name), table.state.partition)
        batches = gathered.get(place)
        if batches is None:
            batches = gathered[place] = self._publisher.batches(*place)
            self._gathering.tables[place] = table
        return batches

    def rewrite_overwritten(self, state: PartitionState) -> None:
        """Writes keys again that a former owner overwrote, if any."""
        if any(table.overwritten for table in state.all):
            self.add_state(state)
            self._wake.set()

    def audit(self, states: Iterable[PartitionState]) -> None:
        """Has the changelogs of these partitions checked between two groups, when nothing of ours is in flight."""
        self._gathering.audited.extend(states)
        self._wake.set()

    def add_trace(self, decision: TraceContext) -> None:
        """Links the span of the gathering group to a decision in it."""
        self._gathering.traces.append(decision)

    def add_chunk(self, partition: int, last_offset: int) -> None:
        """Finishes the chunk with the gathering group, which has its effects and state."""
        self._gathering.chunks.append((partition, last_offset))
        self._wake.set()

    def add_waiter(self) -> asyncio.Future[None]:
        """A future that is done when everything added so far is durable."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gathering.waiters.append(waiter)
        self._wake.set()
        return waiter

    def add_own(
        self, state: PartitionState, effects: Sequence[Effect], changes: Iterable[Change]
    ) -> asyncio.Future[None]:
        """Adds a role's own work, behind what is decided. Returns a future that is done when it is durable."""
        self.add_effects(effects, state.epoch, state.last_decided)
        state.offset = state.last_decided
        for change in changes:
            table = state.by_name(change.table)
            table.overlay[change.key] = change.value
            table.merge()
        self.add_state(state)
        return self.add_waiter()

    async def _run(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._begin()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, memory is now ahead of the log
            self._give_up(error)

    async def _begin(self) -> None:
        """Sends the effects of the gathered group; its state follows when that of the group before is durable."""
        if self._finishing is not None and self._finishing.done():
            await self._finishing  # raises its failure, if it failed: nothing more may leave
        group, self._gathering = self._gathering, Group()
        self._in_flight.append(group)
        await self._announce()
        started = time.monotonic()
        await self.before_effects(group)
        effects = await self._send(group.effects)
        if self._finishing is not None:
            await self._finishing
        self._finishing = asyncio.create_task(self._finish(group, started, effects), name="group-commit-state")
        self._finishing.add_done_callback(self._finished)

    async def _announce(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    def _finished(self, finishing: asyncio.Task[None]) -> None:
        """Gives up at once: the next group's effects may wait for a broker as long as one is away."""
        error = None if finishing.cancelled() else finishing.exception()
        if error is not None:
            self._give_up(error)

    async def _finish(self, group: Group, started: float, effects: int) -> None:
        """Makes state and offsets durable of a group whose effects are."""
        await self.between_effects_and_state(group)
        state = await self._send(group.state)
        state += await self._send(group.marks)
        await self._look_for_late_writes(group)
        await self.between_state_and_offsets(group)
        if effects + state != group.records:
            violated("groups_are_whole", f"{effects + state} of {group.records} records of a group were acknowledged")
        for partition, last_offset in group.chunks:
            self._ledger.finished(partition, last_offset)
        for waiter in group.waiters:
            if not waiter.done():
                waiter.set_result(None)
        self.progress_at = time.monotonic()
        self._metrics.effects.inc(effects)
        self._metrics.group_records.observe(effects + state)
        self._metrics.group_seconds.observe(self.progress_at - started)
        if group.traces:
            self._trace(group, effects + state, self.progress_at - started)
        self._in_flight.remove(group)
        await self._announce()

    def _trace(self, group: Group, records: int, lasted_s: float) -> None:
        span = spans.SPANS.begin_linked(COMMIT, group.traces)
        if span is not None:
            told = {"sluice.role": self._metrics.role, "messaging.batch.message_count": records}
            spans.SPANS.end(span, f"commit {self._metrics.role}", told, lasted_s=lasted_s)

    async def _send(self, step: Step) -> int:
        """Sends one step of a group, with the lease: a worker that stood still writes no more than it had begun."""
        await self._lease()
        return await send_all(tuple(step.values()))

    async def _look_for_late_writes(self, group: Group) -> None:
        """Looks before chunks and waiters are finished: when a newer owner is found, none of them may go on."""
        written = [(table, (group.state.get(place) or group.marks[place])) for place, table in group.tables.items()]
        overwritten = await self._late.check_written(written)
        if group.audited:
            logs = {
                TopicPartition(self._publisher.full_name(table.name), state.partition): table
                for state in group.audited
                for table in state.all
            }
            overwritten += await self._late.audit(logs)
        for table in overwritten:
            self.rewrite_overwritten(table.state)

    def _give_up(self, error: BaseException) -> None:
        """Fails all waiters and the worker: memory is ahead of the log now, and only a restart is safe."""
        for group in (*self._in_flight, self._gathering):
            for waiter in group.waiters:
                if not waiter.done():
                    waiter.set_exception(RuntimeError(f"the group could not be made durable: {error!r}"))
                    waiter.exception()  # no warning about a waiter that is no longer awaited
        self._fail(error)

    # The points at which a crash must be harmless: the fault tests of this runtime stop the process there.

    async def before_effects(self, group: Group) -> None:
        """Nothing of the group has left."""

    async def between_effects_and_state(self, group: Group) -> None:
        """Its effects are durable, its state is not."""

    async def between_state_and_offsets(self, group: Group) -> None:
        """All is durable, its chunks do not count as finished yet."""


def _is_reply(effect: Effect) -> bool:
    return effect.topic == REPLIES or effect.topic.startswith(REPLIES + ".")
