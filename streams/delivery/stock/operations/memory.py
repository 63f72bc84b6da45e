"""PURE: the memory of operations that the last owner of a partition left on inventory.sent, by location."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from streams.delivery.stock.ports import SENT
from streams.runtime.role import Table
from topics.records.keys import split
from topics.records.unreadable import UNREADABLE, UnreadableError
from topics.stock.positions import BOOKKEEPING, DRIFT, RECONCILE, REFUSED, RESYNC

Name = tuple[str, str]
"""Channel and location."""
PARTS = {REFUSED: 3, DRIFT: 3, RESYNC: 2, RECONCILE: 2}
"""Parts of a key behind its mark: channel and location, and the SKU."""
BySku = list[tuple[str, bytes]]


@dataclass(slots=True)
class Memory:
    """The memory of one location. Records stay encoded: there may be a million, and a takeover waits for them."""

    refused: BySku = field(default_factory=list)
    drifts: BySku = field(default_factory=list)
    resync: bytes | None = None
    reconcile: bytes | None = None


def read_memory(sent: Table, partition: int) -> dict[Name, Memory]:
    """Reads everything in one pass: a pass for each kind of record would sort all keys each time."""
    found: dict[Name, Memory] = defaultdict(Memory)
    for key, raw in sent.walk(BOOKKEEPING):
        try:
            mark, *of = split(key)
            if mark in PARTS and len(of) != PARTS[mark]:
                raise UnreadableError(f"a key that begins with {mark} has {PARTS[mark] + 1} parts")
        except ValueError as error:
            UNREADABLE.note(SENT, key, error, partition=partition)
            continue
        if mark not in PARTS:
            continue
        memory = found[of[0], of[1]]
        if mark == REFUSED:
            memory.refused.append((of[2], raw))
        elif mark == DRIFT:
            memory.drifts.append((of[2], raw))
        elif mark == RESYNC:
            memory.resync = raw
        else:
            memory.reconcile = raw
    return found
