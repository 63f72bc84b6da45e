"""PURE: notes on inventory.sent of the SKUs of which it is not known what the channel has.

Each call has a note, `~flight|channel|location|n`, that lists its SKUs before it leaves: however many calls are in
flight and however long a channel is away, no record is larger than a call. A note stays until none of its SKUs is in
doubt; a SKU that goes into another call belongs to that call's note from then on.

A crash leaves notes that say too much at worst, and then a SKU is sent once more than it had to be:

1. a call's note is put before the notes that it empties are deleted;
2. what a call's answer acknowledged is put before its note is deleted.

The numbers of deleted notes are used again. With an id of its own for every call, the topic would keep a deletion of
each call until it is compacted, and the runtime one in memory until a record of its source topic is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

import orjson

from streams.delivery.stock.ports import SENT
from streams.runtime.invariants import violated
from streams.runtime.role import Change, Table
from topics.records.keys import join, split
from topics.stock.positions import FLIGHT

Notes = Mapping[int, Collection[str]]
"""The SKUs of each note of one location."""


def notes_by_location(sent: Table) -> dict[tuple[str, str], Notes]:
    """All notes of a partition, by channel and location. One walk, because a walk looks at every key of the table."""
    found: dict[tuple[str, str], dict[int, list[str]]] = {}
    for key, raw in sent.walk(FLIGHT.encode() + b"|"):
        _, channel, location, number = split(key)
        found.setdefault((channel, location), {})[int(number)] = orjson.loads(raw)
    return dict(found)


class InDoubtJournal:
    """The notes of one location of one channel. The changes it returns must become durable in their order."""

    def __init__(self, channel: str, location: str, notes: Notes) -> None:
        """`notes`: the durable ones."""
        self._channel = channel
        self._location = location
        self._note_of: dict[str, int] = {}
        self._open: dict[int, int] = {}
        """How many SKUs still belong to each note."""
        self._emptied: list[int] = []
        """Notes without SKUs, which are to be deleted. A crash may leave one beside the note that emptied it."""
        self._free = [number for number in range(max(notes, default=0)) if number not in notes]
        self._unsettled: set[str] = set()
        for number, skus in notes.items():
            self._release(skus)
            self._hold(number, skus)

    @property
    def skus(self) -> Collection[str]:
        """All that are in doubt, as far as is durable."""
        return self._note_of.keys()

    def begin(self, skus: Collection[str], is_doubtful: Callable[[str], bool]) -> list[Change]:
        """A call with these SKUs is about to leave; `is_doubtful` of them already."""
        number = self._free.pop() if self._free else len(self._open)
        self._release(skus)
        self._release([sku for sku in self._unsettled if not is_doubtful(sku)])
        self._unsettled.clear()
        self._hold(number, skus)
        return [Change(SENT, self._key(number), orjson.dumps(sorted(skus))), *self._delete_emptied()]

    def settle(self, skus: Collection[str]) -> list[Change]:
        """It is known what the channel has of these SKUs of one call."""
        if not self._note_of.keys() >= set(skus):
            unknown = sorted(set(skus) - self._note_of.keys())
            violated("in_doubt_note_settled_once", f"{self._channel} {self._location}: no note has {unknown}")
        self._release(skus)
        return self._delete_emptied()

    def settle_later(self, skus: Iterable[str]) -> None:
        """Their call is over, and nothing of it has to become durable now. The next call's `begin` looks whether they
        are still in doubt."""
        self._unsettled.update(skus)

    def _hold(self, number: int, skus: Collection[str]) -> None:
        self._open[number] = len(skus)
        self._note_of.update(dict.fromkeys(skus, number))

    def _release(self, skus: Iterable[str]) -> None:
        for sku in skus:
            number = self._note_of.pop(sku, None)
            if number is not None:
                self._open[number] -= 1
                if not self._open[number]:
                    self._emptied.append(number)

    def _delete_emptied(self) -> list[Change]:
        emptied, self._emptied = self._emptied, []
        for number in emptied:
            del self._open[number]
        self._free += emptied
        return [Change(SENT, self._key(number), None) for number in emptied]

    def _key(self, number: int) -> bytes:
        return join(FLIGHT, self._channel, self._location, str(number))
