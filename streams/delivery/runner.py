"""The owner of one shard of one destination: decides which request leaves next, and makes known what became of it.

One task picks among those that wait (waiting.py) as far as the destination admits (admission.py); each request in the
air is a task of its own. The steps of an attempt, in the order in which they happen:

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
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any

from streams.delivery import metrics
from streams.delivery.abandoning import abandon, watermark
from streams.delivery.admission import NEVER, Admission, Flight
from streams.delivery.attempts import Finished, attempt_once, expire, finish
from streams.delivery.destinations import when_dead_of
from streams.delivery.health import Observe, unobserved
from streams.delivery.kinds import KINDS
from streams.delivery.lane import Expire, Lane, Send, timeout_s
from streams.delivery.outbox import Entry
from streams.delivery.ports import AttemptResult, Call, Clock, Sender
from streams.delivery.retry_schedule import RetrySchedule
from streams.delivery.stopping import GIVE_BACK_S
from streams.delivery.turns import CallTurn, LaneTurn, Turn
from streams.delivery.waiting import Waiting
from streams.runtime.role import Committer, PartitionLost, Table
from topics.pace import Pace
from topics.touchpoints import Priority, Touchpoint

RELAY_WEIGHT = 1.0
"""Within its class a relay goes before notifications: somebody waits for it."""


class DestinationRunner:
    """See the module. Lives on the role's event loop; `start` begins, `drop` ends at once, `drain` ends in order."""

    def __init__(
        self,
        *,
        destination: str,
        shard: int,
        partition: int,
        config: Pace,
        outbox: Table,
        schedule: RetrySchedule,
        admission: Admission,
        committer: Committer,
        sender: Sender,
        clock: Clock,
        random: Random,
        crashed: Callable[[BaseException], None],
        observe: Observe = unobserved,
    ) -> None:
        self.destination = destination
        self.shard = shard
        self.partition = partition
        self.config = config
        self._observe = observe
        self._paused = False
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
        self._lanes: dict[str, Lane] = {}
        self._waiting = Waiting()
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls: set[asyncio.Future[AttemptResult]] = set()
        self._loop_task: asyncio.Task[None] | None = None
        self._over = False
        self._gauges = metrics.RunnerGauges(destination, shard)

    # What waits

    def put(self, entry: Entry) -> None:
        """A request came, or an operator gave one a fresh schedule."""
        name = entry.request.lane
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = Lane(name)
        lane.put(entry)
        is_first = next(iter(lane.entries)) == entry.request.id
        # Behind others nothing changes for the lane, unless somebody waits for an answer.
        if lane.busy and entry.request.relay:
            self._waiting.put_timed(LaneTurn(lane, lane.ticket), lane.next_expiry_ms())
            self._wake.set()
        elif not lane.busy and (is_first or entry.request.relay or _holds_up(lane, entry)):
            self._schedule_lane(lane)

    def remove(self, lane_name: str, request_id: str) -> None:
        """An operator skipped a request."""
        lane = self._lanes.get(lane_name)
        if lane is not None:
            lane.remove(request_id)
            if not lane.busy:
                self._schedule_lane(lane)

    def is_empty(self, lane_name: str) -> bool:
        return lane_name not in self._lanes

    async def call(
        self,
        touchpoint: Touchpoint,
        channel: str,
        members: dict[str, Any],
        *,
        priority: Priority = Priority.STOCK,
        weight: float = 0.0,
        delivery_id: str = "",
        attempt: int = 1,
    ) -> AttemptResult:
        """See streams.delivery.ports.Caller."""
        if self._over:
            raise PartitionLost(f"partition {self.partition} left this worker")
        call = Call(
            touchpoint=touchpoint,
            destination=self.destination,
            channel=channel,
            members=members,
            delivery_id=delivery_id,
            attempt=attempt,
        )
        answer: asyncio.Future[AttemptResult] = asyncio.get_running_loop().create_future()
        self._calls.add(answer)
        self._push_call(CallTurn(call, answer, priority, self._clock.now_ms(), weight))
        try:
            return await answer
        finally:
            self._calls.discard(answer)

    # Life

    def pause(self, *, paused: bool) -> None:
        """Paused: what waits goes on waiting; what is in the air ends as always."""
        self._paused = paused
        self._wake.set()

    def start(self) -> None:
        self._admission.listen(self._wake.set)
        self._loop_task = asyncio.get_running_loop().create_task(self._guard(self._run()))

    def drop(self) -> list[asyncio.Task[None]]:
        """The partition is lost: end everything at once. Returns the cancelled tasks, for whoever waits for them."""
        self._over = True
        self._gauges.forget()
        self._admission.unlisten(self._wake.set)
        tasks = [task for task in (self._loop_task, *self._tasks) if task is not None]
        for task in tasks:
            task.cancel()
        for answer in self._calls:
            if not answer.done():
                answer.set_exception(PartitionLost(f"partition {self.partition} left this worker"))
        return tasks

    async def drain(self, until_ms: int) -> None:
        """Send nothing more, let what is in the air end until `until_ms`, then give back unused permits durably."""
        self._over = True
        if self._loop_task is not None:
            self._loop_task.cancel()
        while self._tasks and self._clock.now_ms() < until_ms:
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
            self._take_due(now_ms)
            self._measure(now_ms)
            blocked_until = NEVER if self._paused else self._admission.blocked_until(now_ms)
            if blocked_until is not None:
                await self._clock.wait(self._wake, min(blocked_until, self._waiting.next_ms()))
                continue
            choice = self._waiting.choose(self._admission, now_ms)
            if choice.turn is None:
                await self._clock.wait(self._wake, min(choice.until_ms, self._waiting.next_ms()))
                continue
            kind = choice.turn.kind
            if not self._permits.available(kind):
                if not await self._permits.reserve(kind):
                    free_ms = self._permits.limits.free_at_ms(kind, self._clock.now_ms())
                    await self._clock.wait(self._wake, min(free_ms or NEVER, self._waiting.next_ms()))
                # Time has passed: who is first may have changed, and the gate may have closed.
                continue
            self._waiting.take(choice, now_ms)
            self._launch(choice.turn, now_ms)

    def _take_due(self, now_ms: int) -> None:
        for turn in self._waiting.take_due(now_ms):
            if turn.lane.busy:
                self._withdraw_overdue(turn, now_ms)
            else:
                self._schedule_lane(turn.lane)

    def _schedule_lane(self, lane: Lane) -> None:
        """Ask the lane for its step, and queue it where it belongs."""
        lane.ticket += 1
        if not lane.entries:
            self._lanes.pop(lane.name, None)
        if self._over or not lane.entries:
            return
        now_ms = self._clock.now_ms()
        step = lane.next_step(now_ms)
        turn = LaneTurn(lane, lane.ticket)
        if isinstance(step, Expire):
            self._begin(lane, step.entry, self._expire(lane, step.entry))
        elif isinstance(step, Send):
            request = step.entry.request
            turn.kind = request.touchpoint
            turn.redriven = lane.is_redriven
            priority = Priority.REDRIVE if turn.redriven else KINDS[request.touchpoint].priority
            weight = RELAY_WEIGHT if request.relay else 0.0
            due_ms = max(step.entry.next_ms, step.entry.queued_ms)
            self._waiting.put(turn, priority, due_ms, weight)
            # It may wait long for a permit or the gate; its relays are still withdrawn in time.
            self._waiting.put_timed(turn, lane.next_expiry_ms())
        else:
            self._waiting.put_timed(turn, step.until_ms)
        self._wake.set()

    # Sending

    def _launch(self, turn: Turn, now_ms: int) -> None:
        if isinstance(turn, CallTurn):
            self._spawn(self._answer_call(turn, self._admission.leave(turn.kind, turn.kind)))
            return
        lane, step = turn.lane, turn.lane.next_step(now_ms)
        if not isinstance(step, Send) or step.entry.request.touchpoint != turn.kind:
            self._schedule_lane(lane)
            return
        flight = self._admission.leave(turn.kind, lane.name, redriven=turn.redriven)
        self._begin(lane, step.entry, self._attempt(lane, step.entry, flight))

    def _begin(self, lane: Lane, entry: Entry, work: Coroutine[Any, Any, None]) -> None:
        lane.busy = True
        lane.in_air = entry.request.id
        self._spawn(work)

    async def _attempt(self, lane: Lane, entry: Entry, flight: Flight) -> None:
        if self._admission.recalls(flight):
            lane.busy = False
            self._schedule_lane(lane)
            return
        request = entry.request
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
                watermark=watermark(entry, self._outbox),
                timeout_s=timeout_s(request, self.config.timeout_s, self._clock.now_ms()),
            )
            result = await self._send(call, flight)
            now_ms = self._clock.now_ms()
            finished, passed = self._finish(lane, entry, result, now_ms)
            noted = self._observe(result, now_ms)
            await self._committer.commit(self.partition, (*finished.effects, *noted.effects), finished.changes)
            if noted.disabled is not None:
                self.pause(paused=True)
            self._permits.proved(now_ms)
            self._count(entry, finished)
        finally:
            self._admission.landed(flight)
        for one in passed:
            lane.remove(one.request.id)
        self._after(lane, entry, finished)

    def _finish(self, lane: Lane, entry: Entry, result: AttemptResult, now_ms: int) -> tuple[Finished, Sequence[Entry]]:
        """What the attempt makes of its request, and which of those behind it are not sent any more."""
        where, policy = self.partition, self._when_dead
        finished = finish(entry, result, self._schedule, now_ms, self._random, partition=where, when_dead=policy)
        return abandon(entry, finished, self._outbox, lane.behind, now_ms=now_ms, partition=where)

    def _withdraw_overdue(self, turn: LaneTurn, now_ms: int) -> None:
        """Callers do not wait for a slow request before theirs. After a crash the lane withdraws them again."""
        for entry in turn.lane.overdue(now_ms):
            turn.lane.remove(entry.request.id)
            self._spawn(self._withdraw(entry))
        self._waiting.put_timed(turn, turn.lane.next_expiry_ms())

    async def _withdraw(self, entry: Entry) -> Finished:
        finished = expire(entry, self._clock.now_ms())
        await self._committer.commit(self.partition, finished.effects, finished.changes)
        self._count(entry, finished)
        return finished

    async def _expire(self, lane: Lane, entry: Entry) -> None:
        self._after(lane, entry, await self._withdraw(entry))

    def _after(self, lane: Lane, entry: Entry, finished: Finished) -> None:
        if finished.leaves:
            lane.remove(entry.request.id)
        lane.busy = False
        self._schedule_lane(lane)

    def _push_call(self, turn: CallTurn) -> None:
        self._waiting.put(turn, turn.priority, turn.due_ms, turn.weight)
        self._wake.set()

    async def _answer_call(self, turn: CallTurn, flight: Flight) -> None:
        if self._admission.recalls(flight):
            self._push_call(turn)
            return
        try:
            result = await self._send(turn.call, flight)
        finally:
            self._admission.landed(flight)
            self._wake.set()
        if not turn.answer.done():
            turn.answer.set_result(result)

    async def _send(self, call: Call, flight: Flight) -> AttemptResult:
        """Send with its permits taken; an answer that asks for quiet has closed the gate, durably, at the end."""
        result: AttemptResult | None = None
        closed = False
        try:
            result = await attempt_once(self._sender, call, self._clock)
        finally:
            closed = self._admission.ended(flight, result)
        metrics.ATTEMPTS.labels(self.destination, call.touchpoint.name, result.kind, result.far_side).inc()
        metrics.ATTEMPT_SECONDS.labels(self.destination, result.far_side).observe(result.took_ms / 1000)
        if closed:
            await self._permits.keep()
        return result

    # Tasks

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(self._guard(work))
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()

    async def _guard(self, work: Coroutine[Any, Any, Any]) -> None:
        """A lost partition ends the work quietly: the new owner does it again. Anything else ends the process."""
        try:
            await work
        except PartitionLost:
            return
        except Exception as error:
            self._crashed(error)
            raise

    def _count(self, entry: Entry, finished: Finished) -> None:
        metrics.OUTCOMES.labels(self.destination, entry.request.touchpoint, finished.kind).inc()

    def _measure(self, now_ms: int) -> None:
        oldest = next(iter(self._lanes.values()), None)
        head = next(iter(oldest.entries.values()), None) if oldest is not None else None
        self._gauges.lanes.set(len(self._lanes))
        self._gauges.age.set(max(0, now_ms - head.queued_ms) if head is not None else 0)
        self._gauges.admission(self._admission, now_ms)


def _holds_up(lane: Lane, entry: Entry) -> bool:
    """Whether a redriven head now has somebody behind it who must not wait as long as it may."""
    return not entry.request.redriven and next(iter(lane.entries.values())).request.redriven
