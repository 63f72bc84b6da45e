"""Destinations by name, and their shards that live in a partition. Pure."""

from __future__ import annotations

from topics.configuration.channels import Channels, Destination
from topics.configuration.pace import Pace
from topics.contract.definition import WhenDead
from topics.contract.taken_before import TakenForms
from topics.records.keys import INCREFF, channel_destination, destination_partition, subscription_of
from topics.subscriptions.index import SubscriptionIndex
from topics.subscriptions.model import Subscription

_WHEN_DEAD = {"skip": WhenDead.SKIP, "block": WhenDead.HOLD, "supersede": WhenDead.SUPERSEDE}


def destinations(channels: Channels) -> dict[str, Destination]:
    """Every configured far side, by the name in requests."""
    found: dict[str, Destination] = {INCREFF: channels.increff}
    for name, channel in channels.channels.items():
        found[channel_destination(name)] = channel.marketplace
    return found


class Destinations:
    """Every destination by the name in requests: far sides as configured, subscriptions as they are now."""

    def __init__(self, channels: Channels, subscriptions: SubscriptionIndex) -> None:
        self.far_sides = destinations(channels)
        self._subscriptions = subscriptions

    def get(self, name: str) -> Pace | None:
        """None: not configured, or an unknown subscription (not yet, or no longer known)."""
        subscription = subscription_of(name)
        return self.far_sides.get(name) if subscription is None else self._subscriptions.get(subscription)

    def is_deleted(self, name: str) -> bool:
        """Whether its requests are dropped. An unknown subscription may be active: its requester may know more."""
        subscription = subscription_of(name)
        return subscription is not None and self._subscriptions.is_deleted(subscription)


def runs_alike(one: Pace, other: Pace) -> bool:
    """Whether a dispatcher with the one's settings may go on with the other's."""
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


def taken_forms_of(config: Pace) -> TakenForms | None:
    """The answers by which a far side tells of an earlier success; None: a subscriber, which gets each fact anew."""
    return TakenForms(config.taken_before) if isinstance(config, Destination) else None


def when_dead_of(config: Pace) -> WhenDead | None:
    """A subscriber's choice for the facts behind one that was given up; None: as each touchpoint says."""
    return _WHEN_DEAD[config.when_dead] if isinstance(config, Subscription) else None
