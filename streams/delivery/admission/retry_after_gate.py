"""A destination's quiet after a 429 or a Retry-After: nothing at all is sent to it before the gate opens. Pure."""

from __future__ import annotations


class RetryAfterGate:
    """Shared by the shards of a destination in this process. It only ever moves later: a second answer that asks for
    less does not take back what the first one asked for."""

    __slots__ = ("opens_ms",)

    def __init__(self) -> None:
        self.opens_ms = 0

    def close_until(self, opens_ms: int) -> None:
        self.opens_ms = max(self.opens_ms, opens_ms)

    def is_open(self, now_ms: int) -> bool:
        return now_ms >= self.opens_ms
