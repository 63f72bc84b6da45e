"""Destinations by name, and which of their shards live in a partition. Pure."""

from __future__ import annotations

from topics.configuration.channels import Channels, Destination
from topics.configuration.pace import Pace
from topics.contract.definition import WhenDead
from topics.records.keys import INCREFF, channel_destination, destination_partition, join, subscription_of
from topics.subscriptions.index import SubscriptionIndex
from topics.subscriptions.model import Subscription

_WHEN_DEAD = {"skip": WhenDead.SKIP, "block": WhenDead.HOLD, "supersede": WhenDead.SUPERSEDE}


def destinations(channels: Channels) -> dict[str, Destination]:
    """Every far side that is configured, by the name requests carry."""
    found: dict[str, Destination] = {INCREFF: channels.increff}
    for name, channel in channels.channels.items():
        found[channel_destination(name)] = channel.marketplace
    return found


class Destinations:
    """Every destination by the name requests carry: far sides as configured, subscriptions as they are now."""

    def __init__(self, channels: Channels, subscriptions: SubscriptionIndex) -> None:
        self.far_sides = destinations(channels)
        self._subscriptions = subscriptions

    def get(self, name: str) -> Pace | None:
        """None: not configured, or a subscription that is not known (yet, or any more)."""
        subscription = subscription_of(name)
        return self.far_sides.get(name) if subscription is None else self._subscriptions.get(subscription)

    def is_deleted(self, name: str) -> bool:
        """Nothing more is taken in for it. Any other subscription may be active by what whoever asked knows."""
        subscription = subscription_of(name)
        return subscription is not None and self._subscriptions.is_deleted(subscription)


def runs_alike(one: Pace, other: Pace) -> bool:
    """Whether a runner made for one may go on for the other."""
    names = [*Pace.model_fields, "when_dead"]
    return all(getattr(one, name, None) == getattr(other, name, None) for name in names)


def shards_in(partition: int, configured: dict[str, Destination], partitions: int) -> list[tuple[str, int]]:
    """The (destination, shard) pairs that live in a partition."""
    return [
        (name, shard)
        for name, destination in configured.items()
        for shard in range(destination.shards)
        if destination_partition(name, shard, partitions) == partition
    ]


def when_dead_of(config: Pace) -> WhenDead | None:
    """What a subscriber chose for what follows a fact that was given up; None: each touchpoint says it."""
    return _WHEN_DEAD[config.when_dead] if isinstance(config, Subscription) else None


def permits_key(destination: str, shard: int) -> bytes:
    return join(destination, str(shard))
