"""The dispatcher of one shard of a destination: decides which request leaves next, and when.

One task picks the next turn in the ready queue as far as the destination admits it. Each request in flight is a task of
its own: lane_requests.py sends those of lanes, slots.py direct calls. Permits are reserved durably, a block at a time,
before a turn uses them; without a budget the dispatcher proves by a durable write that it still owns the shard.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AbstractAsyncContextManager
from typing import Any

from streams.delivery.admission.admission import Admission
from streams.delivery.clock import NEVER
from streams.delivery.dispatch.lane_requests import LaneRequests
from streams.delivery.dispatch.metrics import DispatcherGauges
from streams.delivery.dispatch.shard import Shard, ShardSender, Worker
from streams.delivery.dispatch.slots import CallSlots
from streams.delivery.lanes.ready_queue import CallTurn, Turn
from streams.delivery.lanes.spilled import SpilledLanes
from streams.delivery.outbox.records import OutboxEntry
from streams.delivery.ports import AttemptResult, Recalled, Slot
from streams.delivery.shutdown import GIVE_BACK_S
from streams.delivery.subscribers.backlog import BacklogReporter
from streams.delivery.subscribers.health import SubscriptionHealth
from streams.delivery.tasks import BackgroundTasks
from streams.runtime.role import PartitionLost, Table
from topics.contract.definition import Priority, Touchpoint

MEASURED_EVERY_MS = 1_000
"""Between two looks for the oldest lane: each passes all of them."""


class Dispatcher:
    """See the module. Lives on the role's event loop; `start` begins, `cancel` ends at once, `drain` ends in order."""

    def __init__(
        self,
        shard: Shard,
        worker: Worker,
        *,
        outbox: Table,
        spilled: SpilledLanes,
        admission: Admission,
        health: SubscriptionHealth | None = None,
        backlog: BacklogReporter | None = None,
    ) -> None:
        """`health` and `backlog` are given for a subscription only; a far side has none."""
        self.destination = shard.destination
        self.shard = shard.number
        self.partition = shard.partition
        self.config = shard.config
        self._worker = worker
        self._clock = worker.clock
        self._admission = admission
        self._permits = admission.permits
        self._backlog = backlog
        self._wake = asyncio.Event()
        self._tasks = BackgroundTasks(worker.crashed, self._wake.set)
        self._loop = BackgroundTasks(worker.crashed)
        self._started = self._paused = False
        self._gauges = DispatcherGauges(shard.destination, shard.number)
        self._measured_ms = 0
        sender = ShardSender(shard, worker, admission, self._wake.set)
        self._requests = LaneRequests(
            shard,
            worker,
            outbox=outbox,
            spilled=spilled,
            admission=admission,
            sender=sender,
            gauges=self._gauges,
            health=health,
            spawn=self._tasks.start,
            pause=lambda: self.pause(paused=True),
            wake=self._wake.set,
        )
        self._lanes = self._requests.lanes
        self._slots = CallSlots(
            shard,
            sender,
            admission=admission,
            clock=worker.clock,
            enqueue=self._lanes.add_call,
            spawn=self._tasks.start,
            wake=self._wake.set,
        )

    # Requests and calls

    def enqueue(self, entry: OutboxEntry) -> None:
        """A request came, or an operator gave one a fresh schedule."""
        self._lanes.add(entry)

    def remove(self, lane_name: str, request_id: str) -> None:
        """A request left by another way than being sent: an operator skipped it."""
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
        """While paused, requests go on waiting; those in flight end as always."""
        self._paused = paused
        self._requests.withheld_until_ms = 0  # the reason may have been mended
        self._wake.set()

    def start(self) -> None:
        if self._started:
            raise RuntimeError("a dispatcher is started once: two of its loops would send the same requests")
        self._started = True
        self._admission.listen(self._wake.set)
        self._gauges.follow(self._admission)
        self._loop.start(self._run())

    def cancel(self) -> list[asyncio.Task[None]]:
        """End everything at once: the partition was revoked. Returns the cancelled tasks, to be awaited."""
        self._gauges.forget()
        self._requests.close()
        self._admission.close(self._wake.set)
        tasks = [*self._loop.cancel(), *self._tasks.cancel()]
        self._slots.on_revoked()
        return tasks

    async def drain(self, until_ms: int) -> None:
        """Send nothing more, let requests in flight end until `until_ms`, then give back unused permits durably."""
        self._slots.close()
        self._lanes.close()
        self._loop.cancel()
        while (self._tasks or self._slots.held) and self._clock.now_ms() < until_ms:
            self._wake.clear()
            await self._clock.wait(self._wake, until_ms)
        tasks = self.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(PartitionLost, TimeoutError):
            async with asyncio.timeout(GIVE_BACK_S):
                await self._permits.keep(give_back=True)

    # Picking the next turn

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            now_ms = self._clock.now_ms()
            self._lanes.wake_due(now_ms)
            self._measure(now_ms)
            refused, until_ms = self._launch_ready(now_ms)
            if refused is None:
                await self._wait(until_ms)
            elif not await self._permits.reserve(refused.kind):
                free_ms = self._permits.limits.free_at_ms(refused.kind, self._clock.now_ms())
                await self._wait(free_ms or NEVER)
            # Time has passed: another turn may be the next, and the gate may have closed.

    def _launch_ready(self, now_ms: int) -> tuple[Turn | None, float]:
        """Launch what may leave now, one turn after the other. Returns the first turn without reserved permits; (None,
        t): without anything happening, none may go before t."""
        queue, admission, permits = self._lanes.queue, self._admission, self._permits
        while True:
            blocked_until = self._blocked_until(now_ms)
            if blocked_until is not None:
                return None, blocked_until
            turn, until_ms = queue.choose(admission, now_ms)
            if turn is None:
                return None, until_ms
            if not permits.available(turn.kind):
                return turn, NEVER
            queue.pop_chosen()
            if isinstance(turn, CallTurn):
                self._slots.grant(turn)
            elif not self._requests.launch(turn, now_ms):
                return None, now_ms  # at once, by a new reading of the clock: by this one it may never agree

    async def _wait(self, until_ms: float) -> None:
        """Wait until then, or until something happens or is due before."""
        report_ms = NEVER if self._backlog is None else self._backlog.next_ms
        await self._clock.wait(self._wake, min(until_ms, self._lanes.next_ms(), report_ms))

    def _blocked_until(self, now_ms: int) -> float | None:
        if self._paused:
            return NEVER
        withheld_until_ms = self._requests.withheld_until_ms
        return withheld_until_ms if now_ms < withheld_until_ms else self._admission.blocked_until(now_ms)

    def _measure(self, now_ms: int) -> None:
        self._gauges.lanes.set(len(self._lanes))
        if now_ms >= self._measured_ms + MEASURED_EVERY_MS or not len(self._lanes):
            self._measured_ms = now_ms
            oldest_ms = self._lanes.oldest_ms
            self._gauges.age.set(0 if oldest_ms is None else max(0, now_ms - oldest_ms) / 1000)
        report = None if self._backlog is None else self._backlog.report_if_due(self._lanes, now_ms)
        if report is not None:
            self._tasks.start(self._worker.committer.commit(self.partition, [report], ()))
