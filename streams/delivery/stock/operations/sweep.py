"""PURE: a sweep over all SKUs of a location, asked for by an operator or daily: what resync and reconciliation share.

A sweep goes through the SKUs in their order and writes down up to where it is done, its cursor. So a restart goes on
from there, and only the SKUs that were in hand are done twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from heapq import merge
from itertools import islice
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from streams.delivery.stock.operations.step import Step
from streams.delivery.stock.ports import SENT, StockLocation
from streams.runtime.invariants import violated
from streams.runtime.role import Change
from topics.records.keys import join
from topics.records.unreadable import UNREADABLE
from topics.stock.controls import Ask
from topics.stock.status import SweepCause

SORTED_AT_ONCE = 5_000
"""SKUs put into their order before other work of the process gets its turn: some 2 ms."""
DAY_MS = 86_400_000


class SweepRecord(BaseModel):
    """The progress of a sweep, as it is kept on inventory.sent: all SKUs up to `cursor` are done.

    `at_ms` is when the sweep was asked for, or was due.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)
    id: str
    cause: SweepCause
    at_ms: int
    started_ms: int
    cursor: str = ""

    @property
    def is_over(self) -> bool:
        raise NotImplementedError

    @property
    def swept(self) -> int:
        """SKUs that are done."""
        raise NotImplementedError

    @property
    def is_sound(self) -> bool:
        """Holds whenever a record is written, and so when it is read."""
        return bool(self.swept) or not self.cursor

    def encode(self) -> bytes:
        return self.model_dump_json().encode()


R = TypeVar("R", bound=SweepRecord)


class Sweep(Generic[R]):
    """The sweep of one location, in every state: none was ever asked for, it goes on, it is over."""

    record_type: type[R]
    mark: str
    """First part of the key of its record on inventory.sent."""
    blank: Mapping[str, Any] = MappingProxyType({})
    """Members of a new record, beside those of every sweep."""

    def __init__(self, location: StockLocation, last: bytes | None, now_ms: int) -> None:
        """`last`: the record that the last owner of the location left. One that this version cannot read counts as
        none, so what was asked last begins again."""
        self._location = location
        self._name = (location.channel, location.location)
        self.key = join(self.mark, *self._name)
        self._record = None if last is None else self._read(last)
        self._taken_over_ms = now_ms
        if self._record is not None:
            self._check(self._record)

    def _read(self, raw: bytes) -> R | None:
        try:
            return self.record_type.model_validate_json(raw)
        except ValidationError as error:
            UNREADABLE.note(SENT, self.key, error, partition=self._location.partition)
            return None

    @property
    def goes_on(self) -> bool:
        return self._record is not None and not self._record.is_over

    @property
    def cursor(self) -> str:
        return "" if self._record is None else self._record.cursor

    def wanted(self, asked: Ask | None, daily: Ask | None) -> tuple[Ask, SweepCause] | None:
        """The sweep to begin. None: the present one goes on, or there is nothing to do.

        A daily one that was due before anything was known of the location here was another worker's, or the location
        did not exist.
        """
        if asked is not None and (self._record is None or asked.at_ms > self._record.at_ms):
            return asked, "asked"
        known_ms = self._taken_over_ms if self._record is None else self._record.at_ms
        if daily is not None and daily.at_ms > known_ms:
            return daily, "daily"
        return None

    def begin(self, ask: Ask, cause: SweepCause, now_ms: int) -> Step:
        """From the first SKU on, also when another one was going on: what is asked for now is for what is true now."""
        self._record = None
        new = self.record_type(id=ask.id, cause=cause, at_ms=ask.at_ms, started_ms=now_ms, **self.blank)
        return self._save(new)

    def _present(self) -> R:
        if self._record is None:
            raise RuntimeError("no sweep was begun")
        return self._record

    def _save(self, record: R) -> Step:
        before, self._record = self._record, record
        self._check(record)
        if before is not None and before.id == record.id and before.cursor > record.cursor:
            violated("stock_sweep_cursor", f"{self.key!r}: from {before.cursor!r} back to {record.cursor!r}")
        return Step(changes=(Change(SENT, self.key, record.encode()),))

    def _check(self, record: R) -> None:
        if not record.is_sound:
            violated("stock_sweep_record", f"{self.key!r} contradicts itself: {record}")


class Walk:
    """SKUs in their order, sorted in slices, so that sorting a million of them blocks nothing for long."""

    def __init__(self, skus: Collection[str], after: str) -> None:
        self.total = len(skus)
        self._skus: Iterator[str] = iter(skus)
        self._after = after
        self._runs: list[list[str]] = []
        self._merged: Iterator[str] | None = None

    def sort_some(self) -> bool:
        """Whether all are sorted; to be called until they are."""
        if self._merged is None:
            some = list(islice(self._skus, SORTED_AT_ONCE))
            if some:
                self._runs.append(sorted(sku for sku in some if sku > self._after))
            else:
                self._merged = merge(*self._runs)
        return self._merged is not None

    def next_skus(self, most: int) -> list[str]:
        return list(islice(self._merged or iter(()), most))


def daily_ask(daily_at: str | None, now_ms: int) -> Ask | None:
    """The sweep that was due last at this time of day (HH:MM of UTC)."""
    if daily_at is None:
        return None
    hour, _, minute = daily_at.partition(":")
    offset_ms = (int(hour) * 60 + int(minute)) * 60_000
    at_ms = now_ms - (now_ms - offset_ms) % DAY_MS
    return Ask(id=f"daily_{at_ms // 60_000}", at_ms=at_ms)
