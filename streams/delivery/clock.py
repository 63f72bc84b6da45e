"""The clock of the running role."""

from __future__ import annotations

import asyncio
import time
from typing import Final

NEVER: Final = 1 << 62
"""A time that does not come (epoch milliseconds)."""
WAIT_MAX_S = 3_600.0
"""Longest single wait; the caller then looks at its clock again. Keeps far-away times out of the loop's timers."""

ANCHOR_READINGS = 5
"""On a busy machine one reading was 150 ms wrong, and the dates in a Retry-After are by the wall clock."""


class SystemClock:
    """Wall-clock time that never goes back: read once, then advanced by the monotonic clock.

    So a wall clock that jumps (NTP, a virtual machine that was paused) cannot free a permit early.
    """

    __slots__ = ("_offset_ms",)

    def __init__(self) -> None:
        self._offset_ms = _wall_minus_monotonic_ms()

    def now_ms(self) -> int:
        return int(self._offset_ms + time.monotonic() * 1000)

    async def wait(self, event: asyncio.Event, until_ms: float | None) -> None:
        if until_ms is None:
            await event.wait()
            return
        pause_s = min((until_ms - self.now_ms()) / 1000, WAIT_MAX_S)
        if pause_s <= 0:
            return
        # A timer that sets the event is cheaper than a task per wait, and the caller looks at its clock again anyway.
        timer = asyncio.get_running_loop().call_later(pause_s, event.set)
        try:
            await event.wait()
        finally:
            timer.cancel()


def _wall_minus_monotonic_ms() -> float:
    """The offset from the tightest of some pairs of readings: between two, the process may lose the processor."""
    found = []
    for _ in range(ANCHOR_READINGS):
        before = time.monotonic()
        wall = time.time()
        after = time.monotonic()
        found.append((after - before, wall * 1000 - (before + after) * 500))
    return min(found)[1]
