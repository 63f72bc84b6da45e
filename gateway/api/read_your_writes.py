"""What this gateway wrote of a subscription counts for its own next change, also before its view has read it."""

from __future__ import annotations

from gateway.ports import Position, Subscriptions
from topics.subscriptions.model import Deleted, Subscription


class Written:
    """The view of subscriptions, and over it what was written here and is not seen in it yet."""

    def __init__(self, view: Subscriptions) -> None:
        self._view = view
        self._ahead: dict[str, tuple[Position, Subscription | Deleted]] = {}

    def get(self, name: str) -> Subscription | None:
        """As it is, as far as this gateway can know; None: unknown or deleted."""
        if name in self._ahead:
            position, record = self._ahead[name]
            if not self._view.has_written(position.partition, position.offset):
                return record if isinstance(record, Subscription) else None
            self.seen(name)
        return self._view.get(name)

    def keep(self, position: Position, record: Subscription | Deleted) -> None:
        """The record is durable at this place."""
        self._ahead[record.id] = (position, record)

    def seen(self, name: str) -> None:
        """The view has what was written here, and whatever another gateway wrote before it."""
        self._ahead.pop(name, None)
