"""The ends of waits that may all take equally long."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any


class Deadlines:
    """Calls `end` with each future that is not done `wait_s` after it was added, or that was cancelled before, and with
    its key.

    One timer serves all, because a timer for each request costs more than its line in the access log. Waits that are
    over leave when others are added, so few are held.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, wait_s: float, end: Callable[[asyncio.Future[Any], bytes], None]
    ) -> None:
        self.loop = loop
        self._wait_s = wait_s
        self._end = end
        self._waits: deque[tuple[float, asyncio.Future[Any], bytes]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._waits)

    def add(self, future: asyncio.Future[Any], key: bytes = b"") -> None:
        self._drop()
        deadline = self.loop.time() + self._wait_s
        self._waits.append((deadline, future, key))
        if self._timer is None:
            self._timer = self.loop.call_at(deadline, self._look)

    def _drop(self, until: float = 0.0) -> None:
        """Drops the first waits, as far as they are over or had to end by `until`."""
        waits = self._waits
        while waits:
            deadline, future, key = waits[0]
            is_done = future.done()
            if not is_done and deadline > until:
                return
            waits.popleft()
            if not is_done or future.cancelled():
                self._end(future, key)

    def _look(self) -> None:
        self._timer = None
        self._drop(self.loop.time())
        if self._waits:
            self._timer = self.loop.call_at(self._waits[0][0], self._look)
