"""The last result of each lane among the last results of a destination, counted as they come. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(slots=True)
class _Lane:
    results: int
    """How many of them are in the sample."""
    failed: bool
    """The last one of them."""


class LaneSample:
    """At most `size` results, none older than `kept_ms`."""

    __slots__ = ("_failing", "_kept_ms", "_lanes", "_results", "_size")

    def __init__(self, size: int, kept_ms: int) -> None:
        self._size = size
        self._kept_ms = kept_ms
        self._results: deque[tuple[int, str]] = deque()
        self._lanes: dict[str, _Lane] = {}
        self._failing = 0

    def resize(self, size: int) -> None:
        self._size = size
        self._trim()

    def add(self, now_ms: int, lane: str, *, failed: bool) -> None:
        self._results.append((now_ms, lane))
        known = self._lanes.get(lane)
        if known is None:
            self._lanes[lane] = _Lane(1, failed)
            self._failing += failed
        else:
            self._failing += failed - known.failed
            known.results += 1
            known.failed = failed
        self._trim()

    def clear(self) -> None:
        self._results.clear()
        self._lanes.clear()
        self._failing = 0

    def count(self, now_ms: int) -> tuple[int, int]:
        """How many lanes failed last, and how many lanes there are."""
        while self._results and self._results[0][0] <= now_ms - self._kept_ms:
            self._drop()
        return self._failing, len(self._lanes)

    def _trim(self) -> None:
        while len(self._results) > self._size:
            self._drop()

    def _drop(self) -> None:
        _, lane = self._results.popleft()
        known = self._lanes[lane]
        known.results -= 1
        if not known.results:
            self._failing -= known.failed
            del self._lanes[lane]
