"""PURE: the rate of a location, and when its status is written."""

from __future__ import annotations

from math import exp

from topics.stock.status import LocationStatus

RATE_MS = 20_000
"""The rate covers about the last minute: what was sent counts half as much after 14 s."""
WRITTEN_EVERY_MS = 3_000
"""Shortest time between two statuses of a location: people look at these."""
CLEAN_MS = 600_000
"""After so long without news the status of a location is deleted."""


class Rate:
    """Events a second; the newest count most."""

    __slots__ = ("_at_ms", "_per_s")

    def __init__(self) -> None:
        self._per_s = 0.0
        self._at_ms = 0

    def add(self, events: int, now_ms: int) -> None:
        self._per_s = self.per_s(now_ms) + events * 1000 / RATE_MS
        self._at_ms = now_ms

    def per_s(self, now_ms: int) -> float:
        return self._per_s * exp((self._at_ms - now_ms) / RATE_MS) if self._per_s else 0.0


class WrittenStatus:
    """Remembers the last status that this worker wrote of a location; what another worker wrote before is not known."""

    def __init__(self) -> None:
        self._last: LocationStatus | None = None
        self._clean_since_ms: int | None = None
        self._ended = False

    def due(self, status: LocationStatus) -> bool | None:
        """True: write it. False: there is no news for long, delete it. None: neither, not now."""
        if not _is_quiet(status) or not self._is_same(status):
            self._clean_since_ms = None
        elif self._clean_since_ms is None:
            self._clean_since_ms = status.at_ms
        if self._clean_since_ms is not None and status.at_ms - self._clean_since_ms >= CLEAN_MS:
            if self._ended:
                return None
            self._ended = True
            return False
        if self._is_same(status) or (self._last is not None and status.at_ms - self._last.at_ms < WRITTEN_EVERY_MS):
            return None
        self._last, self._ended = status, False
        return True

    def _is_same(self, status: LocationStatus) -> bool:
        return self._last is not None and self._last.model_copy(update={"at_ms": status.at_ms}) == status


def _is_quiet(status: LocationStatus) -> bool:
    return not (status.dirty or status.refused or status.paused or status.sent_per_s or status.resync)
