"""Index of all subscriptions with their status and health, in memory of every process that needs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from topics.configuration.settings import Settings
from topics.kafka.compacted_view import KeptByViews, WholeView
from topics.records.keys import join, split
from topics.subscriptions.model import (
    Backlog,
    Deleted,
    Health,
    Status,
    Subscription,
    decode_subscription,
    locations_of,
)

FOUND_MAX = 4_096
"""Combinations of fact, channel and locations whose subscribers are remembered; a channel has some dozens."""
BACKLOG = "backlog"
"""Ends the key of a shard's backlog, beside that of its health."""

OnChange = Callable[[str], None]
"""Called with the id of a subscription that has changed."""


class SubscriptionIndex:
    """The records of `subscriptions` and `subscriptions.status`, by id. Without Kafka."""

    def __init__(self) -> None:
        self._all: dict[str, Subscription] = {}
        self._deleted: set[str] = set()
        self._statuses: dict[str, Status] = {}
        self._healths: dict[str, dict[int, Health]] = {}
        self._backlogs: dict[str, dict[int, Backlog]] = {}
        """Backlogs that are not empty."""
        self._active: tuple[Subscription, ...] | None = ()
        """None: to be computed again, because something changed."""
        self._found: dict[tuple[str, str, frozenset[str]], tuple[Subscription, ...]] = {}
        self.listeners: list[OnChange] = []
        self.unreadable: set[str] = set()
        """Ids of subscriptions whose record this version cannot read."""
        self._former: dict[str, Subscription] = {}
        """The last readable record of these, as far as this process read one."""

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Applies one record of `subscriptions`. Raises ValueError for one that this version cannot read.

        Its subscription is then unreadable. Nothing is sent by its former settings, because the record may end or
        move it; facts that fit these are requested all the same, and wait.
        """
        name = key.decode()
        if name in self._deleted:
            return  # another gateway did not know yet, and wrote it once more: ids are never used again
        failed: ValueError | None = None
        known: Subscription | Deleted | None = None
        try:
            known = decode_subscription(value) if value is not None else None
        except ValueError as error:
            failed = error
        former = self._all.pop(name, None) or self._former.pop(name, None)
        self.unreadable.discard(name)
        if failed is not None:
            self.unreadable.add(name)
            if former is not None:
                self._former[name] = former
        elif isinstance(known, Subscription):
            self._all[name] = known
        else:
            self._deleted.add(name)
            self._statuses.pop(name, None)
            self._healths.pop(name, None)
            self._backlogs.pop(name, None)
        self._changed(name)
        if failed is not None:
            raise failed

    def apply_status(self, key: bytes, value: bytes | None) -> None:
        """Applies one record of `subscriptions.status`. Raises ValueError for one that this version cannot read: what
        was known before goes on to count."""
        name, *shard = split(key)
        if name in self._deleted:
            return
        if shard[1:] == [BACKLOG]:
            self._note_backlog(name, int(shard[0]), Backlog.model_validate_json(value or b"{}"))
        elif shard:
            number, health = int(shard[0]), Health.model_validate_json(value or b"{}")
            self._healths.setdefault(name, {})[number] = health
        elif value is not None:
            self._statuses[name] = Status.model_validate_json(value)
            self._changed(name)

    def all(self) -> Mapping[str, Subscription]:
        """The subscriptions that were not deleted, by id."""
        return self._all

    def get(self, name: str) -> Subscription | None:
        return self._all.get(name)

    def is_deleted(self, name: str) -> bool:
        return name in self._deleted

    def disabled(self, name: str) -> Status | None:
        """The status with which delivery disabled the subscription's present revision; None: it did not."""
        return self._disabled(self._all.get(name))

    def _disabled(self, subscription: Subscription | None) -> Status | None:
        status = None if subscription is None else self._statuses.get(subscription.id)
        return status if subscription and status and status.revision == subscription.revision else None

    def _wants_facts(self, subscription: Subscription) -> bool:
        return subscription.active and self._disabled(subscription) is None

    def disabled_number(self) -> int:
        """How many subscriptions delivery has disabled."""
        return sum(self.disabled(name) is not None for name in self._statuses)

    def is_active(self, name: str) -> bool:
        """Whether it gets facts."""
        subscription = self._all.get(name)
        return subscription is not None and self._wants_facts(subscription)

    def health(self, name: str) -> Mapping[int, Health]:
        """Health by shard, of those that sent something."""
        return self._healths.get(name, {})

    def backlog(self, name: str) -> Mapping[int, Backlog]:
        """Backlog by shard, of those that do not keep up."""
        return self._backlogs.get(name, {})

    def with_backlog(self) -> list[tuple[str, int]]:
        """The shards that do not keep up, as last reported."""
        return [(name, shard) for name, shards in self._backlogs.items() for shard in shards]

    def _note_backlog(self, name: str, shard: int, backlog: Backlog) -> None:
        shards = self._backlogs.setdefault(name, {})
        shards.pop(shard, None)
        if not backlog.is_empty:
            shards[shard] = backlog
        elif not shards:
            del self._backlogs[name]

    def matching(self, name: str, fact: Mapping[str, Any]) -> tuple[Subscription, ...]:
        """The active subscriptions that want a fact, in the order of their ids. An unreadable one counts as it was
        before."""
        if self._active is None:
            active = {name: one for name, one in self._all.items() if self.is_active(name)}
            active |= {name: one for name, one in self._former.items() if self._wants_facts(one)}
            self._active = tuple(one for _, one in sorted(active.items()))
        if not self._active:
            return ()
        case = (name, fact["channel"], locations_of(fact))
        found = self._found.get(case)
        if found is None:
            if len(self._found) >= FOUND_MAX:
                self._found.clear()
            found = tuple(one for one in self._active if one.wants(*case))
            self._found[case] = found
        return found

    def has_written(self, partition: int, offset: int) -> bool:  # noqa: ARG002 - nothing is followed here
        """Whether the record of `subscriptions` at this offset was applied."""
        return True

    async def until_written(self, partition: int, offset: int) -> None:
        """Returns when it was."""

    def unready(self) -> str | None:
        return None

    def _changed(self, name: str) -> None:
        self._active = None
        self._found.clear()
        for listener in self.listeners:
            listener(name)


class SubscriptionView(KeptByViews, SubscriptionIndex):
    """The index, kept current by views of both topics."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._subscriptions = WholeView(settings, "subscriptions", self.apply, one_owner=False)
        status = WholeView(settings, "subscriptions.status", self.apply_status, one_owner=False)
        self._views = (self._subscriptions, status)

    def has_written(self, partition: int, offset: int) -> bool:
        return self._subscriptions.has_handled(partition, offset)

    async def until_written(self, partition: int, offset: int) -> None:
        await self._subscriptions.until_handled(partition, offset)


def health_key(subscription: str, shard: int) -> bytes:
    return join(subscription, str(shard))


def backlog_key(subscription: str, shard: int) -> bytes:
    return join(subscription, str(shard), BACKLOG)
