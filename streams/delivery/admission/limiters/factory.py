"""Limiters from what is configured. Pure."""

from __future__ import annotations

from streams.delivery.admission.limiters.fixed_window import FixedWindow
from streams.delivery.admission.limiters.limits import Limit, Limits
from streams.delivery.admission.limiters.pool import Pool
from streams.delivery.admission.limiters.sliding_window import SlidingWindow
from streams.delivery.admission.limiters.token_bucket import TokenBucket
from topics.configuration import budgets


def limits_for(configured: tuple[budgets.Limit, ...], shards: int = 1, *, part: float = 1.0) -> Limits:
    """One shard's part of a destination's limits, or a part of that: one call at least, or it would be none.

    Parts are equal, because shards may live in different processes; a remainder is not spent.
    """
    return Limits([_limit(limit, part / shards) for limit in configured])


def _limit(limit: budgets.Limit, part: float) -> Limit:
    if isinstance(limit, budgets.Quota):
        limit = limit.as_window()
    # A hair more, because a third of nine is a little less than three.
    size = max(limit.least, int(limit.size * part + 1e-9))
    match limit:
        case budgets.TokenBucket():
            return Limit(limit.name, TokenBucket(size, limit.rate_per_s * part, step=limit.step))
        case budgets.CostBucket():
            bucket = TokenBucket(size, limit.restore_per_s * part)
            return Limit(limit.name, bucket, limit.cost, limit.costs)
        case budgets.FixedWindow():
            return Limit(limit.name, _fixed(limit, size))
        case budgets.Budget():
            return Limit(limit.name, SlidingWindow(size, round(limit.window_s * 1000)))
    raise TypeError(f"no limiter for {type(limit).__name__}")


def _fixed(limit: budgets.FixedWindow, size: int) -> Pool:
    window_ms = round(limit.window_s * 1000)
    if limit.aligned == "any":
        return SlidingWindow(size, window_ms)
    return FixedWindow(
        size, window_ms, offset_ms=round(limit.offset_s * 1000), error_ms=round(limit.clock_error_s * 1000)
    )
