"""Full snapshots of the stock of a location: the records that carry one, and the state that the inventory role keeps.

A snapshot is a begin marker, parts of up to 200 SKUs and an end marker on `inventory.updates`, all with the key of
their stock and the snapshot's id in a header. The state of all snapshots of one channel and location is one value under
`snapshots_key` on `inventory.positions`. Beside it are notes, one for each record that named SKUs: the SKUs that the
snapshot named, or that an update touched since it began.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any

import orjson

from topics.records.envelope import COMMAND
from topics.records.json_record import decode_stored
from topics.records.keys import join, split
from topics.stock.positions import CONSOLIDATED, is_consolidated

SNAPSHOT_HEADER = "sluice-snapshot"
"""Id of the snapshot that a record belongs to."""
SNAPSHOT_BEGIN = COMMAND + "stock-snapshot-begin"
SNAPSHOT_PART = COMMAND + "stock-snapshot-part"
SNAPSHOT_END = COMMAND + "stock-snapshot-end"
SNAPSHOT_ABORT = COMMAND + "stock-snapshot-abort"
SNAPSHOT_STEP = COMMAND + "stock-snapshot-step"
"""From the inventory role to itself: the next bounded piece of work after an end."""

SNAPSHOT_OPEN_MAX_S = 900
"""A snapshot without a record for so long is given up, because its sender has died. The time is that of the location's
records. It is far above what a broker's outage makes a sender wait."""
SNAPSHOT_ID_MAX = 64

SNAPSHOTS = "~snapshot"
"""First part of the keys on inventory.positions under which the inventory role keeps snapshots."""

OPEN = "open"
ENDING = "ending"
"""All parts came; SKUs that it does not name are being set to 0."""
APPLIED = "applied"
ABANDONED = "abandoned"


@dataclass(slots=True, kw_only=True)
class SnapshotCounts:
    """The SKUs of a snapshot: `received` in its parts, and what became of them."""

    received: int = 0
    changed: int = 0
    unchanged: int = 0
    overtaken: int = 0
    """An update behind the snapshot's begin had told these anew."""
    zeroed: int = 0
    """Set to 0, because a complete snapshot does not name these."""

    def counts(self) -> dict[str, int]:
        return {each.name: getattr(self, each.name) for each in fields(SnapshotCounts)}


@dataclass(slots=True)
class Run(SnapshotCounts):
    """A snapshot that is open or ending."""

    id: str
    begin: int
    """Offset of its begin marker: what orders it among updates."""
    begun_ms: int
    last_ms: int
    """When its last record came."""
    complete: bool
    """Whether SKUs that it does not name become 0."""
    state: str = OPEN
    parts: int = 0
    gap: bool = False
    """A part is missing."""
    notes: int = 0


@dataclass(slots=True)
class Ended(SnapshotCounts):
    """A snapshot that is over. `reason` says why it was abandoned."""

    id: str
    state: str
    reason: str
    complete: bool
    begun_ms: int
    ended_ms: int


@dataclass(slots=True)
class Swept:
    """The notes of a snapshot that is over, and how many of them are deleted."""

    begin: int
    done: int
    notes: int


@dataclass(slots=True)
class Kept:
    """The state of all snapshots of one channel and location, without the notes."""

    runs: list[Run] = field(default_factory=list)
    """In the order of their begin markers; only the last one can be open."""
    ended: list[Ended] = field(default_factory=list)
    sweeps: list[Swept] = field(default_factory=list)
    step: int = 0
    """Number of the last step that was asked for."""
    asked_ms: int | None = None
    """When that step was asked for; None: it is done, and nothing is left to do."""

    def encode(self) -> bytes:
        return orjson.dumps(self)


def decode_kept(raw: bytes) -> Kept:
    """Raises UnreadableError."""
    return decode_stored(raw, Kept, has="runs")


@lru_cache(maxsize=16_384)
def snapshots_key(channel: str, location: str) -> bytes:
    return join(SNAPSHOTS, channel, location)


def note_key(channel: str, location: str, begin: int, number: int) -> bytes:
    return b"%b|%d|%d" % (snapshots_key(channel, location), begin, number)


def snapshots_of(key: bytes) -> tuple[str, str] | None:
    """(channel, location) of a key that `snapshots_key` made; None for notes and for all other keys."""
    parts = split(key)
    return (parts[1], parts[2]) if len(parts) == 3 and parts[0] == SNAPSHOTS else None


def location_members(location: str) -> dict[str, Any]:
    """The members of a record that name its location."""
    if is_consolidated(location):
        return {"consolidationType": location.removeprefix(CONSOLIDATED)}
    return {"locationCode": location}
