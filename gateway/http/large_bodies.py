"""Turns of large bodies: they are parsed one at a time, and between two of them small ones have the event loop.

Parsing and validating a body goes on without a pause: 45 ms for an order of 2,500 lines with every member. Without
turns a few callers of large bodies would keep all others from being answered.
"""

from __future__ import annotations

import asyncio

LARGE_BYTES = 64 << 10
"""A smaller body takes a millisecond or so; it waits for no turn."""
PAUSE = 1.0
"""How long the others have the event loop after a large body, as a multiple of what the body took."""


class LargeBodies:
    """Gives turns in the order in which bodies have come."""

    def __init__(self, pause: float = PAUSE) -> None:
        self._pause = pause
        self._lock = asyncio.Lock()
        self._free_at = 0.0

    async def turn(self) -> None:
        """Returns when a large body may be handled: until the caller's next pause it has the event loop anyway."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            await asyncio.sleep(max(0.0, self._free_at - loop.time()))
            # Runs once the caller has paused, and before the next one in the queue.
            loop.call_soon(self._taken, loop.time())

    def _taken(self, began: float) -> None:
        now = asyncio.get_running_loop().time()
        self._free_at = now + (now - began) * self._pause
