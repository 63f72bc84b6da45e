"""What the two windows share: a unit that ended counts until a moment that follows from its end alone. Pure."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque

from streams.delivery.admission.limiters.pool import SKEW_MS, Pool

EXACT_MAX = 1_000
"""Up to so many units each end is kept to the millisecond. Above, ends are counted in slots, so that what is durable of
a million a day stays as small as that of a thousand."""
SLOTS = 1_000
"""Slots of a window: an end counts from the end of its slot, which costs a thousandth of the window."""


class Window(Pool):
    """Units that ended rest until `_release_ms` of their end, which never goes back when ends go on."""

    __slots__ = ("_ended", "_slot_ms", "_sum")

    def __init__(self, limit: int, window_ms: int, *, block: int | None = None, skew_ms: int = SKEW_MS) -> None:
        super().__init__(limit, block=block, skew_ms=skew_ms)
        self._slot_ms = 1 if limit <= EXACT_MAX else max(1, window_ms // SLOTS)
        self._ended: deque[tuple[int, int]] = deque()
        self._sum = 0

    @abstractmethod
    def _release_ms(self, end_ms: int) -> int:
        """From when a unit that ended at `end_ms` is free again."""

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

    def _rested_ms(self, now_ms: int, units: float) -> int | None:  # noqa: ARG002 - the ends alone say it
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
