"""Which records of Sluice's topics count: for every reader, inside and outside (docs/reading.md says it in words).

Everything is written at least once, and a worker that was stopped or cut off may write a little after another took over
its partition. A repeat is known by its sequence or id; what was written too late is known by its epoch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

MADE_BY = "sluice-made-by"
"""Header of everything a streams role writes: `<epoch>/<source offset>`.

The epoch grows with every owner of the source partition; the offset is that of the record it was made from.
"""
OWNER_KEY = b"~owner"
"""Key, on every topic that is a role's table, of the record with which a new owner begins: no value of the table."""
KEYS_MAX = 500_000
"""Keys a FactReader remembers, some 100 MB; of the one forgotten first the next fact is called a gap."""


class MadeBy(NamedTuple):
    epoch: int
    offset: int


NOBODY = MadeBy(0, -1)
"""Of a record that no streams role wrote: older than any of theirs."""


def made_by(headers: Sequence[tuple[str, bytes]]) -> MadeBy:
    """Who made a record. The last such header counts: what is sent on keeps the headers it came with."""
    for name, content in reversed(headers):
        if name == MADE_BY:
            epoch, _, offset = content.partition(b"/")
            return MadeBy(int(epoch), int(offset))
    return NOBODY


class Epochs:
    """The newest epoch seen in each partition of one topic; all its records have to be shown, in the log's order."""

    __slots__ = ("_newest",)

    def __init__(self, newest: Mapping[int, int] | None = None) -> None:
        self._newest = dict(newest or {})

    def is_stale(self, partition: int, epoch: int) -> bool:
        """Whether a newer owner wrote before this record: then it must not count."""
        newest = self._newest.get(partition, 0)
        if epoch > newest:
            self._newest[partition] = epoch
        return epoch < newest

    def forget(self, partition: int) -> None:
        self._newest.pop(partition, None)

    def remembered(self) -> dict[int, int]:
        return dict(self._newest)


class Found(StrEnum):
    NEW = "new"
    """The next of its key."""
    GAP = "gap"
    """New, but some before it were not read: retention has taken them, or reading began in the middle."""
    REPEAT = "repeat"
    """Seen before: ignore it, or write it under (key, sequence) again. Only a new owner with another configuration says
    something else the second time, and its word counts."""
    STALE = "stale"
    """Written by a former owner behind its successor: ignore it."""


class FactReader:
    """Judges the facts of orders.events, which count up from 1 within each key.

    It starts from what `remembered` gave, which belongs beside the reader's offsets; with nothing, it takes the first
    fact of each key for new.
    """

    def __init__(self, remembered: Mapping[str, Any] | None = None) -> None:
        known = remembered or {}
        self._epochs = Epochs({int(partition): epoch for partition, epoch in known.get("epochs", {}).items()})
        self._last: dict[bytes, int] = {key.encode(): last for key, last in known.get("keys", {}).items()}

    def judge(self, partition: int, key: bytes, sequence: int, headers: Sequence[tuple[str, bytes]]) -> Found:
        if self._epochs.is_stale(partition, made_by(headers).epoch):
            return Found.STALE
        last = self._last.pop(key, 0)
        self._last[key] = max(last, sequence)  # put last: the key read longest ago is forgotten first
        if len(self._last) > KEYS_MAX:
            del self._last[next(iter(self._last))]
        if sequence <= last:
            return Found.REPEAT
        return Found.NEW if sequence == last + 1 else Found.GAP

    def remembered(self) -> dict[str, Any]:
        """What to start from after a restart; JSON can carry it."""
        return {
            "epochs": {str(partition): epoch for partition, epoch in self._epochs.remembered().items()},
            "keys": {key.decode(): last for key, last in self._last.items()},
        }
