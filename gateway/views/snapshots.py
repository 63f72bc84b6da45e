"""The state of full snapshots, as the inventory role keeps it in `inventory.positions`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from topics.api.snapshots import SnapshotDocument
from topics.records.unreadable import UNREADABLE, UnreadableError
from topics.stock.snapshots import Ended, Run, decode_kept, snapshots_key, snapshots_of


class SnapshotIndex:
    """The snapshots of each channel and location; decoded when a call asks for them."""

    def __init__(self) -> None:
        self._raw: dict[tuple[str, str], bytes] = {}
        self._changed: dict[tuple[str, str], asyncio.Event] = {}
        """One event for each channel and location that a call waits for; the next change there sets it."""

    def apply(self, key: bytes, value: bytes | None) -> None:
        """One record of `inventory.positions` that is not a position."""
        stock = snapshots_of(key)
        if stock is None:
            return
        if value is None:
            self._raw.pop(stock, None)
        else:
            self._raw[stock] = value
        changed = self._changed.pop(stock, None)
        if changed is not None:
            changed.set()

    def all(self, channel: str, location: str) -> list[SnapshotDocument]:
        """The newest first; none when this version cannot read their state."""
        raw = self._raw.get((channel, location))
        return [] if raw is None else list(_documents(channel, location, raw))

    def get(self, channel: str, location: str, snapshot: str) -> SnapshotDocument | None:
        return next((one for one in self.all(channel, location) if one.snapshot == snapshot), None)

    async def until_over(self, channel: str, location: str, snapshot: str) -> SnapshotDocument:
        """Returns when the snapshot is applied or abandoned."""
        while True:
            found = self.get(channel, location, snapshot)
            if found is not None and found.state in ("applied", "abandoned"):
                return found
            await self._changed.setdefault((channel, location), asyncio.Event()).wait()


def _documents(channel: str, location: str, raw: bytes) -> Iterator[SnapshotDocument]:
    try:
        kept = decode_kept(raw)
    except UnreadableError as error:
        UNREADABLE.note("inventory.positions", snapshots_key(channel, location), error)
        return
    for run in reversed(kept.runs):
        yield document_of_run(channel, location, run)
    for ended in reversed(kept.ended):
        yield _document(channel, location, ended, ended.state, ended.reason, ended.ended_ms)


def document_of_run(channel: str, location: str, run: Run) -> SnapshotDocument:
    return _document(channel, location, run, run.state, "", run.last_ms)


def _document(channel: str, location: str, one: Run | Ended, state: str, reason: str, last_ms: int) -> SnapshotDocument:
    members = {
        "snapshot": one.id,
        "channel": channel,
        "location": location,
        "state": state,
        "reason": reason or None,
        "complete": one.complete,
        **one.counts(),
        "begunMs": one.begun_ms,
        "lastMs": last_ms,
    }
    return SnapshotDocument.model_validate(members)
