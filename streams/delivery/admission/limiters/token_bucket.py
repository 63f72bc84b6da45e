"""A bucket of B tokens that fills at r a second; a request takes a token, or its cost in points. Pure.

A target refuses nothing as long as in every stretch of time [s, t] what arrives is at most B + r * (t - s): that is
what is held here. A leaky bucket, whose level rises by the cost and drains at r, is the same bucket upside down.

The level here is the units that are reserved, in flight, and resting: units enter the rest when their request has
ended, and leave it at r. Nothing is reserved that would lift the level above B.

Proof: take the units that arrive in [s, t], k in all, and the request of them sent last, at u <= t. When
it was sent, each other one had been sent. Some were still in flight and count in full. The j that had ended had ended
after their arrival, so after s: they entered the rest within [s, u], and no more than r * (u - s) of it can have left.
So the level at u was at least k - r * (u - s), and it was at most B: k <= B + r * (u - s) <= B + r * (t - s).
(If u < s, none of them had ended, and k <= B.)

A target that refills q tokens at a time (every second, say) may be q - 1 tokens behind the one that fills steadily, as
tokens are whole: so B is taken as B - (q - 1). With q = 1, one token each 1/r seconds, nothing is lost.
"""

from __future__ import annotations

from math import ceil

from streams.delivery.admission.limiters.pool import BLOCK_SHARE, PermitPool

DRIFT = 0.001
"""Clocks tick at rates that differ by less: NTP corrects each by at most 0.05 %. A bucket that is never full forgets
nothing, so no margin would be long enough; it is filled so much slower."""
BLOCK_S = 0.05
"""A fast bucket with a small burst reserves for this long at a time: a durable write for each request would be slower
than the rate."""


class TokenBucketPool(PermitPool):
    """The tokens or points of one shard of one destination."""

    __slots__ = ("_empty_ms", "_ms_each")

    def __init__(self, burst: int, rate_per_s: float, *, step: int = 1) -> None:
        limit = burst - step + 1
        super().__init__(limit, max(1, min(limit // 2, max(limit // BLOCK_SHARE, round(rate_per_s * BLOCK_S)))))
        self._ms_each = 1000 / (rate_per_s * (1 - DRIFT))
        self._empty_ms = 0.0
        """When the rest will be empty. It leaves at a steady pace, so this moment is the whole state."""

    def _rest(self, end_ms: int, units: int) -> None:
        self._empty_ms = max(self._empty_ms, float(end_ms)) + units * self._ms_each

    def _resting(self, now_ms: int) -> float:
        return max(0.0, (self._empty_ms - now_ms) / self._ms_each)

    def _rested_ms(self, now_ms: int, units: float) -> int | None:
        # Only whole units are taken: what is left above a whole one does not help.
        left = ceil(self._resting(now_ms) - 1e-6) - units
        return None if left < 0 else ceil(self._empty_ms - left * self._ms_each)

    def _ends(self, now_ms: int) -> list[tuple[int, int]]:
        resting = ceil(self._resting(now_ms))
        return [(now_ms, resting)] if resting else []

    def _clear(self) -> None:
        self._empty_ms = 0.0
