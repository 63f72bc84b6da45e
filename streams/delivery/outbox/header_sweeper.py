"""Deletes the headers of lanes that have had no request for HEADER_KEPT_MS and have none now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice

from streams.delivery.outbox.records import OUTBOX, LaneHeader, LateHeader, decode_header
from streams.delivery.ports import Clock
from streams.runtime.role import Change, Committer, Table
from topics.records.keys import SEPARATOR, is_entry_key
from topics.records.unreadable import UNREADABLE, UnreadableError

SWEEP_EVERY_MS = 60_000
"""Between two walks."""
SWEEP_KEYS = 1_000
"""Keys passed without a pause: a few milliseconds of the event loop."""
SWEEP_PAUSE_MS = 1_000
"""A million lanes take a quarter of an hour, at a cost that is not felt."""
_BEHIND = SEPARATOR + b"\xff"
"""Appended to a lane, a key behind all its entries."""


class HeaderSweeper:
    """Sweeps the headers of one partition. Walks through the table again and again, a little at a time, so nothing is
    remembered for each lane."""

    def __init__(
        self,
        partition: int,
        outbox: Table,
        committer: Committer,
        clock: Clock,
        is_idle: Callable[[int, str], bool],
    ) -> None:
        """`is_idle`: whether no request of a lane is being sent, so that its entries do not change just now."""
        self._partition = partition
        self._outbox = outbox
        self._committer = committer
        self._clock = clock
        self._is_idle = is_idle
        self._walk: Iterator[tuple[bytes, bytes]] = iter(())
        self._old: list[tuple[bytes, int]] = []
        """Old headers with their last request's time, whose entries the walk has not passed yet. Each key begins with
        the one before it, so they are few, and the last one's entries come first."""

    async def run(self) -> None:
        """Sweep until cancelled."""
        never = asyncio.Event()
        while True:
            never.clear()
            await self._clock.wait(never, self._clock.now_ms() + SWEEP_EVERY_MS)
            self._walk = self._outbox.walk()
            while await self.sweep():
                await self._clock.wait(never, self._clock.now_ms() + SWEEP_PAUSE_MS)

    async def sweep(self) -> bool:
        """Pass some keys of the table, and delete the old headers of idle lanes; returns whether there are more."""
        rows = list(islice(self._walk, SWEEP_KEYS))
        changes: list[Change] = []
        for key, raw in rows:
            changes += self._passed(key)
            if is_entry_key(key):
                if self._old and self._old[-1][0] == key.partition(SEPARATOR)[0]:
                    self._old.pop()  # a request waits
            else:
                header = self._readable(key, raw)
                if header is not None and header.is_old(self._clock.now_ms()):
                    self._old.append((key, header.last_ms))
        if len(rows) < SWEEP_KEYS:
            changes += self._passed(None)
        if changes:
            await self._committer.commit(self._partition, (), changes)
        return len(rows) == SWEEP_KEYS

    def _readable(self, key: bytes, raw: bytes) -> LaneHeader | None:
        """None for a header that this version cannot read: it stays."""
        try:
            key.decode()
            return decode_header(raw)
        except (UnreadableError, UnicodeDecodeError) as error:
            UNREADABLE.note(OUTBOX, key, error, partition=self._partition)
            return None

    def _passed(self, key: bytes | None) -> list[Change]:
        """Deletions of the old headers whose lanes the walk has passed at `key`, None: at its end."""
        changes: list[Change] = []
        while self._old and (key is None or key > self._old[-1][0] + _BEHIND):
            raw_lane, last_ms = self._old.pop()
            lane = raw_lane.decode()
            if self._is_idle(self._partition, lane):
                changes.append(LateHeader(lane, partial(self._kept, lane, last_ms), self._outbox))
        return changes

    def _kept(self, lane: str, last_ms: int, raw: bytes | None) -> bytes | None:
        """The header if its lane has come back meanwhile; None deletes it."""
        if raw is None or (decode_header(raw).last_ms <= last_ms and self._is_idle(self._partition, lane)):
            return None
        return raw
