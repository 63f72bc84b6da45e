"""orders.events without Kafka: one partition as a list, of which retention may have taken the beginning."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson

from gateway.ports import LogRecord
from topics.records.envelope import FACT, iso_time

START_MS = 1_750_000_000_000
CHUNK = 3


@dataclass
class FakeFacts:
    """`looked_at`: the offsets of records that were given out."""

    records: list[LogRecord] = field(default_factory=list)
    begins: int = 0
    partition: int = 0
    looked_at: list[int] = field(default_factory=list)

    @property
    def ends(self) -> int:
        return len(self.records)

    def write(
        self, key: bytes, sequence: int, at_ms: int, *, created_ms: int = START_MS, sent_ms: int = 0, epoch: int = 1
    ) -> None:
        """A fact; `sent_ms`: when its writer sent it, if not at once."""
        value = {"sequence": sequence, "atMs": at_ms, "sinceCreatedMs": at_ms - created_ms}
        headers = (
            ("ce_type", FACT.encode() + b"order-updated"),
            ("ce_time", iso_time(at_ms).encode()),
            ("sluice-made-by", b"%d/%d" % (epoch, self.ends)),
        )
        self.records.append(LogRecord(self.ends, sent_ms or at_ms, key, orjson.dumps(value), headers))

    @asynccontextmanager
    async def reading(self, partition: int) -> AsyncIterator[FakeReading]:
        self.partition = partition
        yield FakeReading(self)


class FakeReading:
    def __init__(self, log: FakeFacts) -> None:
        self.partition = log.partition
        self.begins = log.begins
        self.ends = log.ends
        self._log = log
        self._next = log.begins

    async def at(self, time_ms: int) -> int:
        kept = self._log.records[self.begins :]
        return next((one.offset for one in kept if one.time_ms >= time_ms), self.ends)

    async def seek(self, offset: int) -> None:
        self._next = max(offset, self.begins)

    async def next(self) -> Sequence[LogRecord]:
        found = self._log.records[self._next : self._next + CHUNK]
        self._next += len(found)
        self._log.looked_at += [one.offset for one in found]
        return found
