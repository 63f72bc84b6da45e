"""Limits by window: N units in any W seconds, or in each window of the target's clock. Pure.

A unit that ended counts until a moment that follows from its end alone; the proof is in each class.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque

from streams.delivery.admission.limiters.pool import PermitPool

EXACT_MAX = 1_000
"""Up to so many units each end is kept to the millisecond. Above, ends are counted in slots, so that the durable state
of a million a day is as small as that of a thousand."""
SLOTS = 1_000
"""Slots of a window: an end counts from the end of its slot, which costs a thousandth of the window."""
MARGIN_MS_MAX = 500
"""Clocks of two machines that keep time by NTP differ by less, over however long a window."""
MARGIN_SHARE = 20
"""Over a short window they differ by less than a twentieth of it."""


class WindowPool(PermitPool):
    """Ended units rest until `_release_ms` of their end, which grows with the end."""

    __slots__ = ("_ended", "_slot_ms", "_sum")

    def __init__(self, limit: int, window_ms: int) -> None:
        super().__init__(limit)
        self._slot_ms = 1 if limit <= EXACT_MAX else max(1, window_ms // SLOTS)
        self._ended: deque[tuple[int, int]] = deque()
        self._sum = 0

    @abstractmethod
    def _release_ms(self, end_ms: int) -> int:
        """When a unit that ended at `end_ms` is free again."""

    def _rest(self, end_ms: int, units: int) -> None:
        slot_ms = -(-end_ms // self._slot_ms) * self._slot_ms
        self._sum += units
        if self._ended:
            last_ms, already = self._ended[-1]
            if slot_ms <= last_ms:
                self._ended[-1] = (last_ms, already + units)
                return
        self._ended.append((slot_ms, units))

    def _resting(self, now_ms: int) -> int:
        while self._ended and self._release_ms(self._ended[0][0]) <= now_ms:
            self._sum -= self._ended.popleft()[1]
        return self._sum

    def _rested_ms(self, now_ms: int, units: float) -> int | None:  # noqa: ARG002 - the ends are enough
        for end_ms, ended in self._ended:
            units -= ended
            if units <= 0:
                return self._release_ms(end_ms)
        return None

    def _ends(self, now_ms: int) -> list[tuple[int, int]]:
        self._resting(now_ms)
        return list(self._ended)

    def _clear(self) -> None:
        self._ended.clear()
        self._sum = 0


class SlidingWindowPool(WindowPool):
    """At most N units in any W seconds, as the far side counts them; exact, also over crashes.

    A unit is held from before the send until W after the end.

    Proof: take any k units that arrive within W of each other, and of them the one sent last. When it was sent, each
    other one had been sent. None had arrived more than W before the last one's arrival, so none had ended more than W
    before it: all k units were held at that moment. At most N are held at any moment, so k <= N.

    The margin covers what the proof leaves out: clocks that tick at different rates. Bytes that arrive after we gave
    up, and ends noted by another worker's clock, are covered by the pool (LATE_MS, SKEW_MS).
    """

    __slots__ = ("_hold_ms",)

    def __init__(self, limit: int, window_ms: int) -> None:
        super().__init__(limit, window_ms)
        self._hold_ms = window_ms + margin_ms(window_ms)

    def _release_ms(self, end_ms: int) -> int:
        return end_ms + self._hold_ms


def margin_ms(window_ms: int) -> int:
    """The time for which a unit is held beyond the window."""
    return min(MARGIN_MS_MAX, -(-window_ms // MARGIN_SHARE))


class FixedWindowPool(WindowPool):
    """At most N units in each window of W seconds of the target's clock; the count begins again with each window.

    This holds only for windows that begin at multiples of W of the target's clock (shifted by an offset): a unit counts
    in its own window alone. If it is not known where windows begin, or a window begins with the first request after the
    last window, any W seconds may be a window: then SlidingWindowPool is used.

    The far side's clock may differ from ours by up to E. A unit whose request ended at e is held until E after the
    first boundary that comes later than e + E.

    Proof: take the k units that arrive in one window [b, b + W) of the target's clock, and of them the one sent last,
    at s by our clock. It arrives before b + W there, so s < b + W + E here. Each other one that had ended by s had
    ended after its arrival, so at or after b - E here: the first boundary later than its end + E is b + W at least, and
    it is held until b + W + E at least, which is after s. So all k units were held at s, and k <= N.
    """

    __slots__ = ("_error_ms", "_offset_ms", "_window_ms")

    def __init__(self, limit: int, window_ms: int, *, offset_ms: int = 0, error_ms: int) -> None:
        super().__init__(limit, window_ms)
        self._window_ms = window_ms
        self._offset_ms = offset_ms
        self._error_ms = error_ms

    def _release_ms(self, end_ms: int) -> int:
        windows = (end_ms + self._error_ms - self._offset_ms) // self._window_ms
        return (windows + 1) * self._window_ms + self._offset_ms + self._error_ms
