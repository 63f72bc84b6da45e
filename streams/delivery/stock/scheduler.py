"""Whose stock goes next: the locations of one channel that live in one shard, and one kind of call.

Turns are asked of the destination's owner, and what goes in one is chosen when it has come: so what went out of stock a
moment ago is in the next call, whichever location it is at. Locations with something out of stock
go first, then the others, each in the order in which they became due; in one turn of FAIR_TURN it is the other way
round, so that everybody moves on. A location with a million dirty SKUs takes its turns and no more, and one that has
nothing to say costs nothing: there is one task for all.

A channel's own stock budget is asked before the destination's. What is only sent again goes as redrive does: when
nothing is dirty, and within the share of the destination's and the stock budget that is idle.
"""

from __future__ import annotations

import asyncio
import heapq
import uuid
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from itertools import chain, count
from typing import Any

from streams.delivery.admission.permits import Permits
from streams.delivery.admission.redrive_share import HEADROOM
from streams.delivery.clock import NEVER
from streams.delivery.ports import AttemptResult, Caller, Clock, Recalled, Slot
from streams.delivery.stock.location import Standing, StockLane
from streams.delivery.stock.queue.dirty_queue import Batch
from topics.contract.definition import Priority, Touchpoint

FAIR_TURN = 8
"""One turn in eight is for what is not out of stock: that waits an eighth longer, and nobody stands still."""

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


ASKS_MAX = 4
"""Turns that are asked for at once: while the process is busy, one that has come is a few turns of the event loop old
before the next could be asked for."""


class StockRota:
    def __init__(
        self,
        *,
        channel: str,
        touchpoint: Touchpoint,
        caller: Caller,
        permits: Permits | None,
        clock: Clock,
        spawn: Spawn,
    ) -> None:
        """`permits`: those of the channel's stock budget, in this shard."""
        self._channel = channel
        self._touchpoint = touchpoint
        self._caller = caller
        self._permits = permits
        self._clock = clock
        self._spawn = spawn
        self._due: tuple[OrderedDict[StockLane, None], ...] = tuple(OrderedDict() for _ in Standing)
        self._timers: list[tuple[float, int, StockLane]] = []
        self._timer_of: dict[StockLane, float] = {}
        self._serial = count()
        self._turns = 0
        self._wake = asyncio.Event()
        self._over = False
        self._asked: dict[int, tuple[Standing, asyncio.Task[None]]] = {}
        """Turns that were asked for and have not come, by a number."""

    def look(self, lane: StockLane) -> None:
        """What the location has to tell, or when, may have changed."""
        due_ms = lane.due_ms()
        if due_ms > self._clock.now_ms():
            self._stand(lane, None)
            self._set_timer(lane, due_ms)
            return
        if lane.queue.is_urgent:
            self._stand(lane, Standing.URGENT)
        else:
            self._stand(lane, Standing.AGAIN if lane.queue.has_only_again else Standing.ORDINARY)

    def stop(self) -> None:
        """No further call; those in the air may end."""
        self._over = True
        self._wake.set()
        for _, asked in self._asked.values():
            asked.cancel()

    async def run(self) -> None:
        """Until it is stopped."""
        while not self._over:
            self._wake.clear()
            standing = self._first(self._clock.now_ms())
            if standing is None or not self._may_ask(standing):
                await self._clock.wait(self._wake, self._next_ms())
            elif (spent_until_ms := await self._spent_until_ms(standing)) is not None:
                await self._clock.wait(self._wake, min(spent_until_ms, self._next_ms()))
            else:
                self._ask(standing)

    # Asking

    async def _spent_until_ms(self, standing: Standing) -> float | None:
        """None: the stock budget has a permit, reserved durably."""
        if self._permits is None:
            return None
        kind, limits = self._touchpoint.name, self._permits.limits
        if standing is Standing.AGAIN:
            roomy_ms = limits.roomy_at_ms(HEADROOM, self._clock.now_ms())
            if roomy_ms is None or roomy_ms > self._clock.now_ms():
                return NEVER if roomy_ms is None else roomy_ms
        if self._permits.available(kind) or await self._permits.reserve(kind):
            return None
        free_ms = limits.free_at_ms(kind, self._clock.now_ms())
        return NEVER if free_ms is None else free_ms

    def _may_ask(self, standing: Standing) -> bool:
        """What is only sent again asks alone, and not while what is dirty does."""
        if standing is Standing.AGAIN:
            return not self._asked
        for number, (asked_for, asked) in list(self._asked.items()):
            if asked_for is Standing.AGAIN:
                asked.cancel()  # it would wait where redrive waits
                del self._asked[number]
        return len(self._asked) < self._calls_due()

    def _calls_due(self) -> int:
        """How many calls there are to make; ASKS_MAX stands for more."""
        calls = 0
        for lane in chain(self._due[Standing.URGENT], self._due[Standing.ORDINARY]):
            calls += lane.calls_due
            if calls >= ASKS_MAX:
                return ASKS_MAX
        return calls

    def _ask(self, standing: Standing) -> None:
        if self._permits is not None:
            if not self._permits.available(self._touchpoint.name):
                return  # what was reserved is no longer fresh
            self._permits.limits.acquire(self._touchpoint.name)
        number = next(self._serial)
        self._asked[number] = standing, self._spawn(self._call(number, standing))

    async def _call(self, number: int, standing: Standing) -> None:
        try:
            sent = await self._send(number, standing)
            if sent is not None:
                lane, batch, result = sent
                await lane.end(batch, result)
        except Exception:
            self.stop()  # what this worker may still do is not known
            raise

    async def _send(self, number: int, standing: Standing) -> tuple[StockLane, Batch, AttemptResult] | None:
        """Waits for a turn, and sends the call of whichever location is first when it comes. None: nothing was sent."""
        result: AttemptResult | None = None
        try:
            async with self._slot(standing) as slot:
                self._came(number)
                begun = await self._begin(standing)
                if begun is None:
                    return None
                lane, batch = begun
                try:
                    result = await slot.send(lane.members(batch), uuid.uuid4().hex)
                except Recalled:
                    lane.give_back(batch)
                    return None
                return lane, batch, result
        finally:
            self._free_permit(result)
            self._came(number)

    def _slot(self, standing: Standing) -> AbstractAsyncContextManager[Slot]:
        priority = Priority.REDRIVE if standing is Standing.AGAIN else Priority.STOCK
        weight = 1.0 if standing is Standing.URGENT else 0.0
        return self._caller.slot(self._touchpoint, self._channel, priority=priority, weight=weight)

    def _came(self, number: int) -> None:
        """From here on the next turn may be asked for."""
        self._asked.pop(number, None)
        self._wake.set()

    async def _begin(self, standing: Standing) -> tuple[StockLane, Batch] | None:
        """The location whose turn it is and its call, durable as doubtful; None: nothing is to be sent any more."""
        while not self._over and (lane := self._choose(standing)) is not None:
            batch = await lane.begin()
            if batch is not None:
                return lane, batch
        return None

    def _free_permit(self, result: AttemptResult | None) -> None:
        """None: nothing was sent, or the partition is lost."""
        if self._permits is None:
            return
        kind = self._touchpoint.name
        if result is None:
            self._permits.limits.return_unsent(kind)
        else:
            self._permits.limits.request_ended(kind, self._clock.now_ms(), answered=result.status is not None)

    # Choosing

    def _choose(self, standing: Standing) -> StockLane | None:
        """A turn that was asked for what is dirty is not used to send what is clean."""
        self._take_due(self._clock.now_ms())
        self._turns += 1
        urgent, ordinary, again = self._due
        places = [urgent, ordinary] if self._turns % FAIR_TURN else [ordinary, urgent]
        if standing is Standing.AGAIN:
            places.append(again)
        for place in places:
            if place:
                lane = next(iter(place))
                self._stand(lane, None)
                return lane
        return None

    def _first(self, now_ms: int) -> Standing | None:
        self._take_due(now_ms)
        return next((standing for standing in Standing if self._due[standing]), None)

    def _stand(self, lane: StockLane, standing: Standing | None) -> None:
        """A location that becomes due waits behind those that are."""
        before = lane.standing
        if before is standing:
            return
        if before is not None:
            del self._due[before][lane]
        lane.standing = standing
        if standing is not None:
            self._due[standing][lane] = None
            self._wake.set()

    def _set_timer(self, lane: StockLane, due_ms: float) -> None:
        known_ms = self._timer_of.get(lane, NEVER)
        if due_ms < known_ms:
            self._timer_of[lane] = due_ms
            heapq.heappush(self._timers, (due_ms, next(self._serial), lane))
            self._wake.set()

    def _take_due(self, now_ms: int) -> None:
        while self._timers and self._timers[0][0] <= now_ms:
            due_ms, _, lane = heapq.heappop(self._timers)
            if self._timer_of.get(lane) == due_ms:
                del self._timer_of[lane]
                self.look(lane)

    def _next_ms(self) -> float:
        return self._timers[0][0] if self._timers else NEVER
