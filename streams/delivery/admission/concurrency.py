"""Concurrency of a destination: as many requests in flight as configured, fewer while it cannot keep up. Pure.

Additive increase, multiplicative decrease, judged in rounds of answers. A round in which more than TOLERATED of the
answers show an overload (none in time, throttled, 5xx) takes away half of that share; a good round gives a step back.
A round, not each failure: requests in flight at once fail at once, and would count many times. A tolerance, because one
order whose request always fails, or a network that drops one in ten, says nothing about load: without it a few failures
would leave three requests in flight where a thousand are welcome.
"""

from __future__ import annotations

from streams.delivery.ports import AttemptResult, ResponseClass

TOLERATED = 0.2
"""Failures up to this share do not count as overload."""
ROUND_MIN = 10
"""Answers of the shortest round: a share of fewer would be chance."""
STEPS = 32
"""Rounds from one request to the configured number: a few seconds at usual latencies."""


class Concurrency:
    """The concurrency of one shard of one destination; never below 1, never above `most`."""

    __slots__ = ("_answers", "_burdened", "_most", "_step", "_window")

    def __init__(self, most: int) -> None:
        self._most = most
        self._step = max(1.0, most / STEPS)
        self._window = float(most)
        self._answers = 0
        self._burdened = 0

    @property
    def allowed(self) -> int:
        return int(self._window)

    def on_answered(self, *, burdened: bool) -> None:
        """A request was answered, or given up. `burdened`: as it would be at an overloaded destination."""
        self._answers += 1
        self._burdened += burdened
        if self._answers < max(ROUND_MIN, self.allowed):
            return
        share = self._burdened / self._answers
        changed = self._window * (1 - share / 2) if share > TOLERATED else self._window + self._step
        self._window = min(float(self._most), max(1.0, changed))
        self._answers = self._burdened = 0


def is_burdened(result: AttemptResult) -> bool:
    """Whether an attempt ended as it would at an overloaded destination."""
    if result.kind is ResponseClass.THROTTLED:
        return True
    if result.status is None:
        return result.kind is ResponseClass.RETRY
    return result.status >= 500 or result.status == 408
