"""Who goes first inside one budget: cancel, create, update, return, stock; then redrive, and questions. Pure.

The highest class goes first, so a cancellation never waits for a backlog of creates. Every AGEING_TURN-th grant is for
whoever has waited longest, if that is longer than AGEING_MS: so each class moves on whatever the others do, and a
request waits at most AGEING_TURN times the grants of those that became due before it.

Redrive does not age, because a redrive is a backlog that is older than everything. While others wait it gets one grant
in REDRIVE_TURN, and when nobody waits it goes (how far, says streams/delivery/admission/redrive_share.py).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Generic, TypeVar

from topics.contract.touchpoints import Priority

AGEING_MS = 10_000
"""Who has waited longer than this has a claim to a turn: a quarter of a relay's deadline."""
AGEING_TURN = 4
"""One grant in four goes by age: 50 of Increff's 200 a minute, so the highest class keeps three quarters."""
REDRIVE_TURN = 20
"""One grant in twenty: it delays the others by a twentieth of their wait."""

T = TypeVar("T")


class PriorityQueue(Generic[T]):
    """Items with a class and the time since when they are due. What died while it waited is passed over by `alive`."""

    __slots__ = ("_chosen", "_grants", "_heaps", "_others_in_a_row", "_redrive", "_serial")

    def __init__(self) -> None:
        self._heaps: dict[Priority, list[tuple[float, int, T]]] = {priority: [] for priority in Priority}
        self._redrive = self._heaps.pop(Priority.REDRIVE)
        self._chosen: list[tuple[float, int, T]] = []
        self._serial = count()
        self._grants = 0
        self._others_in_a_row = 0

    def push(self, item: T, priority: Priority, due_ms: int, weight: float = 0.0) -> None:
        """`weight` (0 to 1) moves an item forward within its class by as much as AGEING_MS of waiting."""
        position = due_ms - min(max(weight, 0.0), 1.0) * AGEING_MS
        heap = self._redrive if priority is Priority.REDRIVE else self._heaps[priority]
        heapq.heappush(heap, (position, next(self._serial), item))

    def peek(self, now_ms: int, alive: Callable[[T], bool], *, redrive: bool = True) -> T | None:
        """The item that goes next, None when there is none; it stays. `redrive`: whether one of that class may go."""
        chosen = self._choose(now_ms, alive, redrive=redrive)
        if chosen is None:
            return None
        self._chosen = chosen
        return chosen[0][2]

    def take(self) -> T:
        """Take the item that was seen last; nothing happened since."""
        if self._chosen is self._redrive:
            self._others_in_a_row = 0
        else:
            self._grants += 1
            self._others_in_a_row += 1
        return heapq.heappop(self._chosen)[2]

    def _choose(self, now_ms: int, alive: Callable[[T], bool], *, redrive: bool) -> list[tuple[float, int, T]] | None:
        highest = next((heap for heap in self._heaps.values() if self._has_head(heap, alive)), None)
        redriven = redrive and self._has_head(self._redrive, alive)
        if redriven and (highest is None or self._others_in_a_row + 1 >= REDRIVE_TURN):
            return self._redrive
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
