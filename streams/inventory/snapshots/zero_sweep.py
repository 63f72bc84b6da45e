"""PURE: which SKUs of a location a complete snapshot does not name, found and set to 0 in bounded steps.

All of it is in memory and made anew from the notes after a restart: setting a SKU to 0 twice changes nothing, and what
an update has told since is noted before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import orjson

from topics.stock.snapshots import Run

STEP_COST_MAX = 100_000
"""What one step may cost, by the measures below: some ten milliseconds during which nothing else is decided."""
KNOWN_COST = 1
NAMED_COST = 2
ZERO_COST = 50
QUANTITIES = ("quantity", "consolidatedQuantity")
EXPIRIES = ("minExpiry", "consolidatedMinExpiry")


class SnapshotPositions(Protocol):
    """The positions of one channel and location, to the record being decided."""

    def skus(self) -> list[str]:
        """All that are known now."""

    def apply(self, items: Sequence[Any]) -> int:
        """Makes these the positions, unless a later record has; how many of them differed. No SKU comes twice."""

    def zero(self, skus: Sequence[str]) -> int:
        """Leaves nothing of these, unless a later record has told them; of how many of them there was some."""


class Notes(Protocol):
    def named(self, begin: int, number: int) -> list[str] | None:
        """The SKUs of a note of the snapshot that began there; None: it was deleted, or never made."""


class Zeroing:
    """The zeroing of one snapshot that has come to its end."""

    def __init__(self, known: list[str]) -> None:
        """What comes to be known later was told by something that is newer than the snapshot."""
        self._known = known
        self._looked_at = 0
        self._absent: dict[str, None] = {}
        self._note = 0

    def spare(self, skus: Iterable[str]) -> None:
        """It names these, or something newer has told them; which is noted as well."""
        for sku in skus:
            self._absent.pop(sku, None)

    def step(self, run: Run, notes: Notes, positions: SnapshotPositions) -> bool:
        """One bounded step; whether it was the last. Counts in `run` what it set to 0."""
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
                    return True  # notes are deleted when this is done, and only then
                self.spare(named)
                self._note += 1
                cost += len(named) * NAMED_COST
            else:
                count = min(len(self._absent), max(1, (STEP_COST_MAX - cost) // ZERO_COST))
                run.zeroed += positions.zero([self._absent.popitem()[0] for _ in range(count)])
                return not self._absent
        return False


def has_some(item: dict[str, Any]) -> bool:
    return any(int(item.get(name) or 0) for name in QUANTITIES)


def nothing_of(item: dict[str, Any]) -> dict[str, Any]:
    """The same position with nothing left: what says which one it is stays, what says when it expires goes."""
    return {
        name: 0 if name in QUANTITIES and member is not None else member
        for name, member in item.items()
        if name not in EXPIRIES
    }


def encode_note(skus: list[str], *, touched: bool) -> bytes:
    return orjson.dumps({"touched": skus} if touched else {"named": skus})


def is_touched(note: bytes) -> bool:
    """Whether an update told of these SKUs, and not the snapshot itself."""
    return note.startswith(b'{"touched"')


def skus_of(note: bytes) -> list[str]:
    (skus,) = orjson.loads(note).values()
    return list(skus)
