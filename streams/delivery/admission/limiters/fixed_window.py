"""At most N units in each window of W seconds, where the count begins again with the window. Pure.

Where windows begin decides what holds:

- It is not known, or a window begins with the first request after the last one: any W seconds may be a window, so what
  holds is that no W seconds have more than N: the sliding window of this package, used as it is.
- At multiples of W of the target's clock (shifted by an offset): a unit counts in its own window alone. That is
  FixedWindow, which begins anew at each boundary instead of W after each end.

The far side's clock may differ from ours by up to E. A unit whose request ended at e is held until E after the first
boundary that comes later than e + E.

Why that is enough: take the k units that arrive in one window [b, b + W) of the target's clock, and the one of them
sent last, at s by our clock. It arrives before b + W there, so s < b + W + E here. Each other one that had ended by s
had ended after its arrival, so at or after b - E here: the first boundary later than its end + E is b + W at least, and
it is held until b + W + E at least, which is after s. So all k units were held at s, and k <= N.
"""

from __future__ import annotations

from streams.delivery.admission.limiters.pool import SKEW_MS
from streams.delivery.admission.limiters.window import Window


class FixedWindow(Window):
    """The units of one shard of one destination, by the target's clock."""

    __slots__ = ("_error_ms", "_offset_ms", "_window_ms")

    def __init__(
        self,
        limit: int,
        window_ms: int,
        *,
        offset_ms: int = 0,
        error_ms: int,
        block: int | None = None,
        skew_ms: int = SKEW_MS,
    ) -> None:
        super().__init__(limit, window_ms, block=block, skew_ms=skew_ms)
        self._window_ms = window_ms
        self._offset_ms = offset_ms
        self._error_ms = error_ms

    def _release_ms(self, end_ms: int) -> int:
        windows = (end_ms + self._error_ms - self._offset_ms) // self._window_ms
        return (windows + 1) * self._window_ms + self._offset_ms + self._error_ms
