"""PURE: when a refused caller should come again, from how many were refused and how fast calls are done."""

from __future__ import annotations

import math

WINDOW_S = 5.0
"""Those who were refused in the last seconds are the ones to come back."""
LEAST_S, MOST_S = 1, 30
"""The header has whole seconds. Half a minute is as long as one should wait for news of a server that recovers."""
SPREAD = 8
"""So many different times are given out in turn, from two thirds of the computed one to four thirds: callers that were
refused together come back apart."""


class ReturnTimes:
    """The times for one party. Tell it of each window; `next` is the time for one caller."""

    __slots__ = ("_drained_per_s", "_refused", "_times", "_turn")

    def __init__(self) -> None:
        self._refused = 0.0
        self._drained_per_s = 0.0
        self._times: tuple[int, ...] = (LEAST_S,)
        self._turn = 0

    def window(self, refused: int, drained: int, seconds: float) -> None:
        """Notes how many calls were refused, and how many were done."""
        kept = math.exp(-seconds / WINDOW_S)
        self._refused = self._refused * kept + refused
        self._drained_per_s = self._drained_per_s * kept + (1.0 - kept) * drained / seconds
        self._times = spread(self._refused / max(self._drained_per_s, 1.0))

    def next(self) -> int:
        self._turn += 1
        return self._times[self._turn % len(self._times)]


def spread(seconds: float) -> tuple[int, ...]:
    """Whole seconds around `seconds`, within the bounds."""
    middle = min(max(seconds, LEAST_S), MOST_S)
    first, last = middle * 2 / 3, min(middle * 4 / 3, MOST_S)
    times = (first + (last - first) * step / (SPREAD - 1) for step in range(SPREAD))
    return tuple(min(MOST_S, max(LEAST_S, round(time))) for time in times)
