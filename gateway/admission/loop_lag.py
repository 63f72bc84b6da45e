"""The lateness of this process's event loop: by how much its timers come too late.

A loop that is late reads Kafka's answers late. A time-out in that time says nothing about Kafka.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

PERIOD_S = 0.05
"""Between two looks: a twentieth of the shortest time-out that is judged by it."""
NOTED_S = 0.01
"""A loop that is late by less is only busy."""
KEPT_S = 15.0
"""How long lateness is remembered: a little longer than Kafka's longest time-out."""


class LoopLag:
    """`on_turn`: called at each look, with the loop's time."""

    def __init__(self, on_turn: Callable[[float], None] | None = None) -> None:
        self._on_turn = on_turn
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._noted: deque[tuple[float, float]] = deque()
        self.last_s = 0.0
        """The lateness at the last look."""
        self.total_s = 0.0
        """The sum of all that was noted."""

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._arm(self._loop, self._loop.time())

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def late_s(self, within_s: float) -> float:
        """By how much the loop was late in all, in the last `within_s` seconds; a turn that is overdue counts."""
        if self._loop is None:
            return 0.0
        now = self._loop.time()
        overdue_s = max(0.0, now - self._due) if self._timer is not None else 0.0
        noted_s = sum(late for at, late in self._noted if at >= now - within_s)
        return min(within_s, noted_s + (overdue_s if overdue_s > NOTED_S else 0.0))

    def _arm(self, loop: asyncio.AbstractEventLoop, now: float) -> None:
        self._due = now + PERIOD_S
        self._timer = loop.call_at(self._due, self._turn, loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        self.last_s = max(0.0, now - self._due)
        if self.last_s > NOTED_S:
            self._noted.append((now, self.last_s))
            self.total_s += self.last_s
        while self._noted and self._noted[0][0] < now - KEPT_S:
            self._noted.popleft()
        self._arm(loop, now)
        if self._on_turn is not None:
            self._on_turn(now)
