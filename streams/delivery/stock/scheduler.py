"""Which location sends next: for one kind of call, the locations of one channel that live in one shard.

A turn is asked of the destination, and what it sends is chosen when it has come: what went out of stock a moment ago is
in the next call, whichever location it is at. Locations with something out of stock go first, then the others, each in
the order in which they became due; in one turn of FAIR_TURN it is the other way round, so that all move on. A location
with a million dirty SKUs takes its turns and no more, and one with nothing to send costs nothing: all share one task.

The channel's own stock budget is asked before the destination's. What is only sent again goes as redrive does: when
nothing is dirty, and within the share of the destination's and of the stock budget that is idle.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import chain, count

from streams.delivery.clock import NEVER
from streams.delivery.ports import AttemptResult, Caller, Clock, Slot
from streams.delivery.stock.budget import StockBudget
from streams.delivery.stock.location import LocationSender, Standing, StockCall
from streams.delivery.tasks import Spawn
from streams.runtime.invariants import InvariantError
from topics.contract.definition import Priority, Touchpoint

FAIR_TURN = 8
"""One turn in eight is for what is not out of stock: that waits an eighth longer, and nobody stands still."""
ASKS_MAX = 4
"""Turns that are asked for at once: while the process is busy, one that has come is a few turns of the event loop old
before the next could be asked for."""


@dataclass(slots=True, eq=False)
class _Ask:
    """A turn that was asked for. It has a permit of the stock budget, whether or not its task ever runs."""

    standing: Standing
    began: bool = False
    task: asyncio.Task[None] | None = None

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()


class StockScheduler:
    def __init__(
        self,
        *,
        channel: str,
        touchpoint: Touchpoint,
        caller: Caller,
        budget: StockBudget,
        clock: Clock,
        spawn: Spawn,
    ) -> None:
        """`budget`: the channel's for stock, in this shard."""
        self._channel = channel
        self._touchpoint = touchpoint
        self._caller = caller
        self._budget = budget
        self._clock = clock
        self._spawn = spawn
        self._due: tuple[OrderedDict[LocationSender, None], ...] = tuple(OrderedDict() for _ in Standing)
        self._timers: list[tuple[float, int, LocationSender]] = []
        self._timer_of: dict[LocationSender, float] = {}
        self._serial = count()
        self._turns = 0
        self._wake = asyncio.Event()
        self._stopped = False
        self._asked: set[_Ask] = set()
        """Those whose turns have not come."""

    def reschedule(self, location: LocationSender) -> None:
        """Looks anew at what the location has to send, and when."""
        due_ms = location.due_ms()
        if due_ms > self._clock.now_ms():
            self._stand(location, None)
            self._set_timer(location, due_ms)
            return
        if location.queue.is_urgent:
            self._stand(location, Standing.URGENT)
        else:
            self._stand(location, Standing.RESEND if location.queue.only_resends else Standing.ORDINARY)

    def stop(self) -> None:
        """No further call; those in flight may end."""
        self._stopped = True
        self._wake.set()
        for ask in self._asked:
            ask.cancel()

    async def run(self) -> None:
        """Until it is stopped."""
        kind = self._touchpoint.name
        while not self._stopped:
            self._wake.clear()
            standing = self._first(self._clock.now_ms())
            if standing is None or not self._may_ask(standing):
                await self._clock.wait(self._wake, self._next_ms())
                continue
            spent_until_ms = await self._budget.spent_until_ms(kind, idle_only=standing is Standing.RESEND)
            if spent_until_ms is not None:
                await self._clock.wait(self._wake, min(spent_until_ms, self._next_ms()))
            elif self._budget.available(kind):  # what was reserved may no longer be fresh
                self._ask(standing)

    # Asking for turns

    def _may_ask(self, standing: Standing) -> bool:
        """Whether a turn may be asked for. A resend asks alone, and not while dirty SKUs wait."""
        if standing is Standing.RESEND:
            return not self._asked
        for ask in [ask for ask in self._asked if ask.standing is Standing.RESEND]:
            ask.cancel()  # it would wait where redrive waits
            self._asked.discard(ask)
        return len(self._asked) < self._calls_due()

    def _calls_due(self) -> int:
        """How many calls there are to make; ASKS_MAX stands for more."""
        calls = 0
        for location in chain(self._due[Standing.URGENT], self._due[Standing.ORDINARY]):
            calls += location.calls_due
            if calls >= ASKS_MAX:
                return ASKS_MAX
        return calls

    def _ask(self, standing: Standing) -> None:
        self._budget.acquire(self._touchpoint.name)
        ask = _Ask(standing)
        self._asked.add(ask)
        ask.task = self._spawn(self._call(ask))
        ask.task.add_done_callback(lambda _task: self._ended(ask))

    def _ended(self, ask: _Ask) -> None:
        if not ask.began:  # it was cancelled before its first step
            self._budget.release(self._touchpoint.name, None)
        self._came(ask)

    # A call

    async def _call(self, ask: _Ask) -> None:
        ask.began = True
        try:
            call, result = await self._send(ask)
            if call is not None and result is not None:
                await call.settle(result)
        except (Exception, InvariantError):
            self.stop()  # what this worker may still do is not known
            raise

    async def _send(self, ask: _Ask) -> tuple[StockCall | None, AttemptResult | None]:
        """Waits for a turn, and sends the call of the location that is first when it comes. None: nothing was sent."""
        result: AttemptResult | None = None
        may_have_left = False
        try:
            async with self._slot(ask.standing) as slot:
                self._came(ask)
                call = await self._begin(ask.standing)
                if call is not None:
                    may_have_left = True
                    result = await call.send(slot)
                    may_have_left = False
                return call, result
        finally:
            # Cut off while it was sent, a call keeps its permit: the far side may have counted it.
            if not may_have_left:
                self._budget.release(self._touchpoint.name, result)

    def _slot(self, standing: Standing) -> AbstractAsyncContextManager[Slot]:
        priority = Priority.BACKGROUND if standing is Standing.RESEND else Priority.STOCK
        weight = 1.0 if standing is Standing.URGENT else 0.0
        return self._caller.slot(self._touchpoint, self._channel, priority=priority, weight=weight)

    def _came(self, ask: _Ask) -> None:
        """The turn has come, or will not: the next one may be asked for."""
        self._asked.discard(ask)
        self._wake.set()

    async def _begin(self, standing: Standing) -> StockCall | None:
        """The call of the first location that has one, durable as doubtful."""
        while not self._stopped and (location := self._choose(standing)) is not None:
            call = await location.begin()
            if call is not None:
                return call
        return None

    # Choosing

    def _choose(self, standing: Standing) -> LocationSender | None:
        """A turn that was asked for what is dirty is not used to send what is clean."""
        self._take_due(self._clock.now_ms())
        self._turns += 1
        urgent, ordinary, resend = self._due
        lines = [urgent, ordinary] if self._turns % FAIR_TURN else [ordinary, urgent]
        if standing is Standing.RESEND:
            lines.append(resend)
        for line in lines:
            if line:
                location = next(iter(line))
                self._stand(location, None)
                return location
        return None

    def _first(self, now_ms: int) -> Standing | None:
        self._take_due(now_ms)
        return next((standing for standing in Standing if self._due[standing]), None)

    def _stand(self, location: LocationSender, standing: Standing | None) -> None:
        """A location that becomes due waits behind those that are."""
        before = location.standing
        if before is standing:
            return
        if before is not None:
            del self._due[before][location]
        location.standing = standing
        if standing is not None:
            self._due[standing][location] = None
            self._wake.set()

    def _set_timer(self, location: LocationSender, due_ms: float) -> None:
        known_ms = self._timer_of.get(location, NEVER)
        if due_ms < known_ms:
            self._timer_of[location] = due_ms
            heapq.heappush(self._timers, (due_ms, next(self._serial), location))
            self._wake.set()

    def _take_due(self, now_ms: int) -> None:
        while self._timers and self._timers[0][0] <= now_ms:
            due_ms, _, location = heapq.heappop(self._timers)
            if self._timer_of.get(location) == due_ms:
                del self._timer_of[location]
                self.reschedule(location)

    def _next_ms(self) -> float:
        return self._timers[0][0] if self._timers else NEVER
