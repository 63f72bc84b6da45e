"""A topic's partition without Kafka, as a list that may grow while it is read, and whose beginning may be gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.ports import LogRecord
from topics.records.envelope import Headers


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
