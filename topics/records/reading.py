"""The rules by which a reader tells records that count, inside and outside of Sluice (in words: docs/reading.md).

Everything is written at least once, and a worker that was stopped or cut off may write a little after another took over
its partition. A reader knows a repeat by its sequence or id, and a late write by its epoch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

MADE_BY = "sluice-made-by"
"""Header of every record that a streams role writes: `<epoch>/<source offset>`.

The epoch grows with every owner of the source partition; the offset is that of the record that caused this one.
"""
OWNER_KEY = b"~owner"
"""Key of the record with which a new owner begins on every topic that is a role's table. No value of the table."""
KEYS_MAX = 500_000
"""Keys that a FactReader remembers, some 100 MB. The next fact of a key that it forgot is called a gap."""


class MadeBy(NamedTuple):
    epoch: int
    offset: int


NOBODY = MadeBy(0, -1)
"""For a record that no streams role wrote: older than any of theirs."""
NUMBER_BITS = 62
"""Bits of an epoch or offset: more than Sluice reaches, and what counts from there on still fits 64 bits."""


def made_by(headers: Sequence[tuple[str, bytes | None]]) -> MadeBy:
    """The epoch and offset in a record's headers. A record that is sent on has two such headers; the last counts.

    A header that no streams role can have written says nothing.
    """
    for name, content in reversed(headers):
        if name == MADE_BY:
            return MadeBy(*read_made_by(content))
    return NOBODY


def read_made_by(content: bytes | None) -> tuple[int, int]:
    """Reads the value of the header."""
    try:
        first, _, second = content.partition(b"/")  # type: ignore[union-attr]
        epoch, offset = int(first), int(second)
    except (AttributeError, ValueError):  # null, or anything else from somebody else
        return NOBODY
    return NOBODY if (epoch | offset + 1) >> NUMBER_BITS else (epoch, offset)  # too large, or negative


class Epochs:
    """The newest epoch seen in each partition of one topic. It must see all records, in the log's order."""

    __slots__ = ("_newest",)

    def __init__(self, newest: Mapping[int, int] | None = None) -> None:
        self._newest = dict(newest or {})

    def is_stale(self, partition: int, epoch: int) -> bool:
        """Whether a newer owner wrote before this record, so that the record does not count."""
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
    """The next fact of its key, or the first of a key that began again."""
    GAP = "gap"
    """New, but facts before it were not read: retention took them, or reading began in the middle."""
    REPEAT = "repeat"
    """Seen before: ignore it. Its content differs only if a new owner had another configuration."""
    STALE = "stale"
    """Written by a former owner behind its successor, or by nobody of Sluice: ignore it."""


class SeenFacts:
    """Tells facts of orders.events that count from repeats and late writes, in the log's order.

    Facts leave in the order of the commands that caused them, so a fact of an earlier command than the last one's is a
    repeat.

    A reader starts from the value of `remembered`, which belongs beside its offsets. Without it, the first fact of each
    partition is taken for new.
    """

    def __init__(self, remembered: Mapping[str, Any] | None = None) -> None:
        known = remembered or {}
        self._epochs = Epochs({int(partition): epoch for partition, epoch in known.get("epochs", {}).items()})
        self._made_from: dict[int, int] = {int(p): offset for p, offset in known.get("made_from", {}).items()}
        self._same: dict[int, set[tuple[bytes, int]]] = {
            int(partition): {(key.encode(), sequence) for key, sequence in facts}
            for partition, facts in known.get("same", {}).items()
        }
        """The few facts of each partition that the last command caused."""

    def judge_made(self, partition: int, key: bytes, sequence: int, made: MadeBy) -> Found:
        """NEW, REPEAT or STALE; `made`: what the fact's headers say of its maker."""
        epoch, offset = made
        if self._epochs.is_stale(partition, epoch):
            return Found.STALE
        newest = self._made_from.get(partition, NOBODY.offset)
        same = self._same.setdefault(partition, set())
        if offset < newest or (offset == newest and (key, sequence) in same):
            return Found.REPEAT
        if offset > newest:
            self._made_from[partition] = offset
            same.clear()
        same.add((key, sequence))
        return Found.NEW

    def remembered(self) -> dict[str, Any]:
        """The state to start from after a restart; JSON can carry it."""
        return {
            "epochs": {str(partition): epoch for partition, epoch in self._epochs.remembered().items()},
            "made_from": {str(partition): offset for partition, offset in self._made_from.items()},
            "same": {
                str(partition): sorted([key.decode(), sequence] for key, sequence in facts)
                for partition, facts in self._same.items()
            },
        }


class FactReader(SeenFacts):
    """Judges the facts of orders.events, and finds gaps: sequences count up from 1 within each key. A key begins again
    at 1 when its order was forgotten, so sequences reveal gaps, not repeats."""

    def __init__(self, remembered: Mapping[str, Any] | None = None) -> None:
        super().__init__(remembered)
        known = remembered or {}
        self._last: dict[bytes, int] = {key.encode(): last for key, last in known.get("keys", {}).items()}

    def judge(self, partition: int, key: bytes, sequence: int, headers: Sequence[tuple[str, bytes | None]]) -> Found:
        found = self.judge_made(partition, key, sequence, made_by(headers))
        if found is not Found.NEW:
            return found
        last = self._last.pop(key, 0)
        self._last[key] = sequence  # put last, because the key read longest ago is forgotten first
        if len(self._last) > KEYS_MAX:
            del self._last[next(iter(self._last))]
        return Found.NEW if sequence in (1, last + 1) else Found.GAP

    def remembered(self) -> dict[str, Any]:
        return {**super().remembered(), "keys": {key.decode(): last for key, last in self._last.items()}}
