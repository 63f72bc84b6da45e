"""Partitions of orders.events and deliveries.dead without Kafka: lists that grow while they are read, and whose
beginning may be gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson

from gateway.ports import LogRecord
from topics.records.envelope import FACT, Headers, iso_time

START_MS = 1_750_000_000_000


@dataclass
class FakeLog:
    """`looked_at`: the offsets of records that were given out. `chunk`: how many one read gives out."""

    records: list[LogRecord] = field(default_factory=list)
    begins: int = 0
    partition: int = 0
    looked_at: list[int] = field(default_factory=list)
    chunk: int = 1_000_000

    @property
    def ends(self) -> int:
        return len(self.records)

    def append(self, key: bytes, value: bytes, headers: Headers, time_ms: int, epoch: int) -> None:
        made_by = ("sluice-made-by", b"%d/%d" % (epoch, self.ends))
        self.records.append(LogRecord(self.ends, time_ms, key, value, (*headers, made_by)))

    @asynccontextmanager
    async def reading(self, partitions: Collection[int] | None = None) -> AsyncIterator[FakeLogReading]:
        if partitions is not None:
            (self.partition,) = partitions
        yield FakeLogReading(self)


class FakeLogReading:
    def __init__(self, log: FakeLog) -> None:
        self.begins = {log.partition: log.begins}
        self.ends = {log.partition: log.ends}
        self._log = log
        self._next = log.begins

    @property
    def at_end(self) -> bool:
        return self._next >= self.ends[self._log.partition]

    async def offsets_at(self, time_ms: int) -> Mapping[int, int]:
        kept = self._log.records[self._log.begins :]
        first = next((one.offset for one in kept if one.time_ms >= time_ms), self.ends[self._log.partition])
        return {self._log.partition: first}

    def seek(self, offsets: Mapping[int, int]) -> None:
        self._next = max(offsets[self._log.partition], self._log.begins)

    async def next(self, *, wait: bool = True) -> Sequence[tuple[int, LogRecord]]:
        await asyncio.sleep(0)
        found = self._log.records[self._next : self._next + self._log.chunk]
        self._next += len(found)
        self._log.looked_at += [one.offset for one in found]
        return [(self._log.partition, one) for one in found]


@dataclass
class FakeFacts(FakeLog):
    chunk: int = 3

    def write(
        self, key: bytes, sequence: int, at_ms: int, *, created_ms: int = START_MS, sent_ms: int = 0, epoch: int = 1
    ) -> None:
        """A fact; `sent_ms`: when its writer sent it, if not at once."""
        value = {"sequence": sequence, "atMs": at_ms, "sinceCreatedMs": at_ms - created_ms}
        headers = (("ce_type", FACT.encode() + b"order-updated"), ("ce_time", iso_time(at_ms).encode()))
        self.append(key, orjson.dumps(value), headers, sent_ms or at_ms, epoch)


class FakeDead(FakeLog):
    def write(self, value: bytes, kind: str, time_ms: int = 0, epoch: int = 1) -> None:
        self.append(b"", value, (("ce_type", kind.encode()),), time_ms, epoch)
