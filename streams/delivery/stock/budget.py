"""A budget of stock calls beside the destination's own: a channel's in one shard, or a location's."""

from __future__ import annotations

from streams.delivery.admission.background_share import HEADROOM
from streams.delivery.admission.permits import Permits
from streams.delivery.clock import NEVER
from streams.delivery.ports import AttemptResult, Clock


class StockBudget:
    """`permits` None: there is no limit. `kind` of the methods is the call's touchpoint."""

    def __init__(self, permits: Permits | None, clock: Clock) -> None:
        self._permits = permits
        self._clock = clock

    def available(self, kind: str) -> bool:
        """Whether a permit may be taken now, without waiting for anything."""
        return self._permits is None or self._permits.available(kind)

    async def spent_until_ms(self, kind: str, *, idle_only: bool = False) -> float | None:
        """Until when the budget is spent; None: it has a permit, reserved durably. `idle_only`: of its idle share."""
        if self._permits is None:
            return None
        limits = self._permits.limits
        if idle_only:
            free_ms = limits.roomy_at_ms(HEADROOM, self._clock.now_ms())
            if free_ms is None or free_ms > self._clock.now_ms():
                return NEVER if free_ms is None else free_ms
        if self._permits.available(kind) or await self._permits.reserve(kind):
            return None
        free_ms = limits.free_at_ms(kind, self._clock.now_ms())
        return NEVER if free_ms is None else free_ms

    def acquire(self, kind: str) -> None:
        """Takes a permit; it was asked before whether there is one."""
        if self._permits is not None:
            self._permits.limits.acquire(kind)

    def release(self, kind: str, result: AttemptResult | None) -> None:
        """The call with the permit ended; None: it was not sent."""
        if self._permits is None:
            return
        if result is None:
            self._permits.limits.return_unsent(kind)
        else:
            self._permits.limits.request_ended(kind, self._clock.now_ms(), answered=result.status is not None)

    def proved(self, began_ms: int) -> None:
        """A commit that began then became durable: the partition was ours at that time."""
        if self._permits is not None:
            self._permits.proved(began_ms)

    async def return_reserved(self) -> None:
        """Nothing is sent any more: what was reserved and not used is free for the next owner."""
        if self._permits is not None:
            await self._permits.keep(give_back=True)
