"""Forgetting lanes: a header is kept past the redelivery window after its last request, then deleted."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable

from streams.delivery.attempts import TABLE as OUTBOX
from streams.delivery.outbox import decode_header, header_key
from streams.delivery.ports import Clock
from streams.runtime.role import Change, Committer, PartitionLost, Table

HEADER_KEPT_MS = 24 * 3_600_000
"""How long a lane is remembered after its last request. A repeat by Kafka or by the orders role follows a crash within
the time of its restart; a day leaves room for a restart that somebody has to make by hand."""
SWEEP_EVERY_MS = 60_000
SWEEP_MAX = 1_000
"""Headers deleted in one commit."""

Idle = Callable[[int, str], bool]


class Forgetting(Change):
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


class HeaderKeeping:
    """The lanes of one partition by the time of their last request, oldest first."""

    def __init__(
        self,
        partition: int,
        outbox: Table,
        committer: Committer,
        clock: Clock,
        idle: Idle,
        crashed: Callable[[BaseException], None],
    ) -> None:
        self._partition = partition
        self._outbox = outbox
        self._committer = committer
        self._clock = clock
        self._idle = idle
        self._crashed = crashed
        self._last: OrderedDict[str, int] = OrderedDict()
        self._never = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def note(self, lane: str, last_ms: int) -> None:
        self._last[lane] = last_ms
        self._last.move_to_end(lane)

    def start(self) -> None:
        # Recovery notes lanes in the order of the table; from here on they come in the order of time.
        self._last = OrderedDict(sorted(self._last.items(), key=lambda item: item[1]))
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
                    await self.sweep()
        except Exception as error:
            self._crashed(error)
            raise

    async def sweep(self) -> int:
        """Delete what is old and idle; returns how many."""
        oldest_kept_ms = self._clock.now_ms() - HEADER_KEPT_MS
        changes: list[Change] = []
        for lane, last_ms in list(self._expired(oldest_kept_ms)):
            if not self._idle(self._partition, lane):
                # It still waits or is held: look again a whole period later.
                self.note(lane, self._clock.now_ms())
                continue
            del self._last[lane]
            raw = self._outbox.get(header_key(lane))
            if raw is not None and decode_header(raw).last_ms <= last_ms:
                changes.append(self._forgetting(lane, last_ms))
        if changes:
            await self._committer.commit(self._partition, (), changes)
        return len(changes)

    def _forgetting(self, lane: str, last_ms: int) -> Change:
        return Forgetting(header_key(lane), lambda raw: self._is_old(lane, raw, last_ms), self._outbox)

    def _is_old(self, lane: str, raw: bytes, last_ms: int) -> bool:
        return decode_header(raw).last_ms <= last_ms and self._idle(self._partition, lane)

    def _expired(self, oldest_kept_ms: int) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        for lane, last_ms in self._last.items():
            if last_ms > oldest_kept_ms or len(found) == SWEEP_MAX:
                break
            found.append((lane, last_ms))
        return found
