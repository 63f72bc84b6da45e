"""The durable side of a shard's budget and gate: a permit is written to deliveries.permits before it is used."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from streams.delivery.admission.limiters.limits import Limits
from streams.delivery.admission.limiters.pool import PoolState
from streams.delivery.admission.retry_after_gate import RetryAfterGate
from streams.delivery.ports import Clock
from streams.runtime.role import Change, Committer
from topics.records.keys import join

PERMITS = "deliveries.permits"
FRESH_MS = 4_000
"""How long after a durable write requests may leave, with a budget or without. A worker that was stopped or cut off may
not know that another took over, counted its permits as used and sent newer requests. So it must write once more first,
and that write fails. Every durable outcome counts as such a write, so under traffic this costs none of its own. Shorter
than the time after which Kafka gives a silent worker's partitions to another."""


@dataclass(slots=True)
class PermitRecord:
    """A value on deliveries.permits. `limits`: the state of each limit, by its name. `gate_ms`: when the gate opens."""

    limits: dict[str, PoolState] = field(default_factory=dict)
    gate_ms: int = 0

    def encode(self) -> bytes:
        return orjson.dumps(self)


def permits_key(destination: str, shard: int) -> bytes:
    return join(destination, str(shard))


def decode_permits(raw: bytes | None) -> PermitRecord:
    if raw is None:
        return PermitRecord()
    data = orjson.loads(raw)
    limits = {
        name: PoolState([(end_ms, units) for end_ms, units in held["ended"]], held["open"])
        for name, held in data["limits"].items()
    }
    return PermitRecord(limits, data["gate_ms"])


class Permits:
    """The permits of one shard. Without a budget none are counted, but the shard's ownership is proved all the same."""

    def __init__(
        self,
        *,
        key: bytes,
        partition: int,
        limits: Limits,
        gate: RetryAfterGate,
        left: PermitRecord,
        committer: Committer,
        clock: Clock,
    ) -> None:
        self.limits = limits
        self.gate = gate
        self._key = key
        self._partition = partition
        self._committer = committer
        self._clock = clock
        # Two writes at once could become durable in the other order, and the older one would hide a reservation.
        self._writing = asyncio.Lock()
        self._fresh_until_ms = 0
        gate.close_until(left.gate_ms)
        limits.take_over(left.limits, clock.now_ms())

    def available(self, kind: str) -> bool:
        """Whether a request of this kind may acquire its permits now, without a durable write."""
        return self.is_fresh and self.limits.has(kind)

    @property
    def is_fresh(self) -> bool:
        """Whether a recent durable write proves that this worker still owns the shard."""
        return self._clock.now_ms() < self._fresh_until_ms

    def proved(self, began_ms: int) -> None:
        """A commit that began at `began_ms` became durable: this worker owned the partition then."""
        self._fresh_until_ms = max(self._fresh_until_ms, began_ms + FRESH_MS)

    async def reserve(self, kind: str) -> bool:
        """Reserve a block durably, or confirm the rest of the last one; False when the budget is spent."""
        async with self._writing:
            now_ms = self._clock.now_ms()
            counts = self.limits.plan(kind, now_ms)
            if counts is None:
                return False
            await self._write(now_ms, counts)
            self.limits.add_reserved(counts)
            self.proved(now_ms)
            return True

    async def keep(self, *, give_back: bool = False) -> None:
        """Make the gate durable; with `give_back` also that reserved permits will not be used."""
        async with self._writing:
            if give_back:
                self.limits.give_back()
            await self._write(self._clock.now_ms())

    async def _write(self, now_ms: int, reserving: Sequence[int] = ()) -> None:
        record = PermitRecord(self.limits.state(now_ms, reserving), self.gate.opens_ms)
        await self._committer.commit(self._partition, (), (Change(PERMITS, self._key, record.encode()),))
