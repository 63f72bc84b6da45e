"""PURE: how urgent a change of stock is, and queues that need no tidying.

A million SKUs may wait, and one of them may change thousands of times a second. So a SKU leaves a queue from any place
at once, and leaves nothing stale behind: no heap grows with the changes, and nothing scans all that waits.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

OUT_OF_STOCK, FIRST_ZERO, BACK_IN_STOCK = 0, 1, 2
"""The first ranks: sent as sellable and gone now; never sent, and there is none; sellable again."""
LEVELS = 16
"""Steps of relative change: within a step what waited longer goes first, which is worth more than a finer order."""
RANKS = BACK_IN_STOCK + 1 + LEVELS
_FRONT = 0
CHUNK = 256
"""SKUs of one chunk of a queue: some 36 bytes for each, and a scan of one costs microseconds."""
SLOT_MS = 32
"""SKUs that failed are tried again in slots of time, so that a million of them need no more than some 30,000 timers."""


def rank_of(wanted: int, sent: int | None) -> int:
    """How urgent it is to send a quantity where `sent` was sent before; None: nothing is known to have been sent."""
    if wanted <= 0:
        if sent is None:
            return FIRST_ZERO
        return OUT_OF_STOCK if sent > 0 else RANKS - 1
    if sent is None or sent <= 0:
        return BACK_IN_STOCK
    # The change is a part of the larger one: 10 -> 1 counts as much as 1 -> 10.
    return RANKS - 1 - abs(wanted - sent) * (LEVELS - 1) // max(wanted, sent)


class Fifo:
    """First in, first out, and anything may leave in between; each at the same small cost."""

    __slots__ = ("_added", "_chunks", "_count", "_front", "_last")

    def __init__(self) -> None:
        self._front: dict[str, None] = {}
        """SKUs that came back, before all chunks."""
        self._chunks: dict[int, dict[str, None]] = {}
        self._last = _FRONT
        self._added = CHUNK
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        """From the first on; not while it is changed."""
        yield from self._front
        for chunk in self._chunks.values():
            yield from chunk

    def add(self, sku: str, *, first: bool = False) -> int:
        """Returns its place, by which it leaves. It must not be in the queue. `first`: before all but those that were
        added so."""
        self._count += 1
        if first:
            self._front[sku] = None
            return _FRONT
        place = self._last
        chunk = self._chunks.get(place) if self._added < CHUNK else None
        if chunk is None:
            place = self._last = place + 1
            chunk = self._chunks[place] = {}
            self._added = 0
        chunk[sku] = None
        self._added += 1
        return place

    def remove(self, sku: str, place: int) -> None:
        self._count -= 1
        if place == _FRONT:
            del self._front[sku]
            return
        chunk = self._chunks[place]
        del chunk[sku]
        if not chunk:
            del self._chunks[place]


class Timers:
    """SKUs that wait for a time. Those with the same time share a slot."""

    __slots__ = ("_heap", "_slots")

    def __init__(self) -> None:
        self._slots: dict[int, dict[str, None]] = {}
        self._heap: list[int] = []

    def add(self, sku: str, due_ms: int) -> None:
        slot = self._slots.get(due_ms)
        if slot is None:
            slot = self._slots[due_ms] = {}
            heapq.heappush(self._heap, due_ms)
        slot[sku] = None

    def remove(self, sku: str, due_ms: int) -> None:
        """The slot stays, empty perhaps, until its time: it is in the heap once."""
        del self._slots[due_ms][sku]

    def next_ms(self) -> int | None:
        while self._heap and not self._slots[self._heap[0]]:
            del self._slots[heapq.heappop(self._heap)]
        return self._heap[0] if self._heap else None

    def pop_due(self, now_ms: int, most: int) -> list[str]:
        """SKUs whose time has come, at most `most`: the others stay due."""
        due: list[str] = []
        while (next_ms := self.next_ms()) is not None and next_ms <= now_ms and len(due) < most:
            slot = self._slots[next_ms]
            while slot and len(due) < most:
                due.append(slot.popitem()[0])
        return due
