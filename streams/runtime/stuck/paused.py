"""Paused partitions: records whose decision failed once too often wait in their place, and those behind them too.

Broken code must neither set a whole topic aside nor stop what it can still decide. So the other partitions go on, the
lag of this one grows, an alert says which record it is, and nothing is skipped. It is read again from that record

- after a restart or a rebalance, for example with mended code;
- every PAUSE_RETRY_S, because what its decision needs may have changed;
- at once when an operator has it skipped (`sluice skip`).

If the record fails again it waits on; one that is decided ends the pause. Failures are counted in memory: a process
that takes the partition over begins at 0, so it sets this record and others aside before it pauses.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from streams.runtime.metrics import Metrics

log = logging.getLogger(__name__)


class StuckError(Exception):
    """Decisions of so many records of a partition failed that the next one is not set aside, but waits in its place."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(reason)
        self.offset = offset


class Reading(Protocol):
    """Fetches the records of partitions."""

    async def hold(self, partition: int, offset: int) -> None:
        """Fetches no more of the partition, and stands at `offset`."""

    async def release(self, partition: int, offset: int) -> None:
        """Fetches the partition again, from `offset`. Whoever polls from now on is given its records."""


@dataclass(frozen=True, slots=True)
class Paused:
    offset: int
    why: str
    reading: Reading


class PausedPartitions:
    """Those of one worker. `turns` tells chunks that were fetched before a pause, or between it and its end."""

    def __init__(self, source: str, metrics: Metrics, retry_s: float) -> None:
        self._source = source
        self._metrics = metrics
        self._retry_s = retry_s
        self._paused: dict[int, Paused] = {}
        self._wake = asyncio.Event()
        self.turns: Mapping[int, int] = {}
        """Pauses and resumptions, counted by partition; odd: it is not read. Replaced at each change, never changed."""

    def __contains__(self, partition: int) -> bool:
        """Whether it waits, or is tried again and nothing of it was decided yet."""
        return partition in self._paused

    def has_turn(self, partition: int, turn: int) -> bool:
        """Whether records may be decided that were fetched at `turn`."""
        return turn % 2 == 0 and self.turns.get(partition, 0) == turn

    async def pause(self, partition: int, stuck: StuckError, reading: Reading) -> None:
        why = (str(stuck).strip().splitlines() or [""])[-1]
        log.critical(
            "%s/%d is paused at offset %d, the other partitions go on: deciding this record fails, after others before"
            " it: %s. Mend the cause and restart this role, or have the record skipped: sluice skip %s/%d/%d --reason"
            " WHY. It is tried again every %.0f s",
            self._source,
            partition,
            stuck.offset,
            why,
            self._source,
            partition,
            stuck.offset,
            self._retry_s,
        )
        self._paused[partition] = Paused(stuck.offset, why, reading)
        self._take_turn(partition)
        self._metrics.paused.labels(str(partition)).set(1)
        await reading.hold(partition, stuck.offset)

    def skip(self, partition: int, offset: int) -> None:
        """Reads a partition again at once, if this is the record at which it waits."""
        paused = self._paused.get(partition)
        if paused is not None and paused.offset == offset:
            self._wake.set()

    def over(self, partition: int) -> None:
        """Its record was decided."""
        log.warning("%s/%d goes on at offset %d", self._source, partition, self._paused.pop(partition).offset)
        self._metrics.paused.remove(str(partition))

    def clear(self) -> None:
        """Forgets all pauses: the partitions are given back, and are read from their committed offsets."""
        for partition in self._paused:
            self._metrics.paused.remove(str(partition))
        self._paused.clear()
        self.turns = {}

    def warnings(self) -> list[str]:
        return [
            f"{self._source}/{partition} is paused at offset {paused.offset}: {paused.why}"
            for partition, paused in sorted(self._paused.items())
        ]

    async def watch(self) -> None:
        """Tries paused partitions again, for ever."""
        while True:
            try:
                async with asyncio.timeout(self._retry_s):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            for partition in tuple(self._paused):
                await self._resume(partition)

    async def _resume(self, partition: int) -> None:
        paused = self._paused.get(partition)
        if paused is None or self.turns[partition] % 2 == 0:
            return  # a rebalance came meanwhile, or it is being read already
        # Before it is fetched again: records of an earlier fetch do not count, later ones do.
        self._take_turn(partition)
        await paused.reading.release(partition, paused.offset)

    def _take_turn(self, partition: int) -> None:
        self.turns = {**self.turns, partition: self.turns.get(partition, 0) + 1}
