"""How many requests may be in the air to a destination: as many as are configured, fewer while it cannot keep up. Pure.

Additive increase, multiplicative decrease, judged in rounds of answers: a round in which more than TOLERATED of the
answers say that the destination is not keeping up (none in time, throttled, 5xx) takes away half of that share; one
that goes well gives a step back. A round, and not each failure: what was in the air at once fails at once, and would
count many times. A tolerance, because one order whose request always fails, or a network that drops one in ten, says
nothing about load: without it a few failures would leave three requests in the air where a thousand are welcome.
"""

from __future__ import annotations

from streams.delivery.ports import AttemptResult, ResponseClass

TOLERATED = 0.2
"""Failures up to this share are taken for bad luck."""
ROUND_MIN = 10
"""Answers of the shortest round: a share of fewer would be chance."""
STEPS = 32
"""Rounds from one request to all that are configured: a few seconds at usual latencies."""


class Concurrency:
    """Of one shard of one destination; never below 1, never above `most`."""

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

    def ended(self, *, burdened: bool) -> None:
        """A request ended; `burdened`: as it would if there were too many at once."""
        self._answers += 1
        self._burdened += burdened
        if self._answers < max(ROUND_MIN, self.allowed):
            return
        share = self._burdened / self._answers
        changed = self._window * (1 - share / 2) if share > TOLERATED else self._window + self._step
        self._window = min(float(self._most), max(1.0, changed))
        self._answers = self._burdened = 0


def is_burdened(result: AttemptResult) -> bool:
    """Whether an attempt ended as it would at a destination that has too many."""
    if result.kind is ResponseClass.THROTTLED:
        return True
    if result.status is None:
        return result.kind is ResponseClass.RETRY
    return result.status >= 500 or result.status == 408
