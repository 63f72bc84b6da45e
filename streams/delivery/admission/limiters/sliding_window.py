"""At most N units in any W seconds, as the far side counts them; exact, and kept over crashes. Pure.

A unit is held from before the send until W after the end.

Why that is enough: take any k units that arrive within W of each other, and the one of them sent last. When it was
sent, each other one had been sent, and none had arrived more than W before the last one's arrival, so none had ended
more than W before it: all k units were held at that moment. At most N are held at any moment, so k <= N.
The margin covers what the proof leaves out: clocks that tick differently. Bytes that arrive after we gave up, and ends
that another worker's clock told, are the pool's (LATE_MS, SKEW_MS).
"""

from __future__ import annotations

from streams.delivery.admission.limiters.pool import SKEW_MS
from streams.delivery.admission.limiters.window import Window

MARGIN_MS_MAX = 500
"""Clocks of two machines that keep time by NTP differ by less, over however long a window."""
MARGIN_SHARE = 20
"""Over a short window they differ by less than a twentieth of it."""


class SlidingWindow(Window):
    """The units of one shard of one destination; held for the window after their end."""

    __slots__ = ("_hold_ms",)

    def __init__(self, limit: int, window_ms: int, *, block: int | None = None, skew_ms: int = SKEW_MS) -> None:
        super().__init__(limit, window_ms, block=block, skew_ms=skew_ms)
        self._hold_ms = window_ms + margin_ms(window_ms)

    def _release_ms(self, end_ms: int) -> int:
        return end_ms + self._hold_ms


def margin_ms(window_ms: int) -> int:
    """By how much more than the window a unit is held."""
    return min(MARGIN_MS_MAX, -(-window_ms // MARGIN_SHARE))
