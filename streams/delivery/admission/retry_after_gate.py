"""The retry-after gate of a destination: after a 429 or a Retry-After nothing is sent before it opens. Pure."""

from __future__ import annotations

GATE_MS_MAX = 2 * 3_600_000
"""A gate that was made durable opens sooner: it is closed for an hour at most
(streams/delivery/attempts/response_headers.py), and the clocks of two workers differ by far less than another. One that
opens later was never closed by a far side, and would hold its destination up for good."""


class RetryAfterGate:
    """Shared by the shards of a destination in this process. It only ever opens later: a second answer that asks for a
    shorter pause does not shorten the first."""

    __slots__ = ("opens_ms",)

    def __init__(self) -> None:
        self.opens_ms = 0

    def close_until(self, opens_ms: int) -> None:
        self.opens_ms = max(self.opens_ms, opens_ms)

    def is_open(self, now_ms: int) -> bool:
        return now_ms >= self.opens_ms
