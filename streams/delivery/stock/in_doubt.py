"""PURE: the notes on inventory.sent that say of which SKUs it is not known what the channel has.

Each call has a note of its own, `~flight|channel|location|n`, that lists its SKUs before it leaves: however many calls
are in the air and however long a channel is away, no record is larger than a call. A note stays until none of its SKUs
is doubtful; a SKU that goes into another call is that call's note's from then on. Under `~flight|channel|location` is
how many numbers to look at.

What a crash leaves at worst are notes that say too much, and then a SKU is sent once more than it had to be:

1. a call's note is put before the notes that it makes empty are deleted;
2. what a call's answer acknowledged is put before its note is deleted.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable

import orjson

from streams.runtime.role import Change
from topics.records.keys import join
from topics.stock.positions import FLIGHT

TABLE = "inventory.sent"
NUMBERS = 8
"""Numbers that are looked at first; they double when calls and doubts need more."""


def numbers_key(channel: str, location: str) -> bytes:
    return join(FLIGHT, channel, location)


def note_key(channel: str, location: str, number: int) -> bytes:
    return join(FLIGHT, channel, location, str(number))


class Doubts:
    """Of one location of one channel. What its methods return is to be made durable in that order."""

    def __init__(self, channel: str, location: str, get: Callable[[bytes], bytes | None]) -> None:
        """`get`: what is durable."""
        self._channel = channel
        self._location = location
        self._note_of: dict[str, int] = {}
        self._open: dict[int, int] = {}
        """How many SKUs are still a note's, by its number."""
        self._doubted: set[str] = set()
        self._numbers = NUMBERS
        self._earlier: list[str] = []
        raw = get(numbers_key(channel, location))
        known = None if raw is None else orjson.loads(raw)
        if isinstance(known, list):
            self._earlier = known  # as it was written when a location had one note
        elif known is not None:
            self._numbers = known
        for number in range(self._numbers):
            raw = get(note_key(channel, location, number))
            if raw is not None:
                self._open[number] = 0
                for sku in orjson.loads(raw):
                    self._hold(sku, number)
        self._overtaken = [number for number, skus in self._open.items() if not skus]
        self._free = [number for number in range(self._numbers) if number not in self._open]

    @property
    def skus(self) -> Collection[str]:
        """All that are doubtful as far as is durable."""
        return {*self._note_of, *self._earlier}

    def begin(self, skus: Collection[str], is_doubtful: Callable[[str], bool]) -> list[Change]:
        """A call with these SKUs is about to leave; they are doubtful by now."""
        changes: list[Change] = []
        earlier = [sku for sku in self._earlier if sku not in skus]
        if earlier:
            changes += self._put(earlier)
        changes += self._put(skus)
        if self._earlier:
            self._earlier = []
            changes.append(self._put_numbers())
        while self._overtaken:
            number = self._overtaken.pop()
            del self._open[number]
            changes.append(self._delete(number))
        changes += self.end([sku for sku in self._doubted if not is_doubtful(sku)])
        self._doubted.clear()
        return changes

    def look_again(self, skus: Iterable[str]) -> None:
        """Their call is over, and nothing of it has to become durable now: with the next one it is looked at whether
        there is still a doubt about them."""
        self._doubted.update(skus)

    def end(self, skus: Iterable[str]) -> list[Change]:
        """It is known what the channel has of these SKUs."""
        return [self._delete(number) for number in self._release(skus)]

    def _put(self, skus: Collection[str]) -> list[Change]:
        changes = [] if self._free else [self._grow()]
        number = heapq.heappop(self._free)
        emptied = self._release(skus)
        self._open[number] = 0
        for sku in skus:
            self._hold(sku, number)
        key = note_key(self._channel, self._location, number)
        changes.append(Change(TABLE, key, orjson.dumps(sorted(skus))))
        return changes + [self._delete(other) for other in emptied]

    def _hold(self, sku: str, number: int) -> None:
        before = self._note_of.get(sku)
        if before is not None:
            self._open[before] -= 1
        self._note_of[sku] = number
        self._open[number] += 1

    def _release(self, skus: Iterable[str]) -> list[int]:
        """The notes that say nothing any more."""
        emptied = []
        for sku in skus:
            number = self._note_of.pop(sku, None)
            if number is not None:
                self._open[number] -= 1
                if not self._open[number]:
                    del self._open[number]
                    emptied.append(number)
        return emptied

    def _delete(self, number: int) -> Change:
        heapq.heappush(self._free, number)
        return Change(TABLE, note_key(self._channel, self._location, number), None)

    def _grow(self) -> Change:
        self._free = list(range(self._numbers, 2 * self._numbers))
        self._numbers *= 2
        return self._put_numbers()

    def _put_numbers(self) -> Change:
        return Change(TABLE, numbers_key(self._channel, self._location), orjson.dumps(self._numbers))
