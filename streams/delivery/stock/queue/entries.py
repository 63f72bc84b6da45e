"""PURE: the SKUs of a location that wait: ready by urgency and age, in a search for a SKU at fault, or for a time."""

from __future__ import annotations

from dataclasses import dataclass

from streams.delivery.stock.queue.ordering import BACK_IN_STOCK, RANKS, Fifo, Timers

AGE_SHARE = 8
"""An eighth of each call is for the SKUs that have waited longest."""
SEARCH_TURN, ALONE_TURN = 2, 8
"""Every second call may search for a SKU at fault; every eighth may try one that was found."""
NOWHERE = -1
SUSPECT, ALONE = RANKS, RANKS + 1
"""Lines behind those of the ranks: SKUs among which one is at fault, and SKUs that failed alone."""


@dataclass(slots=True)
class DirtyEntry:
    """A SKU that is dirty, doubtful or in flight. A clean SKU has no entry: memory follows what waits."""

    since_ms: int
    since_place: int
    where: int = NOWHERE
    place: int = 0
    age_place: int = 0
    due_ms: int = 0
    """The timer it waits for; 0: none."""
    in_flight: bool = False
    unsure: bool = False
    again: int = 0
    """The first call that counts as sending it again; 0: that is not asked."""
    late_until_ms: int = 0
    not_before_ms: int = 0
    most: int = 0
    """How many SKUs its next call may have; 0: any number, it is not suspected of failing calls."""
    failures: int = 0
    failing_since_ms: int = 0


class WaitingSkus:
    """The waiting SKUs of one location. `entries`: all of its SKUs that have one."""

    __slots__ = (
        "_batch_max",
        "_by_age",
        "_entries",
        "_gather_ms",
        "_gather_until_ms",
        "_owed",
        "_queues",
        "_timers",
        "_turn",
        "ready",
        "urgent",
    )

    def __init__(self, entries: dict[str, DirtyEntry], batch_max: int, gather_ms: int) -> None:
        self._entries = entries
        self._batch_max = batch_max
        self._gather_ms = gather_ms
        self._queues = [Fifo() for _ in range(RANKS + 2)]
        self._by_age = Fifo()
        """All SKUs in the queues of the ranks."""
        self._timers = Timers()
        self._turn = 0
        self._owed = 0
        self._gather_until_ms = 0
        self.urgent = 0
        """SKUs that are out of stock and may go."""
        self.ready = 0
        """SKUs that may go, from any line."""

    def next_ms(self) -> int | None:
        """When a SKU may go, or a timer is due; None: there is nothing."""
        times = []
        if self.ready:
            times.append(self._gather_until_ms if self.ready < self._batch_max else 0)
        due_ms = self._timers.next_ms()
        if due_ms is not None:
            times.append(due_ms)
        return min(times, default=None)

    def is_gathering(self, now_ms: int) -> bool:
        return now_ms < self._gather_until_ms and 0 < self.ready < self._batch_max

    def taken(self) -> None:
        """A call was made: the SKUs that are left need not gather."""
        self._gather_until_ms = 0

    def pop_due(self, now_ms: int, most: int) -> list[str]:
        """SKUs whose time has come, at most `most`. They stand in no line then."""
        skus = self._timers.pop_due(now_ms, most)
        for sku in skus:
            self._entries[sku].due_ms = 0
        return skus

    def enter(self, sku: str, entry: DirtyEntry, rank: int, now_ms: int) -> None:
        """Does what `move` does with a new entry, in fewer steps: there may be a million."""
        if not self.ready:
            self._gather_until_ms = now_ms + self._gather_ms
        entry.where = rank
        entry.place = self._queues[rank].add(sku)
        entry.age_place = self._by_age.add(sku)
        self.ready += 1
        self.urgent += rank < BACK_IN_STOCK

    def move(self, sku: str, entry: DirtyEntry, where: int, due_ms: int, now_ms: int, *, first: bool = False) -> None:
        """A SKU that moves from rank to rank keeps its place by age. `first`: before all others in the line."""
        if where == entry.where and due_ms == entry.due_ms:
            return
        if where != NOWHERE and not self.ready:
            self._gather_until_ms = now_ms + self._gather_ms
        was, is_ = _is_ranked(entry.where), _is_ranked(where)
        if entry.where != NOWHERE:
            self._queues[entry.where].remove(sku, entry.place)
            self.ready -= 1
            self.urgent -= entry.where < BACK_IN_STOCK
        if was and not is_:
            self._by_age.remove(sku, entry.age_place)
        if entry.due_ms:
            self._timers.remove(sku, entry.due_ms)
        entry.where, entry.due_ms = where, due_ms
        if where != NOWHERE:
            entry.place = self._queues[where].add(sku, first=first)
            self.ready += 1
            self.urgent += where < BACK_IN_STOCK
        if is_ and not was:
            entry.age_place = self._by_age.add(sku, first=first)
        if due_ms:
            self._timers.add(sku, due_ms)

    def pick(self) -> list[str]:
        """The SKUs of the next call."""
        suspects, alone = self._queues[SUSPECT], self._queues[ALONE]
        self._turn += 1
        if alone and (self._turn % ALONE_TURN == 0 or not (suspects or self._by_age)):
            return [next(iter(alone))]
        if suspects and (self._turn % SEARCH_TURN == 0 or not self._by_age):
            return self._pick_suspects(suspects)
        return self._pick_ranked()

    def _pick_ranked(self) -> list[str]:
        """The most urgent ones, and for an eighth those that have waited longest."""
        limit = self._batch_max
        for_age, self._owed = divmod(self._owed + limit, AGE_SHARE)
        picked: dict[str, None] = {}
        for queue in self._queues[:RANKS]:
            for sku in queue:
                if len(picked) >= limit - for_age:
                    break
                picked[sku] = None
        for sku in self._by_age:
            if len(picked) >= limit:
                break
            picked[sku] = None
        return list(picked)

    def _pick_suspects(self, suspects: Fifo) -> list[str]:
        """The first, and as many of those behind it as may share its call."""
        picked: list[str] = []
        limit = self._batch_max
        for sku in suspects:
            limit = min(limit, self._entries[sku].most)
            if len(picked) >= limit:
                break
            picked.append(sku)
        return picked


def _is_ranked(where: int) -> bool:
    return NOWHERE < where < RANKS
