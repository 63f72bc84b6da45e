"""Increff's rate limit: requests in any 60 seconds, over all endpoints (contract 0.3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

WINDOW_S = 60.0
REQUESTS_PER_WINDOW = 200
"""Increff's default; it can be set per client."""


class SlidingWindow:
    """Admits a request when the window that ends now has fewer than `limit` admitted ones. Refusals do not count."""

    def __init__(self, limit: int, clock: Callable[[], float], window_s: float = WINDOW_S) -> None:
        self._limit = limit
        self._clock = clock
        self._window_s = window_s
        self._admitted: deque[float] = deque()

    def admit(self) -> bool:
        now = self._clock()
        while self._admitted and now - self._admitted[0] >= self._window_s:
            self._admitted.popleft()
        if len(self._admitted) >= self._limit:
            return False
        self._admitted.append(now)
        return True
