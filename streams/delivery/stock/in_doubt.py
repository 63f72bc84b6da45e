"""PURE: notes on inventory.sent of the SKUs of which it is not known what the channel has.

Each call has a note, `~flight|channel|location|n`, that lists its SKUs before it leaves: however many calls are in
flight and however long a channel is away, no record is larger than a call. A note stays until none of its SKUs is in
doubt; a SKU that goes into another call belongs to that call's note from then on.

A crash leaves notes that say too much at worst, and then a SKU is sent once more than it had to be:

1. a call's note is put before the notes that it empties are deleted;
2. what a call's answer acknowledged is put before its note is deleted.

A note that this version cannot read may list any SKU of its location, so all are in doubt and are sent again; the note
goes when they are.

The numbers of deleted notes are used again. With an id of its own for every call, the topic would keep a deletion of
each call until it is compacted, and the runtime one in memory until a record of its source topic is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

import orjson

from streams.delivery.stock.ports import SENT
from streams.runtime.invariants import violated
from streams.runtime.role import Change, Table
from topics.records.json_record import decode_stored
from topics.records.keys import join, split
from topics.records.unreadable import UNREADABLE, UnreadableError
from topics.stock.positions import FLIGHT

NOTES_MAX = 100_000
"""Above the number of any note: each call in flight has one, and so has each that left something in doubt."""


@dataclass(slots=True)
class Notes:
    """The notes that the last owner left of one location. `skus`: by the number of the note. `unreadable`: keys of
    notes that this version cannot read; any SKU of the location may be in one of these."""

    skus: dict[int, list[str]] = field(default_factory=dict)
    unreadable: list[bytes] = field(default_factory=list)


def notes_by_location(sent: Table, partition: int) -> dict[tuple[str, str], Notes]:
    """All notes of a partition, by channel and location. One walk, because a walk looks at every key of the table."""
    found: dict[tuple[str, str], Notes] = {}
    for key, raw in sent.walk(FLIGHT.encode() + b"|"):
        try:
            _, channel, location, *rest = split(key)
        except ValueError as error:
            UNREADABLE.note(SENT, key, error, partition=partition)
            continue
        notes = found.setdefault((channel, location), Notes())
        try:
            number, skus = _number(rest), decode_stored(raw, list[str])
        except ValueError as error:
            UNREADABLE.note(SENT, key, error, partition=partition)
            notes.unreadable.append(key)
        else:
            notes.skus[number] = skus
    return found


def _number(rest: Sequence[str]) -> int:
    if len(rest) != 1 or not rest[0].isdecimal() or len(rest[0]) > len(str(NOTES_MAX)):
        raise UnreadableError("its key does not end in the number of a note")
    return int(rest[0])


class InDoubtJournal:
    """The notes of one location of one channel. The changes it returns must become durable in their order."""

    def __init__(self, channel: str, location: str, notes: Notes, all_skus: Collection[str] = ()) -> None:
        """`notes`: the durable ones. `all_skus`: those of the location, which are in doubt if a note cannot be read."""
        self._channel = channel
        self._location = location
        self._note_of: dict[str, int] = {}
        self._open: dict[int, int] = {}
        """How many SKUs still belong to each note."""
        self._emptied: list[int] = []
        """Notes without SKUs, which are to be deleted. A crash may leave one beside the note that emptied it."""
        self._next = max(notes.skus, default=-1) + 1
        """The first number that no note has had."""
        self._free = [number for number in range(self._next) if number not in notes.skus]
        self._unsettled: set[str] = set()
        self._foreign: dict[int, bytes] = {}
        """The keys of notes that this version would not have given them."""
        for number, skus in notes.skus.items():
            self._release(skus)
            self._hold(number, skus)
        for number, key in enumerate(notes.unreadable, NOTES_MAX * 10):
            self._foreign[number] = key
            self._release(all_skus)
            self._hold(number, all_skus)
            if not all_skus:
                self._emptied.append(number)

    @property
    def skus(self) -> Collection[str]:
        """All that are in doubt, as far as is durable."""
        return self._note_of.keys()

    def begin(self, skus: Collection[str], is_doubtful: Callable[[str], bool]) -> list[Change]:
        """A call with these SKUs is about to leave; `is_doubtful` of them already."""
        if not self._free:
            self._free.append(self._next)
            self._next += 1
        number = self._free.pop()
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
        self._free += [number for number in emptied if number not in self._foreign]
        return [Change(SENT, self._foreign.pop(number, b"") or self._key(number), None) for number in emptied]

    def _key(self, number: int) -> bytes:
        return join(FLIGHT, self._channel, self._location, str(number))
