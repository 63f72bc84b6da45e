"""The ready queue of a shard: lanes and calls that are ready to send or wait for a time, and which one goes next.

Within one budget the order of classes is: cancel, hold (a hold or its release), create, update, return, stock; then
background. The highest class goes first, so neither a cancellation nor a release waits for a backlog of creates. Every
AGEING_TURN-th grant goes to the item that has waited longest, if it has waited longer than AGEING_MS: so each class
moves on whatever the others do, and a request waits at most AGEING_TURN times the grants of those that became due
before it.

The background class (redrives, and questions to a far side) does not age: a redrive is a backlog that is older than
everything. While others wait it gets one grant in BACKGROUND_TURN; while none waits it may go as far as
streams/delivery/admission/background_share.py lets it.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Generic, TypeVar

from streams.delivery.admission.admission import Admission
from streams.delivery.clock import NEVER
from streams.delivery.lanes.lane import Lane
from topics.contract.definition import Priority

AGEING_MS = 10_000
"""An item that has waited longer than this may go out of turn: a quarter of a relay's deadline."""
AGEING_TURN = 4
"""One grant in four goes by age: 50 of Increff's 200 a minute, so the highest class keeps three quarters."""
BACKGROUND_TURN = 20
"""One grant in twenty: it delays the others by a twentieth of their wait."""

T = TypeVar("T")


class PriorityQueue(Generic[T]):
    """Items with a class and the time since which they are due. Items that died while they waited are passed over, by
    `alive`."""

    __slots__ = ("_background", "_chosen", "_grants", "_heaps", "_others_in_a_row", "_serial")

    def __init__(self) -> None:
        self._heaps: dict[Priority, list[tuple[float, int, T]]] = {priority: [] for priority in Priority}
        self._background = self._heaps.pop(Priority.BACKGROUND)
        self._chosen: list[tuple[float, int, T]] = []
        self._serial = count()
        self._grants = 0
        self._others_in_a_row = 0

    def push(self, item: T, priority: Priority, due_ms: int, weight: float = 0.0) -> None:
        """`weight` (0 to 1) moves an item forward within its class by as much as AGEING_MS of waiting."""
        position = due_ms - min(max(weight, 0.0), 1.0) * AGEING_MS
        heap = self._background if priority is Priority.BACKGROUND else self._heaps[priority]
        heapq.heappush(heap, (position, next(self._serial), item))

    def peek(self, now_ms: int, alive: Callable[[T], bool], *, background: bool = True) -> T | None:
        """The item that goes next, None without one; it stays. `background`: whether one of that class may go."""
        chosen = self._choose(now_ms, alive, background=background)
        if chosen is None:
            return None
        self._chosen = chosen
        return chosen[0][2]

    def pop_peeked(self) -> T:
        """Remove the item of the last `peek`; nothing may have happened since."""
        if self._chosen is self._background:
            self._others_in_a_row = 0
        else:
            self._grants += 1
            self._others_in_a_row += 1
        return heapq.heappop(self._chosen)[2]

    def _choose(
        self, now_ms: int, alive: Callable[[T], bool], *, background: bool
    ) -> list[tuple[float, int, T]] | None:
        highest = None
        for heap in self._heaps.values():
            if heap and self._has_head(heap, alive):
                highest = heap
                break
        may_go = background and self._has_head(self._background, alive)
        if may_go and (highest is None or self._others_in_a_row + 1 >= BACKGROUND_TURN):
            return self._background
        if highest is not None and (self._grants + 1) % AGEING_TURN == 0:
            heads = [heap for heap in self._heaps.values() if self._has_head(heap, alive)]
            oldest = min(heads, key=lambda heap: heap[0][0])
            if oldest[0][0] + AGEING_MS <= now_ms:
                return oldest
        return highest

    @staticmethod
    def _has_head(heap: list[tuple[float, int, T]], alive: Callable[[T], bool]) -> bool:
        while heap and not alive(heap[0][2]):
            heapq.heappop(heap)
        return bool(heap)


@dataclass(slots=True)
class LaneTurn:
    """A lane that is ready to send, or waits for a time."""

    lane: Lane
    ticket: int
    kind: str = ""
    """The touchpoint of a ready lane's request."""
    background: bool = False
    """Whether a ready lane holds only redriven requests: it leaves room for others."""

    @property
    def is_current(self) -> bool:
        """False when the lane was scheduled anew since."""
        return self.lane.ticket == self.ticket


@dataclass(slots=True, eq=False)
class CallTurn:
    """A slot for a call that waits for its turn (streams/delivery/dispatch/slots.py)."""

    kind: str
    granted: asyncio.Future[None]
    priority: Priority
    due_ms: int
    weight: float

    @property
    def background(self) -> bool:
        return self.priority is Priority.BACKGROUND


Turn = LaneTurn | CallTurn


class ReadyQueue:
    """Ready turns wait in a priority queue, turns with a time in a heap: a hundred thousand lanes that wait for a time
    cost nothing until it comes."""

    __slots__ = ("_ready", "_serial", "_timed")

    def __init__(self) -> None:
        self._ready: PriorityQueue[Turn] = PriorityQueue()
        self._timed: list[tuple[int, int, LaneTurn]] = []
        self._serial = count()

    def push_ready(self, turn: Turn, priority: Priority, due_ms: int, weight: float) -> None:
        """Add a turn that is ready since `due_ms`."""
        self._ready.push(turn, priority, due_ms, weight)

    def push_timed(self, turn: LaneTurn, until_ms: int | None) -> None:
        """Add a turn that waits for a time; nothing if the time is None."""
        if until_ms is not None:
            heapq.heappush(self._timed, (until_ms, next(self._serial), turn))

    def pop_due(self, now_ms: int) -> Iterator[LaneTurn]:
        """Remove the turns whose time has come."""
        while self._timed and self._timed[0][0] <= now_ms:
            turn = heapq.heappop(self._timed)[2]
            if turn.is_current:
                yield turn

    def next_ms(self) -> float:
        """When the next time comes."""
        while self._timed and not self._timed[0][2].is_current:
            heapq.heappop(self._timed)
        return self._timed[0][0] if self._timed else NEVER

    def choose(self, admission: Admission, now_ms: int) -> tuple[Turn | None, float]:
        """The turn that comes next; it stays until `pop_chosen`. (None, t): none may go before t, unless one comes."""
        turn = self._ready.peek(now_ms, _is_alive)
        if turn is None or not turn.background:
            return turn, NEVER
        free_ms = admission.background_free_ms(turn.kind, now_ms)
        if free_ms is not None and free_ms <= now_ms:
            return turn, NEVER
        return self._ready.peek(now_ms, _is_alive, background=False), NEVER if free_ms is None else free_ms

    def pop_chosen(self) -> None:
        """Remove the turn of the last `choose`; nothing may have happened since."""
        self._ready.pop_peeked()


def _is_alive(turn: Turn) -> bool:
    if isinstance(turn, CallTurn):
        return not turn.granted.done()
    return turn.is_current and not turn.lane.busy
