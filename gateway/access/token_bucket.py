"""A token bucket: so much at once, and so much more in each second."""

from __future__ import annotations


class TokenBucket:
    """Full at first. Time is an argument, in seconds of any clock that does not go back."""

    __slots__ = ("_at", "_burst", "_per_s", "_tokens")

    def __init__(self, burst: float, per_s: float, now: float) -> None:
        self._burst = burst
        self._per_s = per_s
        self._tokens = burst
        self._at = now

    def wait_s(self, tokens: float, now: float) -> float:
        """Until when so many tokens are there, 0: they are. More than the burst are never asked for."""
        self._fill(now)
        return max(0.0, (min(tokens, self._burst) - self._tokens) / self._per_s)

    def take(self, tokens: float, now: float) -> None:
        """Takes tokens, all that there are if there are fewer."""
        self._fill(now)
        self._tokens = max(0.0, self._tokens - tokens)

    def is_full(self, now: float) -> bool:
        self._fill(now)
        return self._tokens >= self._burst

    def _fill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_s)
        self._at = now
