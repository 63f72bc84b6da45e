"""The durable side of a shard's budget and gate: what deliveries.permits holds is written before it is used."""

from __future__ import annotations

import asyncio

from streams.delivery.budget import PermitRecord, SlidingWindow
from streams.delivery.gate import Gate
from streams.delivery.ports import Clock
from streams.runtime.role import Change, Committer

TABLE = "deliveries.permits"

FRESH_MS = 4_000
"""How long after a durable write requests may leave, with a budget or without. A worker that was stopped or cut off may
not know that another took over, counted its permits as used and sent what was newer; it must write
once more first, and that write fails. Every outcome that became durable counts as well, so under traffic this costs no
write of its own. Shorter than the time after which Kafka gives a silent worker's partitions to another."""


class Permits:
    """One shard's permits. Without a budget they are not counted; that the shard is ours is proved all the same."""

    def __init__(
        self,
        *,
        key: bytes,
        partition: int,
        window: SlidingWindow | None,
        gate: Gate,
        left: PermitRecord,
        committer: Committer,
        clock: Clock,
    ) -> None:
        self.window = window
        self.gate = gate
        self._key = key
        self._partition = partition
        self._committer = committer
        self._clock = clock
        # Two writes in the air at once could become durable in the other order, and the older one hides a reservation.
        self._writing = asyncio.Lock()
        self._fresh_until_ms = 0
        gate.close_until(left.gate_ms)
        if window is not None:
            window.take_over(left, clock.now_ms())

    @property
    def available(self) -> bool:
        """Whether a request may take a permit now, without waiting for anything."""
        return self.is_fresh and (self.window is None or self.window.unused > 0)

    @property
    def is_fresh(self) -> bool:
        """Whether something durable proved lately that this worker still owns the shard."""
        return self._clock.now_ms() < self._fresh_until_ms

    def proved(self, began_ms: int) -> None:
        """A commit that began at `began_ms` became durable: the partition was ours at that time."""
        self._fresh_until_ms = max(self._fresh_until_ms, began_ms + FRESH_MS)

    def take(self) -> None:
        if self.window is not None:
            self.window.take()

    def untake(self) -> None:
        if self.window is not None:
            self.window.untake()

    def ended(self) -> None:
        if self.window is not None:
            self.window.ended(self._clock.now_ms())

    async def reserve(self) -> bool:
        """Reserve a block durably, or confirm what is left of the last one; False when the budget is spent."""
        window = self.window
        async with self._writing:
            now_ms = self._clock.now_ms()
            if window is None:
                await self._write(PermitRecord([], 0, self.gate.opens_ms))
            else:
                count = 0 if window.unused else window.plan_reserve(now_ms)
                if count + window.unused < 1:
                    return False
                await self._write(window.record(now_ms, reserving=count, gate_ms=self.gate.opens_ms))
                window.reserved(count)
            self.proved(now_ms)
            return True

    async def keep(self, *, give_back: bool = False) -> None:
        """Make the gate durable; with `give_back` also that what was reserved is not going to be used."""
        async with self._writing:
            now_ms = self._clock.now_ms()
            if self.window is None:
                record = PermitRecord([], 0, self.gate.opens_ms)
            else:
                if give_back:
                    self.window.give_back()
                record = self.window.record(now_ms, gate_ms=self.gate.opens_ms)
            await self._write(record)

    def free_at_ms(self, now_ms: int) -> int | None:
        return None if self.window is None else self.window.free_at_ms(now_ms)

    def held(self, now_ms: int) -> int:
        return 0 if self.window is None else self.window.held(now_ms)

    async def _write(self, record: PermitRecord) -> None:
        await self._committer.commit(self._partition, (), (Change(TABLE, self._key, record.encode()),))
