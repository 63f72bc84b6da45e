"""Slots for direct calls: each waits for its turn at the destination, holds permits, and sends at most one call.

What a stock call carries is chosen while its slot is held, so that it is the newest (decisions 0020 and 0024). However
the holder ends (nothing to send, an error, cancelled before or after its turn came), what the slot holds is given back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from streams.delivery.admission.admission import Admission, Flight
from streams.delivery.dispatch.shard import Shard, ShardSender
from streams.delivery.lanes.ready_queue import CallTurn
from streams.delivery.ports import AttemptResult, Call, Clock, Recalled
from streams.delivery.tasks import Spawn
from streams.runtime.role import PartitionLost
from topics.contract.definition import Priority, Touchpoint


@dataclass(frozen=True, slots=True)
class HeldSlot:
    """Implements streams.delivery.ports.Slot."""

    _slots: CallSlots
    _turn: CallTurn
    _touchpoint: Touchpoint
    _channel: str

    async def send(self, members: dict[str, Any], delivery_id: str = "") -> AttemptResult:
        call = Call(
            touchpoint=self._touchpoint,
            destination=self._slots.shard.destination,
            channel=self._channel,
            members=members,
            delivery_id=delivery_id,
        )
        return await self._slots.send(self._turn, call)


class CallSlots:
    """All slots of one dispatcher."""

    def __init__(
        self,
        shard: Shard,
        sender: ShardSender,
        *,
        admission: Admission,
        clock: Clock,
        enqueue: Callable[[CallTurn], None],
        spawn: Spawn,
        wake: Callable[[], None],
    ) -> None:
        """`spawn` starts a task that the dispatcher drains and cancels. `wake`: a place, or permits, may be free."""
        self.shard = shard
        self._sender = sender
        self._admission = admission
        self._clock = clock
        self._enqueue = enqueue
        self._spawn = spawn
        self._wake = wake
        self._held: dict[CallTurn, Flight] = {}
        """Turns that have come, of slots that have neither sent nor ended."""
        self._awaited: set[asyncio.Future[Any]] = set()
        self._closed = False
        self._lost = False

    @property
    def held(self) -> int:
        """Slots whose holders may still send."""
        return len(self._held)

    @asynccontextmanager
    async def hold(
        self, touchpoint: Touchpoint, channel: str, priority: Priority, weight: float
    ) -> AsyncIterator[HeldSlot]:
        if self._closed:
            raise self._partition_lost()
        turn = CallTurn(touchpoint.name, self._promise(), priority, self._clock.now_ms(), weight)
        self._enqueue(turn)
        try:
            await turn.granted
            yield HeldSlot(self, turn, touchpoint, channel)
        finally:
            self._awaited.discard(turn.granted)
            flight = self._held.pop(turn, None)
            if flight is not None:
                self._admission.give_back(flight)
                self._wake()

    def grant(self, turn: CallTurn) -> None:
        """Takes the permits of a turn that has come."""
        self._held[turn] = self._admission.admit(turn.kind, turn.kind, background=turn.background)
        turn.granted.set_result(None)

    async def send(self, turn: CallTurn, call: Call) -> AttemptResult:
        if self._lost:
            raise self._partition_lost()
        flight = self._held.pop(turn, None)
        if flight is None:
            raise RuntimeError(f"a slot for {turn.kind} sends once: its permits are used up")
        answer: asyncio.Future[AttemptResult] = self._promise()
        self._spawn(self._answer(call, flight, answer))
        try:
            return await answer
        finally:
            self._awaited.discard(answer)

    def close(self) -> None:
        """Grants no further slot; one that is held may still send."""
        self._closed = True

    def on_revoked(self) -> None:
        """Ends every wait for a turn or an answer with PartitionLost."""
        self._closed = self._lost = True
        for awaited in self._awaited:
            if not awaited.done():
                awaited.set_exception(self._partition_lost())

    async def _answer(self, call: Call, flight: Flight, answer: asyncio.Future[AttemptResult]) -> None:
        # Looked at where the call leaves: a gate may close between two steps of the event loop.
        if self._admission.recall(flight):
            self._wake()
            if not answer.done():
                answer.set_exception(Recalled())
            return
        try:
            result = await self._sender.send(call, flight)
        finally:
            self._admission.on_recorded(flight)
            self._wake()
        if not answer.done():
            answer.set_result(result)

    def _promise(self) -> asyncio.Future[Any]:
        promise: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._awaited.add(promise)
        return promise

    def _partition_lost(self) -> PartitionLost:
        return PartitionLost(f"partition {self.shard.partition} left this worker")
