"""PURE: the SKUs of a location that a complete snapshot does not name are found and set to 0, in bounded steps.

The search is in memory only, and begins anew from the notes after a restart: setting a SKU to 0 twice changes nothing,
and a SKU that an update has named since is in a note.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import orjson

from topics.records.json_record import decode_stored
from topics.stock.offers import QUANTITIES
from topics.stock.snapshots import Run

STEP_COST_MAX = 100_000
"""Cost of one step, by the measures below: some ten milliseconds during which nothing else is decided."""
KNOWN_COST = 1
"""For each SKU that is known."""
NAMED_COST = 2
"""For each SKU in a note."""
ZERO_COST = 50
"""For each SKU that is set to 0."""
EXPIRIES = ("minExpiry", "consolidatedMinExpiry")


class SnapshotPositions(Protocol):
    """The positions of one location while a record is decided."""

    def skus(self) -> list[str]:
        """All SKUs that are known now."""

    def apply(self, items: Sequence[Any], said: int) -> int:
        """Makes these the positions, unless a later record did; returns how many differed. No SKU comes twice.
        `said`: from when the word is."""

    def zero(self, skus: Sequence[str], said: int) -> int:
        """Sets these to 0, unless a later record named them; returns how many had some stock."""


class Notes(Protocol):
    def named(self, begin: int, number: int) -> list[str] | None:
        """The SKUs of a note of the snapshot that began at `begin`; None: it was deleted, never made, or cannot be
        read."""


class ZeroSweep:
    """The search for SKUs to set to 0, of one snapshot that has come to its end."""

    def __init__(self, known: list[str]) -> None:
        """`known`: the SKUs at the end of the snapshot. SKUs that appear later come from newer updates."""
        self._known = known
        self._looked_at = 0
        self._absent: dict[str, None] = {}
        self._note = 0

    def spare(self, skus: Iterable[str]) -> None:
        """The snapshot names these, or a newer update did, which is in a note as well."""
        for sku in skus:
            self._absent.pop(sku, None)

    def step(self, run: Run, notes: Notes, positions: SnapshotPositions) -> bool:
        """Makes one bounded step; returns whether it was the last. Counts in `run` what it set to 0."""
        cost = 0
        while cost < STEP_COST_MAX:
            if self._looked_at < len(self._known):
                more = self._known[self._looked_at : self._looked_at + STEP_COST_MAX // KNOWN_COST]
                self._looked_at += len(more)
                self._absent.update(dict.fromkeys(more))
                cost += len(more) * KNOWN_COST
            elif self._note < run.notes:
                named = notes.named(run.begin, self._note)
                if named is None:
                    return True  # notes are deleted only when the sweep is done; and without one nothing is set to 0
                self.spare(named)
                self._note += 1
                cost += len(named) * NAMED_COST
            else:
                count = min(len(self._absent), max(1, (STEP_COST_MAX - cost) // ZERO_COST))
                run.zeroed += positions.zero([self._absent.popitem()[0] for _ in range(count)], run.begun_ms)
                return not self._absent
        return False


def has_some(item: dict[str, Any]) -> bool:
    return any(int(item.get(name) or 0) for name in QUANTITIES)


def nothing_of(item: dict[str, Any]) -> dict[str, Any]:
    """The same position with quantity 0: members that identify it stay, expiries go."""
    return {
        name: 0 if name in QUANTITIES and member is not None else member
        for name, member in item.items()
        if name not in EXPIRIES
    }


def encode_note(skus: list[str], *, touched: bool) -> bytes:
    return orjson.dumps({"touched": skus} if touched else {"named": skus})


def is_touched(note: bytes) -> bool:
    """Whether an update named these SKUs, and not the snapshot itself."""
    return note.startswith(b'{"touched"')


def skus_of(note: bytes) -> list[str]:
    """Raises UnreadableError."""
    named = decode_stored(note, dict[str, list[str]])
    return [sku for skus in named.values() for sku in skus]
