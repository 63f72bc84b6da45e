"""Reasons why a partition waits although its worker goes on: a record whose decision fails, or an open transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from streams.runtime.following import Following
from streams.runtime.metrics import Metrics
from streams.runtime.stuck.paused import PausedPartitions
from streams.runtime.stuck.skips import Skips
from streams.runtime.stuck.transactions import OpenTransactions
from topics.configuration.settings import Settings


class Progress(NamedTuple):
    """How far a partition is."""

    done: int
    """The offset up to which it is finished."""
    end: int | None
    """Its end; None: not known yet."""
    readable: int | None
    """The end of what can be read: behind it a transaction is open."""

    def lag(self) -> int:
        return max(0, self.end - self.done) if self.end is not None else 0

    def readable_lag(self) -> int:
        return max(0, self.readable - self.done) if self.readable is not None else 0

    def held_at(self) -> int | None:
        """The offset behind which an open transaction hides records; None: there is none."""
        if self.end is None or self.readable is None or self.readable >= self.end:
            return None
        return self.readable


class HeldUp:
    """Pauses, skips and open transactions of the partitions of one worker."""

    def __init__(self, settings: Settings, source: str, full_name: str, metrics: Metrics, retry_s: float) -> None:
        """`source` is the source topic's catalogue name."""
        self.paused = PausedPartitions(full_name, metrics, retry_s)
        self.skips = Skips(settings, source, self.paused.skip)
        self.following = Following(self.skips)
        self._transactions = OpenTransactions(full_name)

    def observe(self, read: Mapping[int, Progress], now_s: float) -> None:
        """To be called every second or so, with all partitions of the worker."""
        held = {partition: at for partition, each in read.items() if (at := each.held_at()) is not None}
        self._transactions.observe(held, now_s)

    def is_waited_for(self, read: Mapping[int, Progress]) -> bool:
        """Whether records wait for the worker itself."""
        return any(each.readable_lag() for partition, each in read.items() if partition not in self.paused)

    def warnings(self) -> list[str]:
        return self.paused.warnings() + self._transactions.warnings()
