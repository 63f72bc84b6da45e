"""One streams role as a process, from joining its group to a drained end. `streams.runtime.run.run_role` runs it.

    Kafka -> ChunkConsumer -> Faust agent -> DecideLoop -> GroupCommit -> Kafka
              (transport)     (one event      (role.        (effects, then state,
                               per poll)       decide)        then offsets)

What a role's author has to know:

- `decide` runs in the event loop and must not block. `prepare` does what of a large record's work needs no table.
- An exception in `decide` sets the record aside, or after many in a row pauses the partition. Any other, or a publish
  that fails, ends the process with EXIT_FAILED: state in memory is ahead of the log. Its supervisor starts it again.
- `Committer.commit` waits while a rebalance has not decided who owns the partition.
- Membership is static (`<role>-<instance>`): a worker that is restarted after a crash gets its partitions back at once.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any

from streams.runtime.admin import Admin
from streams.runtime.decide import DecideLoop
from streams.runtime.durability.changelog import ChangelogReader
from streams.runtime.durability.claim import Claims
from streams.runtime.durability.group_commit import GroupCommit
from streams.runtime.durability.late_writes import LateWrites
from streams.runtime.durability.lease import Lease
from streams.runtime.durability.offset_ledger import OffsetLedger
from streams.runtime.durability.publisher import Publisher, check_fit
from streams.runtime.durability.rebalance_steps import DECIDE, DRAIN, HAND_OVER, JOIN, RESUME, RebalanceSteps
from streams.runtime.durability.recovery import Recovery, SourceChecks
from streams.runtime.durability.standby import Standby, committed_offsets
from streams.runtime.limits import (
    DECIDE_HOLD_S,
    LIVE_POLL_S,
    STOP_CUT_OFF_S,
    STOP_DRAIN_S,
    STOP_LEAVE_S,
    STOP_ROLE_S,
    Tuning,
)
from streams.runtime.metrics import Metrics
from streams.runtime.partitions import Partitions
from streams.runtime.preparing import Preparing
from streams.runtime.role import Change, Effect, PartitionLost, Role
from streams.runtime.stuck.ending import EXIT_FAILED, EXIT_NOT_DRAINED, all_bounded, bounded, ends_within
from streams.runtime.stuck.held_up import HeldUp, Progress
from streams.runtime.stuck.paused import StuckError
from streams.runtime.tables.local_store import LocalStore
from streams.runtime.tables.partition_table import sizes
from streams.runtime.tables.spilling import Spilling
from streams.runtime.transport.chunks import Chunk
from streams.runtime.transport.faust_app import make_app
from topics.configuration.errors import ConfigurationError
from topics.configuration.settings import Settings

log = logging.getLogger(__name__)


class InstanceTakenError(ConfigurationError):
    """Another worker of this role uses this worker's instance name."""


class Worker:
    """Wires one role to Faust and Kafka; its methods are the transport's Hooks and the role's Committer."""

    def __init__(
        self,
        role: Role,
        settings: Settings,
        tuning: Tuning,
        committer: type[GroupCommit] = GroupCommit,
        joined: Callable[[str], None] = lambda _member: None,
    ) -> None:
        """`joined`: called with this worker's id in the group when it has one."""
        self.joined = joined
        self.role = role
        self.settings = settings
        self.tuning = tuning
        self.name = f"{role.name}-{settings.instance}"
        self.source = f"{settings.topic_prefix}.{role.source}.v1"
        self.metrics = Metrics(role.name, settings.state_dir)
        self.steps = RebalanceSteps(self.metrics, self.name)
        self.ledger = OffsetLedger()
        self.publisher = Publisher(settings, self.name)
        changelogs = ChangelogReader(settings, self.name)
        late = LateWrites(changelogs, self.metrics)
        self.partitions = Partitions(role)
        self.lease = Lease(tuning.session_timeout_s, self.partitions.is_open)
        self.group_commit = committer(self.publisher, self.ledger, self.metrics, self.fail, self.lease.for_a_step, late)
        self.held_up = HeldUp(settings, role.source, self.source, self.metrics, tuning.pause_retry_s)
        self.decide_loop = DecideLoop(
            role, self.source, self.group_commit, self.metrics, tuning.failed_in_a_row_max, self.held_up.skips.reasons
        )
        self.preparing = Preparing(role)
        claims = Claims(self.publisher, changelogs, self.lease.for_a_claim, self.name)
        self.spilling = Spilling(LocalStore(settings.state_dir / f"{self.name}.tables"))
        tables = self.spilling.maker(role.spills, role.table_kinds)
        self.recovery = Recovery(
            changelogs, claims, self.publisher.full_name, role.tables, tables, self.metrics, self._progress, self.steps
        )
        committed = partial(committed_offsets, settings, f"{settings.topic_prefix}.{role.name}", self.source)
        standby_bytes = settings.standby_bytes_max if role.has_standby else 0
        self.standby = Standby(changelogs, self.recovery.takeover, committed, standby_bytes, self.metrics)
        self.admin = Admin(
            settings, self.metrics, self.not_live, self.not_ready, self.held_up.warnings, self.refresh_metrics
        )
        self.app = make_app(role.name, self.name, self.source, settings, tuning, self, self.consume)
        self.assignments = 0
        self.failed = self._draining = self._reading = self._is_drained = False
        self.has_leftovers = False
        """Whether a task or thread may go on after `run`: nothing but the end of the process ends it for certain."""
        self._commits = asyncio.Lock()
        """Commits that wait for room in a group are served first come, first served: the last value counts."""
        self._commits_waiting = 0
        self._ended = asyncio.Event()
        self._progress_at = time.monotonic()

    # -- from start to end ----------------------------------------------------------------------------------------

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.terminate)
        await self.admin.start()
        work = {self.name: self._work(), "progress": self._watch_progress(), "audit": self._audit()}
        work["paused"] = self.held_up.paused.watch()
        tasks = [asyncio.create_task(self._or_fail(each), name=name) for name, each in work.items()]
        await self._ended.wait()
        with ends_within(STOP_CUT_OFF_S, self._status):
            if not self.failed:
                log.info("%s: draining", self.name)
                await self._drain()
            await self._close(tasks)
        return self._status()

    def _status(self) -> int:
        return EXIT_FAILED if self.failed else 0 if self._is_drained else EXIT_NOT_DRAINED

    async def _or_fail(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - fail() says what it was and ends the process
            self.fail(error)

    async def _work(self) -> None:
        self.spilling.store.clear()
        await self.publisher.start()
        self.publisher.check(self.role.source, self.role.tables, self.role.targets)
        self.group_commit.start()
        self.standby.start()
        await self.held_up.following.start(self)
        await self.role.start(self)
        self.app.loop = asyncio.get_running_loop()
        await self.app.start()
        await self.app.wait_until_stopped()
        if not self._ended.is_set():
            self.fail(self.app.crash_reason or RuntimeError("Faust stopped on its own"))

    async def _watch_progress(self) -> None:
        while True:
            read = self._partitions_read()
            self.held_up.observe(read, time.monotonic())
            if not self.held_up.is_waited_for(read):
                self._progress()
            await asyncio.sleep(LIVE_POLL_S)

    async def _audit(self) -> None:
        """Looks for late writes also where this worker does not write, and for state that lacks its source."""
        sources = SourceChecks(self.source)
        while True:
            await asyncio.sleep(self.tuning.audit_s)
            if self.partitions.is_open() and self.role.tables:
                self.group_commit.audit(self.partitions.owned.values())
                read = self._partitions_read().items()
                ends = {partition: each.end for partition, each in read if each.end is not None}
                sources.check(self.partitions.owned, ends)

    def terminate(self) -> None:
        """Drains and ends, as at SIGTERM."""
        self._ended.set()

    def fail(self, error: BaseException) -> None:
        """Ends the process: what is in memory may be ahead of the log."""
        if not self.failed:
            self.failed = True
            log.critical("%s ends: %s", self.name, error or repr(error), exc_info=error)
        self._ended.set()

    async def _drain(self) -> None:
        """Stops intake, lets the role end what is in flight, finishes the groups, commits offsets."""
        self._draining = True
        steps = [
            await bounded("the role's stop", self.role.stop(), STOP_ROLE_S),
            await bounded("finishing the groups in flight", self.group_commit.drain(), STOP_DRAIN_S),
        ]
        if self.partitions.generation and not self.failed:  # before the first assignment there is nothing to commit
            steps.append(await bounded("the last commit of offsets", self.app.consumer.commit(), STOP_LEAVE_S))
        self._is_drained = all(steps) and not self.ledger.committable()

    async def _close(self, tasks: Collection[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        ends: dict[str, Awaitable[Any]] = {
            "ending the groups": self.group_commit.stop(),
            "ending what reads": asyncio.gather(self.held_up.following.stop(), self.standby.stop()),
            "ending the tasks": asyncio.wait(tasks),
        }
        if self.app.started:
            ends["leaving the group"] = self.app.stop()
        last = {"closing the producer": self.publisher.stop(), "closing the admin port": self.admin.stop()}
        self.has_leftovers = not (await all_bounded(ends, STOP_LEAVE_S) & await all_bounded(last, STOP_LEAVE_S))
        self.spilling.store.clear()

    # -- hooks of the transport -----------------------------------------------------------------------------------

    def may_read(self) -> bool:
        return self._reading and not self.ending()

    def ending(self) -> bool:
        return self._draining or self.failed

    def resumed(self, assignments: int) -> None:
        self._reading = assignments == self.assignments
        self.steps.reached(RESUME)

    def revoking(self) -> None:
        self.steps.began()
        self.assignments += 1
        self._reading = False
        self.partitions.close()

    async def drained(self) -> None:
        await self.group_commit.drain()
        self.steps.reached(DRAIN)

    def assigned(self, partitions: set[int], generation: int) -> None:
        if generation == self.partitions.generation:
            # A static member's rejoin makes no new generation; this worker's own would have been its first.
            self.fail(
                InstanceTakenError(
                    f"another worker of this role seems to have the instance name {self.settings.instance!r} too: give"
                    " each its own (--instance or SLUICE_INSTANCE)"
                )
            )
        self.assignments += 1
        self._reading = False
        self.metrics.rebalances.inc()
        self.metrics.partitions.set(len(partitions))
        self.heartbeat(time.monotonic())
        self.steps.reached(JOIN)
        self.held_up.paused.clear()
        if generation != self.partitions.generation + 1:
            self.standby.follow(())  # it may have been away for longer than a changelog keeps deletions
        self.partitions.assigned(partitions, generation)
        log.info("%s: generation %d gives partitions %s", self.name, generation, sorted(partitions))

    async def recover(self) -> None:
        count = self.assignments
        if self.failed:
            await asyncio.Event().wait()  # the process ends; nothing may open again
        try:
            missing = self.partitions.missing()
            states = await self.recovery.recover(missing, self.partitions.generation, self.standby) if missing else []
            if self.assignments != count:
                for state in states:
                    state.close()
                await asyncio.Event().wait()  # the next rebalance is here: it cancels this recovery and begins its own
            self.partitions.recovered(states)
        except Exception as error:  # noqa: BLE001 - as with every error outside `decide`
            self.fail(error)
            await asyncio.Event().wait()
        self._progress()
        self.partitions.open()
        self.steps.reached(HAND_OVER)
        for state in self.partitions.owned.values():
            self.group_commit.rewrite_overwritten(state)
        self.standby.follow(set(range(self.settings.partitions)) - self.partitions.owned.keys())

    def committed(self, offsets: dict[int, int]) -> None:
        self.ledger.committed(offsets)
        for partition, offset in offsets.items():
            state = self.partitions.owned.get(partition)
            for table in state.all if state is not None else ():
                table.forget_deleted(offset)

    def heartbeat(self, sent_at: float) -> None:
        self.lease.confirmed(sent_at)

    # -- the agent ------------------------------------------------------------------------------------------------

    async def consume(self, stream: Any) -> None:
        """The one agent: each event is chunks of several partitions."""
        try:
            async for event in stream.noack().events():
                for chunk in event.value:
                    await self._decide(chunk)
                await asyncio.sleep(0)  # Faust's queue does not give way while it has events: no group would leave
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - Faust would acknowledge and go on
            self.fail(error)
            await asyncio.Event().wait()

    async def _decide(self, chunk: Chunk) -> None:
        """Decides a chunk, in parts if it has large records. Before each part the partition may have left."""
        partition, records = chunk.partition, chunk.records
        prepared = await self.preparing.prepare(partition, records)
        while records:
            await self.group_commit.room()
            state = self.partitions.get(partition)
            if state is None or self.assignments != chunk.assignments or not self.may_read():
                return  # its offset is not committed, so the partition's owner reads it again
            if not self.held_up.paused.has_turn(partition, chunk.turn):
                return  # likewise, when the partition goes on
            self._progress()
            state.read_on(first := records[0].offset, records[-1].offset)
            try:
                done = self.decide_loop.decide_chunk(state, records, prepared, DECIDE_HOLD_S if prepared else None)
            except StuckError as stuck:
                self.ledger.cut(partition, stuck.offset, state.last_decided if stuck.offset > first else None)
                state.next_read = stuck.offset
                await self.held_up.paused.pause(partition, stuck, self.app.consumer)
                return
            if partition in self.held_up.paused:
                self.held_up.paused.over(partition)
            if not self.steps.is_over:
                self.steps.reached(DECIDE)
            if records := records[done:]:
                state.next_read = records[0].offset
                self.ledger.split(partition, state.last_decided)
                await asyncio.sleep(0)

    # -- Committer ------------------------------------------------------------------------------------------------

    async def commit(self, partition: int, effects: Iterable[Effect], changes: Iterable[Change]) -> None:
        effects, changes = list(effects), list(changes)
        check_fit([each.value for each in effects], [each.value for each in changes])
        if self._commits_waiting or not self._may_commit():
            self._commits_waiting += 1
            try:
                async with self._commits:
                    while not self._may_commit():  # it may change again before a waiter's turn comes
                        await (self.group_commit.room() if self.partitions.is_open() else self.partitions.opened())
            finally:
                self._commits_waiting -= 1
        await self._commit(partition, effects, changes)

    def _may_commit(self) -> bool:
        """Whether a commit need not wait, if only for its error."""
        return self.partitions.is_open() and (self.failed or not self.group_commit.is_full())

    def _commit(self, partition: int, effects: Sequence[Effect], changes: Iterable[Change]) -> asyncio.Future[None]:
        """Nothing gives way from the caller's turn to the waiter, so a rebalance sees all of it or nothing."""
        state = self.partitions.get(partition)
        if state is None:
            raise PartitionLost(f"partition {partition} of {self.source} is not this worker's")
        if self.failed:
            raise RuntimeError("this worker is ending: nothing can be made durable any more")
        return self.group_commit.add_own(state, effects, changes)

    # -- what /live, /ready and /metrics say ----------------------------------------------------------------------

    def _progress(self) -> None:
        self._progress_at = time.monotonic()

    def lag(self) -> dict[int, int]:
        """Records not yet finished, per partition of this worker."""
        return {partition: each.lag() for partition, each in self._partitions_read().items()}

    def _partitions_read(self) -> dict[int, Progress]:
        return self.app.consumer.progress() if self.app.started and self.partitions.is_open() else {}

    def not_live(self) -> str | None:
        silent = time.monotonic() - max(self._progress_at, self.group_commit.progress_at)
        if silent > self.tuning.live_timeout_s:
            return f"no progress for {silent:.0f} s while records wait"
        return None

    def not_ready(self) -> str | None:
        if self.failed or self._draining or self._ended.is_set():
            return "ending"
        if not self.partitions.generation:
            return "joining the group"
        if not self.partitions.is_open():
            return "recovering tables"
        if self.lease.is_over():
            return f"Kafka has not confirmed this worker for {self.lease.silent_s():.0f} s"
        return self.held_up.following.ready() or self.role.ready()

    def refresh_metrics(self) -> None:
        self.metrics.set_lag(self.lag())
        self.metrics.set_sizes(sizes(self.partitions.owned))
