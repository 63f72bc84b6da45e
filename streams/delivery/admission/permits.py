"""The durable side of a shard's budget and gate: a permit is written to deliveries.permits before it is used."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from streams.delivery.admission.limiters.limits import Limits
from streams.delivery.admission.limiters.pool import PoolState
from streams.delivery.admission.retry_after_gate import GATE_MS_MAX, RetryAfterGate
from streams.delivery.ports import Clock
from streams.runtime.role import Change, Committer, Table
from topics.records.json_record import decode_stored
from topics.records.keys import join
from topics.records.unreadable import UNREADABLE, UnreadableError

PERMITS = "deliveries.permits"
FRESH_MS = 4_000
"""How long after a durable write requests may leave, with a budget or without. A worker that was stopped or cut off may
not know that another took over, counted its permits as used and sent newer requests. So it must write once more first,
and that write fails. Every durable outcome counts as such a write, so under traffic this costs none of its own. Shorter
than the time after which Kafka gives a silent worker's partitions to another."""

UNREADABLE_GATE_MS = 60_000
"""How long nothing leaves when it cannot be read until when the far side asked for a pause: few ask for more than a
minute."""


@dataclass(slots=True)
class PermitRecord:
    """A value on deliveries.permits. `limits`: the state of each limit, by its name. `gate_ms`: when the gate opens."""

    limits: dict[str, PoolState] = field(default_factory=dict)
    gate_ms: int = 0

    def encode(self) -> bytes:
        return orjson.dumps(self)


@dataclass(slots=True)
class _Stored:
    """A value as it is read: both members are written always, and without them nothing would count as used."""

    limits: dict[str, PoolState]
    gate_ms: int


def permits_key(destination: str, shard: int) -> bytes:
    return join(destination, str(shard))


def decode_permits(raw: bytes | None, now_ms: int) -> PermitRecord:
    """Raises UnreadableError."""
    if raw is None:
        return PermitRecord()
    stored = decode_stored(raw, _Stored)
    for state in stored.limits.values():
        if state.open < 0 or any(units < 0 for _, units in state.ended):
            raise UnreadableError("no permits: it has negative units")
    if stored.gate_ms > now_ms + GATE_MS_MAX:
        raise UnreadableError("no permits: its gate opens later than any far side may ask for")
    return PermitRecord(stored.limits, stored.gate_ms)


def permits_left(permits: Table, key: bytes, partition: int, now_ms: int) -> PermitRecord | None:
    """The permits that the last owner of a shard left under a key; None when this version cannot read them."""
    try:
        return decode_permits(permits.get(key), now_ms)
    except UnreadableError as error:
        UNREADABLE.note(PERMITS, key, error, partition=partition)
        return None


class Permits:
    """The permits of one shard. Without a budget none are counted, but the shard's ownership is proved all the same."""

    def __init__(
        self,
        *,
        key: bytes,
        partition: int,
        limits: Limits,
        gate: RetryAfterGate,
        left: PermitRecord | None,
        committer: Committer,
        clock: Clock,
    ) -> None:
        """`left` None: the last owner's record cannot be read. Then all limits count as spent a moment ago, and the
        gate as closed for a while."""
        self.limits = limits
        self.gate = gate
        self._key = key
        self._partition = partition
        self._committer = committer
        self._clock = clock
        # Two writes at once could become durable in the other order, and the older one would hide a reservation.
        self._writing = asyncio.Lock()
        self._fresh_until_ms = 0
        if left is None:
            gate.close_until(clock.now_ms() + UNREADABLE_GATE_MS)
            limits.take_over_spent(clock.now_ms())
        else:
            gate.close_until(left.gate_ms)
            limits.take_over(left.limits, clock.now_ms())

    def available(self, kind: str) -> bool:
        """Whether a request of this kind may acquire its permits now, without a durable write."""
        return self.is_fresh(self._clock.now_ms()) and self.limits.has(kind)

    def is_fresh(self, now_ms: int) -> bool:
        """Whether a recent durable write proves that this worker still owns the shard."""
        return now_ms < self._fresh_until_ms

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
