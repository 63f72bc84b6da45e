"""PURE: from when the words of a partition are, by the source offset of each, in a few bytes a second.

A word is what one record says of stock. Each position keeps the offset that it was made from, so the time of each
offset tells from when its word is, and nothing is kept for each position.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import Final

GRAIN_MS: Final = 250
"""Times are kept this exactly: words of one after the other that are no further apart are one run."""
RUNS_MAX: Final = 32_768
"""Runs of one partition, 16 bytes each: of more than two hours while words come in order, or of one hour when the
older half was just forgotten. Of what is older it is not known from when it is; a word that comes so late changes
it."""


class WordTimes:
    """Runs of offsets whose words are from one time, up to GRAIN_MS later."""

    __slots__ = ("_firsts", "_is_sorted", "_last", "_times")

    def __init__(self) -> None:
        self._firsts = array("q")
        """The first offset of each run."""
        self._times = array("q")
        """The earliest time of each run, in epoch milliseconds."""
        self._last = -1
        """The last offset that was noted."""
        self._is_sorted = True

    def note(self, offset: int, time_ms: int) -> None:
        """Notes from when the word at `offset` is. Call it for each record that may change a position, before that."""
        if not self._is_sorted:
            self._sort()
        times = self._times
        if offset <= self._last:
            self._note_again(offset, time_ms)
            return
        self._last = offset
        if times and 0 <= time_ms - times[-1] <= GRAIN_MS:
            return
        self._firsts.append(offset)
        times.append(time_ms)
        if len(times) > RUNS_MAX:
            self._forget()

    def learn(self, offset: int, time_ms: int) -> None:
        """Notes what a changelog says, in any order."""
        self._firsts.append(offset)
        self._times.append(time_ms)
        self._is_sorted = False
        if len(self._times) > 2 * RUNS_MAX:
            self._sort()

    def at(self, offset: int) -> int | None:
        """From when the word at `offset` is, at the earliest; None: it is not known any more."""
        if not self._is_sorted:
            self._sort()
        index = bisect_right(self._firsts, offset) - 1
        return None if index < 0 else self._times[index]

    def __len__(self) -> int:
        return len(self._times)

    def _note_again(self, offset: int, time_ms: int) -> None:
        """A record that Kafka delivers again: it may not have been learned, because it was not durable."""
        firsts, times = self._firsts, self._times
        index = bisect_right(firsts, offset)
        before = times[index - 1] if index else None
        if before is not None and 0 <= time_ms - before <= GRAIN_MS:
            return
        if index and firsts[index - 1] == offset:
            times[index - 1] = time_ms
        else:
            firsts.insert(index, offset)
            times.insert(index, time_ms)
            index += 1
        if before is not None and (index == len(firsts) or firsts[index] > offset + 1):
            firsts.insert(index, offset + 1)
            times.insert(index, before)

    def _sort(self) -> None:
        firsts, times = array("q"), array("q")
        newest, self._last = self._last, -1
        for offset, time_ms in sorted(zip(self._firsts, self._times, strict=True)):
            if offset == self._last and firsts:
                continue  # the earliest of what is said of one offset counts
            if not times or not 0 <= time_ms - times[-1] <= GRAIN_MS:
                firsts.append(offset)
                times.append(time_ms)
            self._last = offset
        self._last = max(self._last, newest)
        self._firsts, self._times, self._is_sorted = firsts, times, True
        if len(times) > RUNS_MAX:
            self._forget()

    def _forget(self) -> None:
        del self._firsts[: RUNS_MAX // 2], self._times[: RUNS_MAX // 2]
