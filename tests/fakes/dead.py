"""deliveries.dead without Kafka: one partition as a list, which grows while it is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.ports import LogRecord


@dataclass
class FakeDead:
    records: list[LogRecord] = field(default_factory=list)

    def write(self, value: bytes, kind: str, time_ms: int = 0, epoch: int = 1) -> None:
        offset = len(self.records)
        headers = (("ce_type", kind.encode()), ("sluice-made-by", b"%d/%d" % (epoch, offset)))
        self.records.append(LogRecord(offset, time_ms, b"", value, headers))

    @asynccontextmanager
    async def reading(self, *, since_ms: int = 0, starts: Mapping[int, int] | None = None) -> AsyncIterator[Reading]:
        start = next((one.offset for one in self.records if one.time_ms >= since_ms), len(self.records))
        yield Reading(self, start if starts is None else starts[0])


class Reading:
    def __init__(self, log: FakeDead, start: int) -> None:
        self.ends = {0: len(log.records)}
        self._log = log
        self._next = start

    @property
    def at_end(self) -> bool:
        return self._next >= self.ends[0]

    async def next(self, *, wait: bool = True) -> Sequence[tuple[int, LogRecord]]:
        await asyncio.sleep(0)
        found = self._log.records[self._next :]
        self._next = len(self._log.records)
        return [(0, one) for one in found]
