"""How many requests may leave a destination in a second, by its budgets: for when a turn should come."""

from __future__ import annotations

from collections.abc import Iterator

from topics.configuration.budgets import Budget, CostBucket, FixedWindow, Limit, Quota, TokenBucket
from topics.configuration.channels import Channels
from topics.configuration.pace import Pace
from topics.records.keys import INCREFF, channel_destination


def rates_of(channels: Channels) -> dict[str, float]:
    """By destination, how many may leave one of its shards in a second in the long run; those without a budget are
    left out."""
    paces: dict[str, Pace] = {INCREFF: channels.increff}
    paces |= {channel_destination(name): one.marketplace for name, one in channels.channels.items()}
    return {name: min(rates) / pace.shards for name, pace in paces.items() if (rates := list(_rates(pace)))}


def _rates(pace: Pace) -> Iterator[float]:
    for limit in pace.limits:
        yield rate_of(limit)


def rate_of(limit: Limit) -> float:
    """How many requests, each of the usual cost, a limit lets through in a second."""
    if isinstance(limit, Quota):
        limit = limit.as_window()
    if isinstance(limit, Budget | FixedWindow):
        return limit.requests / limit.window_s
    if isinstance(limit, TokenBucket):
        return limit.rate_per_s
    if isinstance(limit, CostBucket):
        return limit.restore_per_s / limit.cost
    raise TypeError(f"a budget of another shape: {type(limit).__name__}")
