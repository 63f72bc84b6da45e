"""Forgetting lanes: a header is kept past the redelivery window after its last request, then deleted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice

from streams.delivery.outbox.records import OUTBOX, SEPARATOR, decode_header, is_entry_key
from streams.delivery.ports import Clock
from streams.runtime.role import Change, Committer, PartitionLost, Table

SWEEP_EVERY_MS = 60_000
"""Between two walks."""
SWEEP_KEYS = 1_000
"""Keys looked at without a pause: a few milliseconds of the event loop."""
SWEEP_PAUSE_MS = 1_000
"""A million lanes take a quarter of an hour, and what that costs is not felt."""

Idle = Callable[[int, str], bool]


class HeaderDeletion(Change):
    """The deletion of a header that is decided when the runtime applies it, in the same turn of the event loop.

    A commit may wait for room or for the end of a rebalance, and the lane may come back meanwhile: then its header
    stays as it is.
    """

    __slots__ = ("_is_old", "_outbox")
    _is_old: Callable[[bytes], bool]
    _outbox: Table

    def __init__(self, key: bytes, is_old: Callable[[bytes], bool], outbox: Table) -> None:
        # The base is frozen, so its fields are set as it sets them; `value` is not a field here.
        object.__setattr__(self, "table", OUTBOX)
        object.__setattr__(self, "key", key)
        object.__setattr__(self, "_is_old", is_old)
        object.__setattr__(self, "_outbox", outbox)

    @property
    def value(self) -> bytes | None:
        raw = self._outbox.get(self.key)
        return None if raw is None or self._is_old(raw) else raw


class HeaderSweeper:
    """Forgets the headers of one partition. The table is walked through again and again, a little at a time: nothing is
    remembered for each lane."""

    def __init__(
        self,
        partition: int,
        outbox: Table,
        committer: Committer,
        clock: Clock,
        idle: Idle,
        crashed: Callable[[BaseException], None],
    ) -> None:
        """`idle`: whether nothing of a lane is being sent, so that its entries in the table do not change just now."""
        self._partition = partition
        self._outbox = outbox
        self._committer = committer
        self._clock = clock
        self._idle = idle
        self._crashed = crashed
        self._walk: Iterator[tuple[bytes, bytes]] = iter(())
        self._old: list[tuple[bytes, int]] = []
        """Headers that are old, with their last request's time, and whose entries the walk has not passed yet. Each key
        begins with the one before it, so they are few, and the last one's entries come first."""
        self._never = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    def drop(self) -> list[asyncio.Task[None]]:
        if self._task is None:
            return []
        self._task.cancel()
        return [self._task]

    async def _run(self) -> None:
        try:
            with contextlib.suppress(PartitionLost):
                while True:
                    self._never.clear()
                    await self._clock.wait(self._never, self._clock.now_ms() + SWEEP_EVERY_MS)
                    self._walk = self._outbox.walk()
                    while await self.sweep():
                        await self._clock.wait(self._never, self._clock.now_ms() + SWEEP_PAUSE_MS)
        except Exception as error:
            self._crashed(error)
            raise

    async def sweep(self) -> bool:
        """Look at some of the table, and forget what is old and idle of it; returns whether there is more."""
        rows = list(islice(self._walk, SWEEP_KEYS))
        changes: list[Change] = []
        for key, raw in rows:
            changes += self._passed(key)
            if is_entry_key(key):
                if self._old and self._old[-1][0] == key.partition(SEPARATOR)[0]:
                    self._old.pop()  # something waits
            else:
                header = decode_header(raw)
                if header.is_old(self._clock.now_ms()):
                    self._old.append((key, header.last_ms))
        if len(rows) < SWEEP_KEYS:
            changes += self._passed(None)
        if changes:
            await self._committer.commit(self._partition, (), changes)
        return len(rows) == SWEEP_KEYS

    def _passed(self, key: bytes | None) -> list[Change]:
        """What is old and without entries, now that the walk has come to `key`; None: to its end."""
        changes: list[Change] = []
        while self._old and (key is None or key > self._old[-1][0] + _BEHIND):
            lane, last_ms = self._old.pop()
            if self._idle(self._partition, lane.decode()):
                changes.append(HeaderDeletion(lane, partial(self._is_old, lane.decode(), last_ms), self._outbox))
        return changes

    def _is_old(self, lane: str, last_ms: int, raw: bytes) -> bool:
        return decode_header(raw).last_ms <= last_ms and self._idle(self._partition, lane)


_BEHIND = SEPARATOR + b"\xff"
"""With it a lane's key is behind all its entries."""
