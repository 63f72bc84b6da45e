"""Several limits that hold at once: a request acquires permits of each, and leaves when all have some. Pure.

Each limit holds by its own proof, because each reserves before a request is sent and hears of its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from streams.delivery.admission.limiters.pool import PermitPool, PoolState
from streams.delivery.admission.limiters.token_bucket import TokenBucketPool
from streams.delivery.admission.limiters.windows import FixedWindowPool, SlidingWindowPool
from topics.configuration import budgets


@dataclass(frozen=True, slots=True)
class NamedPool:
    """A pool under the name by which its state is kept, and the cost of each kind of request."""

    name: str
    pool: PermitPool
    cost: int = 1
    costs: Mapping[str, int] = field(default_factory=dict)

    def cost_of(self, kind: str) -> int:
        return self.costs.get(kind, self.cost)


class Limits:
    """All limits of one shard of one destination; without any, nothing is limited. `kind`: the name of a touchpoint."""

    __slots__ = ("_limits",)

    def __init__(self, limits: Sequence[NamedPool] = ()) -> None:
        self._limits = tuple(limits)

    def take_over(self, left: Mapping[str, PoolState], now_ms: int) -> None:
        """Start from what another owner left.

        A new limit, or one with another window, begins with the fullest state of the others: if it began empty, it
        would allow a whole budget beside the one that was spent a moment ago.
        """
        known = max(left.values(), key=lambda held: held.units, default=PoolState([], 0))
        for limit in self._limits:
            limit.pool.take_over(left.get(limit.name, known), now_ms)

    def take_over_spent(self, now_ms: int) -> None:
        """Start as if all of each limit was in flight: what another owner left is not known."""
        for limit in self._limits:
            limit.pool.take_over(PoolState([], limit.pool.limit), now_ms)

    def has(self, kind: str) -> bool:
        """Whether the reserved permits are enough for a request of this kind."""
        return all(limit.pool.unused >= limit.cost_of(kind) for limit in self._limits)

    def plan(self, kind: str, now_ms: int) -> list[int] | None:
        """How much of each to reserve for a request of this kind; None when one of them is spent."""
        counts: list[int] = []
        for limit in self._limits:
            cost = limit.cost_of(kind)
            count = 0 if limit.pool.unused >= cost else limit.pool.plan_reserve(now_ms, cost)
            if limit.pool.unused + count < cost:
                return None
            counts.append(count)
        return counts

    def state(self, now_ms: int, reserving: Sequence[int] = ()) -> dict[str, PoolState]:
        """The state to write before the permits that are being reserved may be used."""
        counts = reserving or [0] * len(self._limits)
        return {
            limit.name: limit.pool.state(now_ms, reserving=count)
            for limit, count in zip(self._limits, counts, strict=True)
        }

    def add_reserved(self, counts: Sequence[int]) -> None:
        for limit, count in zip(self._limits, counts, strict=True):
            limit.pool.add_reserved(count)

    def acquire(self, kind: str) -> None:
        for limit in self._limits:
            limit.pool.acquire(limit.cost_of(kind))

    def return_unsent(self, kind: str) -> None:
        for limit in self._limits:
            limit.pool.return_unsent(limit.cost_of(kind))

    def request_ended(self, kind: str, now_ms: int, *, answered: bool) -> None:
        for limit in self._limits:
            limit.pool.request_ended(now_ms, limit.cost_of(kind), answered=answered)

    def count_elsewhere(self, kind: str) -> None:
        """Count a request that other limits admit: it leaves whether or not there is room for it here."""
        for limit in self._limits:
            cost = limit.cost_of(kind)
            limit.pool.add_reserved(max(0, cost - limit.pool.unused))
            limit.pool.acquire(cost)

    def give_back(self) -> None:
        for limit in self._limits:
            limit.pool.give_back()

    def free_at_ms(self, kind: str, now_ms: int) -> int | None:
        """When such a request may leave by time alone; None when a request in flight must end first."""
        latest = now_ms
        for limit in self._limits:
            if limit.pool.unused < limit.cost_of(kind):
                free_ms = limit.pool.free_at_ms(now_ms, limit.cost_of(kind))
                if free_ms is None:
                    return None
                latest = max(latest, free_ms)
        return latest

    def roomy_at_ms(self, share: float, now_ms: int) -> int | None:
        """When this share of each limit may be free by time alone; None when a request in flight must end first."""
        latest = now_ms
        for limit in self._limits:
            pool = limit.pool
            free_ms = pool.free_at_ms(now_ms, pool.unused + ceil(pool.limit * share))
            if free_ms is None:
                return None
            latest = max(latest, free_ms)
        return latest

    def used(self, now_ms: int) -> list[tuple[str, float]]:
        """The share of each limit that is not free."""
        return [(limit.name, limit.pool.held(now_ms) / limit.pool.limit) for limit in self._limits]


def limits_for(configured: tuple[budgets.Limit, ...], shards: int = 1, *, part: float = 1.0) -> Limits:
    """One shard's part of a destination's limits, or a part of that; at least one request, or nothing would ever leave.

    Parts are equal, because shards may live in different processes; a remainder is not spent.
    """
    return Limits([_limit(limit, part / shards) for limit in configured])


def _limit(limit: budgets.Limit, part: float) -> NamedPool:
    if isinstance(limit, budgets.Quota):
        limit = limit.as_window()
    # A little more, because in floating point a third of nine may be less than three.
    size = max(limit.least, int(limit.size * part + 1e-9))
    match limit:
        case budgets.TokenBucket():
            return NamedPool(limit.name, TokenBucketPool(size, limit.rate_per_s * part, step=limit.step))
        case budgets.CostBucket():
            bucket = TokenBucketPool(size, limit.restore_per_s * part)
            return NamedPool(limit.name, bucket, limit.cost, limit.costs)
        case budgets.FixedWindow():
            return NamedPool(limit.name, _fixed(limit, size))
        case budgets.Budget():
            return NamedPool(limit.name, SlidingWindowPool(size, round(limit.window_s * 1000)))
    raise TypeError(f"no limiter for {type(limit).__name__}")


def _fixed(limit: budgets.FixedWindow, size: int) -> PermitPool:
    window_ms = round(limit.window_s * 1000)
    if limit.aligned == "any":
        return SlidingWindowPool(size, window_ms)
    return FixedWindowPool(
        size, window_ms, offset_ms=round(limit.offset_s * 1000), error_ms=round(limit.clock_error_s * 1000)
    )
