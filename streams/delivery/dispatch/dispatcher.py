"""The owner of one shard of one destination: decides which request leaves next, and makes known what became of it.

One task picks among the lanes that wait (lanes.py, waiting.py) as far as the destination admits (admission.py); each
request in the air is a task of its own. The steps of an attempt, in the order in which they happen:

1. permits are reserved durably (a block at a time) and taken; without a budget, that the shard is ours is confirmed;
2. the request is sent, and its answer classified;
3. a Retry-After, or a limit that the answer calls spent, closes the gate in memory, then durably;
4. the attempt, the order's outcome and the changed entry become durable, in one commit;
5. only then does the lane take its next step.

A crash between 2 and 4 sends the request again, with the same delivery id.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from random import Random
from typing import Any

from streams.delivery.admission.admission import Admission, Flight
from streams.delivery.attempts.attempt import Finished, attempt_once, expire, finish
from streams.delivery.attempts.gaps import abandon, watermark
from streams.delivery.attempts.retry_schedule import RetrySchedule
from streams.delivery.clock import NEVER
from streams.delivery.destinations import when_dead_of
from streams.delivery.dispatch.metrics import DispatcherCounters, DispatcherGauges
from streams.delivery.dispatch.slots import CallSlots
from streams.delivery.lanes.lane import Lane, Send
from streams.delivery.lanes.lane_set import LaneSet
from streams.delivery.lanes.ready_queue import CallTurn, Turn
from streams.delivery.lanes.spilled import SpilledLanes
from streams.delivery.outbox.records import OutboxEntry, timeout_s
from streams.delivery.ports import AttemptResult, Call, Clock, Recalled, Sender, Slot, Withheld
from streams.delivery.shutdown import GIVE_BACK_S
from streams.delivery.subscribers.backlog import BacklogReporter
from streams.delivery.subscribers.health import Watch, unwatched
from streams.delivery.tasks import guarded
from streams.runtime.role import Committer, PartitionLost, Table
from topics.configuration.pace import Pace
from topics.contract.definition import Priority, Touchpoint
from topics.subscriptions.model import KINDS

MEASURED_EVERY_MS = 1_000
"""How often the oldest lane is looked for: all of them are looked at."""

WITHHELD_MS = 60_000
"""What cannot be sent from here is looked at as often as this: a secret that cannot be read may have ended by then."""

log = logging.getLogger(__name__)


class Dispatcher:
    """See the module. Lives on the role's event loop; `start` begins, `drop` ends at once, `drain` ends in order."""

    def __init__(
        self,
        *,
        destination: str,
        shard: int,
        partition: int,
        config: Pace,
        outbox: Table,
        parked: SpilledLanes,
        schedule: RetrySchedule,
        admission: Admission,
        committer: Committer,
        sender: Sender,
        clock: Clock,
        random: Random,
        crashed: Callable[[BaseException], None],
        watch: Watch = unwatched,
        report: BacklogReporter | None = None,
    ) -> None:
        self.destination = destination
        self.shard = shard
        self.partition = partition
        self.config = config
        self._watch = watch
        self._paused = False
        self._withheld = False
        self._withheld_until_ms = 0
        self._when_dead = when_dead_of(config)
        self._outbox = outbox
        self._schedule = schedule
        self._admission = admission
        self._permits = admission.permits
        self._committer = committer
        self._sender = sender
        self._clock = clock
        self._random = random
        self._crashed = crashed
        self._wake = asyncio.Event()
        self._lanes = LaneSet(
            outbox,
            parked,
            clock.now_ms,
            expire=self._begin_expiry,
            withdraw=lambda entry: self._spawn(self._withdraw(entry)),
            wake=self._wake.set,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = CallSlots(
            destination=destination,
            partition=partition,
            admission=admission,
            clock=clock,
            enqueue=self._lanes.put_call,
            send=self._send,
            spawn=self._spawn,
            wake=self._wake.set,
        )
        self._loop_task: asyncio.Task[None] | None = None
        self._gauges = DispatcherGauges(destination, shard)
        self._counters = DispatcherCounters(destination)
        self._measured_ms = 0
        self._report = report

    # What waits

    def put(self, entry: OutboxEntry) -> None:
        """A request came, or an operator gave one a fresh schedule."""
        self._lanes.put(entry)

    def remove(self, lane_name: str, request_id: str) -> None:
        """An operator skipped a request."""
        self._lanes.remove(lane_name, request_id)

    def is_empty(self, lane_name: str) -> bool:
        return self._lanes.is_empty(lane_name)

    def slot(
        self, touchpoint: Touchpoint, channel: str, *, priority: Priority = Priority.STOCK, weight: float = 0.0
    ) -> AbstractAsyncContextManager[Slot]:
        """See streams.delivery.ports.Caller."""
        return self._slots.hold(touchpoint, channel, priority, weight)

    async def call(
        self,
        touchpoint: Touchpoint,
        channel: str,
        members: dict[str, Any],
        *,
        priority: Priority = Priority.STOCK,
        weight: float = 0.0,
        delivery_id: str = "",
    ) -> AttemptResult:
        """See streams.delivery.ports.Caller."""
        while True:
            with contextlib.suppress(Recalled):
                async with self.slot(touchpoint, channel, priority=priority, weight=weight) as slot:
                    return await slot.send(members, delivery_id)

    # Life

    def pause(self, *, paused: bool) -> None:
        """Paused: what waits goes on waiting; what is in the air ends as always."""
        self._paused = paused
        self._withheld_until_ms = 0  # what kept it may have been mended
        self._wake.set()

    def start(self) -> None:
        if self._loop_task is not None:
            raise RuntimeError("a runner is started once: two of its loops would send the same")
        self._admission.listen(self._wake.set)
        work = self._run()
        self._loop_task = asyncio.get_running_loop().create_task(guarded(work, self._crashed))
        self._loop_task.add_done_callback(lambda _task: work.close())  # as in `_spawn`

    def drop(self) -> list[asyncio.Task[None]]:
        """The partition is lost: end everything at once. Returns the cancelled tasks, for whoever waits for them."""
        self._gauges.forget()
        self._lanes.close()
        self._admission.close(self._wake.set)
        tasks = [task for task in (self._loop_task, *self._tasks) if task is not None]
        for task in tasks:
            task.cancel()
        self._slots.drop()
        return tasks

    async def drain(self, until_ms: int) -> None:
        """Send nothing more, let what is in the air end until `until_ms`, then give back unused permits durably."""
        self._slots.close()
        self._lanes.close()
        if self._loop_task is not None:
            self._loop_task.cancel()
        while (self._tasks or self._slots.held) and self._clock.now_ms() < until_ms:
            self._wake.clear()
            await self._clock.wait(self._wake, until_ms)
        tasks = self.drop()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(PartitionLost, TimeoutError):
            async with asyncio.timeout(GIVE_BACK_S):
                await self._permits.keep(give_back=True)

    # Picking

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            now_ms = self._clock.now_ms()
            self._lanes.take_due(now_ms)
            self._measure(now_ms)
            blocked_until = self._blocked_until(now_ms)
            if blocked_until is not None:
                await self._wait(blocked_until)
                continue
            choice = self._lanes.choose(self._admission, now_ms)
            if choice.turn is None:
                await self._wait(choice.until_ms)
                continue
            kind = choice.turn.kind
            if not self._permits.available(kind):
                if not await self._permits.reserve(kind):
                    free_ms = self._permits.limits.free_at_ms(kind, self._clock.now_ms())
                    await self._wait(free_ms or NEVER)
                # Time has passed: who is first may have changed, and the gate may have closed.
                continue
            self._lanes.take()
            self._launch(choice.turn, now_ms)

    async def _wait(self, until_ms: float) -> None:
        """Until then, or until something happens or is due before."""
        look_ms = NEVER if self._report is None else self._report.next_ms
        await self._clock.wait(self._wake, min(until_ms, self._lanes.next_ms(), look_ms))

    def _blocked_until(self, now_ms: int) -> float | None:
        if self._paused:
            return NEVER
        return self._withheld_until_ms if now_ms < self._withheld_until_ms else self._admission.blocked_until(now_ms)

    # Sending

    def _launch(self, turn: Turn, now_ms: int) -> None:
        if isinstance(turn, CallTurn):
            self._slots.grant(turn)
            return
        lane, step = turn.lane, turn.lane.next_step(now_ms)
        if not isinstance(step, Send) or step.entry.request.touchpoint != turn.kind:
            self._lanes.schedule(lane)
            return
        flight = self._admission.leave(turn.kind, lane.name, redriven=turn.redriven)
        self._begin(lane, step.entry, self._attempt(lane, step.entry, flight))

    def _begin(self, lane: Lane, entry: OutboxEntry, work: Coroutine[Any, Any, None]) -> None:
        self._lanes.begin(lane, entry)
        self._spawn(work)

    def _begin_expiry(self, lane: Lane, entry: OutboxEntry) -> None:
        self._begin(lane, entry, self._expire(lane, entry))

    async def _attempt(self, lane: Lane, entry: OutboxEntry, flight: Flight) -> None:
        if self._admission.recalls(flight):
            self._lanes.schedule(lane)
            return
        request = entry.request
        entry.watermark = watermark(entry, self._outbox)
        try:
            call = Call(
                touchpoint=KINDS[request.touchpoint],
                destination=self.destination,
                channel=request.channel,
                members=request.body,
                entity=request.entity,
                delivery_id=request.id,
                attempt=entry.attempts + 1,
                sequence=request.sequence,
                previous_sequence=entry.previous,
                watermark=entry.watermark,
                redrive=entry.redrive,
                timeout_s=timeout_s(request, self.config.timeout_s, self._clock.now_ms()),
            )
            observe = self._watch()
            result = await self._send(call, flight)
            now_ms = self._clock.now_ms()
            finished, passed = self._finish(lane, entry, result, now_ms)
            noted = observe(result, now_ms)
            if noted.disabled is not None:
                # Until everybody knows it, nothing leaves here. From then on the view says whether it is paused: when
                # the commit ends, it may be enabled again already.
                self.pause(paused=True)
            await self._committer.commit(self.partition, (*finished.effects, *noted.effects), finished.changes)
            self._permits.proved(now_ms)
            self._count(entry, finished)
        except Withheld as withheld:
            self._withhold(str(withheld))
            self._lanes.schedule(lane)
            return
        finally:
            self._admission.landed(flight)
        for one in passed:
            lane.remove(one.request.id)
        self._after(lane, entry, finished)

    def _finish(
        self, lane: Lane, entry: OutboxEntry, result: AttemptResult, now_ms: int
    ) -> tuple[Finished, Sequence[OutboxEntry]]:
        """What the attempt makes of its request, and which of those behind it are not sent any more."""
        where, policy = self.partition, self._when_dead
        finished = finish(entry, result, self._schedule, now_ms, self._random, partition=where, when_dead=policy)
        return abandon(entry, finished, self._outbox, lane.behind, now_ms=now_ms, partition=where)

    def _withhold(self, why: str) -> None:
        """No attempt was made, and nothing else is tried for a while: it would be the same."""
        now_ms = self._clock.now_ms()
        if now_ms >= self._withheld_until_ms:
            log.error(
                "delivery.withheld destination=%s shard=%d, its requests wait: %s", self.destination, self.shard, why
            )
        self._withheld, self._withheld_until_ms = True, now_ms + WITHHELD_MS
        self._gauges.withheld(withheld=True)

    async def _withdraw(self, entry: OutboxEntry) -> Finished:
        finished = expire(entry, self._clock.now_ms())
        await self._committer.commit(self.partition, finished.effects, finished.changes)
        self._count(entry, finished)
        return finished

    async def _expire(self, lane: Lane, entry: OutboxEntry) -> None:
        self._after(lane, entry, await self._withdraw(entry))

    def _after(self, lane: Lane, entry: OutboxEntry, finished: Finished) -> None:
        if finished.leaves:
            lane.remove(entry.request.id)
        self._lanes.schedule(lane)

    async def _send(self, call: Call, flight: Flight) -> AttemptResult:
        """Send with its permits taken; an answer that asks for quiet has closed the gate, durably, at the end."""
        result: AttemptResult | None = None
        closed = False
        try:
            result = await attempt_once(self._sender, call, self._clock)
        finally:
            closed = self._admission.ended(flight, result)
            self._wake.set()  # its place is free
        self._counters.attempted(call.touchpoint.name, result)
        if self._withheld:
            self._withheld = False
            self._gauges.withheld(withheld=False)
        if closed:
            await self._permits.keep()
        return result

    # Tasks

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(guarded(work, self._crashed))
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        task.add_done_callback(lambda _task: work.close())  # cut off before its first step, it would be a warning

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()

    def _count(self, entry: OutboxEntry, finished: Finished) -> None:
        self._counters.ended(entry.request.touchpoint, finished.kind)

    def _measure(self, now_ms: int) -> None:
        self._gauges.lanes.set(len(self._lanes))
        if now_ms >= self._measured_ms + MEASURED_EVERY_MS or not len(self._lanes):
            self._measured_ms = now_ms
            oldest_ms = self._lanes.oldest_ms
            self._gauges.age.set(0 if oldest_ms is None else max(0, now_ms - oldest_ms))
        self._gauges.follow(self._admission)
        told = None if self._report is None else self._report.look(self._lanes, now_ms)
        if told is not None:
            self._spawn(self._committer.commit(self.partition, [told], ()))
