"""The destinations that there are: Increff, the channels' marketplaces, and subscriptions."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice

from topics.configuration.channels import Channels
from topics.records.keys import INCREFF, channel_destination, subscription_destination, subscription_of
from topics.subscriptions.index import SubscriptionIndex

NAMED_MAX = 20
"""Known names that an error lists; `sluice subscriptions list` shows all of them."""


class DestinationNames:
    def __init__(self, channels: Channels, subscriptions: SubscriptionIndex) -> None:
        self._channels = channels.channels
        self._subscriptions = subscriptions

    def all(self) -> list[str]:
        subscriptions: Iterable[str] = self._subscriptions.all()
        return [
            INCREFF,
            *map(channel_destination, self._channels),
            *map(subscription_destination, subscriptions),
        ]

    def is_deleted(self, destination: str) -> bool:
        """Whether it is a subscription that was removed: its requests are counted as those that cannot be sent."""
        name = subscription_of(destination)
        return name is not None and self._subscriptions.is_deleted(name)

    def is_open(self, destination: str) -> bool:
        """Whether a destination takes requests: a far side always does, a subscription while it gets facts."""
        name = subscription_of(destination)
        return name is None or self._subscriptions.is_active(name)


def listed(names: Collection[str]) -> str:
    """The first of many names, for an error."""
    first = ", ".join(islice(names, NAMED_MAX))
    return f"{first} and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else first
