"""The destinations of one partition: loads their backlogs when the partition is assigned, and routes changes to them.

An assigned partition is walked once, in slices and in the order of keys: one destination after the other, the far sides
before the subscriptions. Each destination begins to send when the walk has passed it, and waits for no later backlog.
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from streams.delivery import metrics
from streams.delivery.dispatch.destination import DispatchDependencies, PartitionContext, PartitionDestination
from streams.delivery.dispatch.dispatcher import Dispatcher
from streams.delivery.outbox.intake import Accepted
from streams.delivery.outbox.records import OUTBOX, decode_entry
from streams.delivery.tasks import ROW
from streams.runtime.role import Change, Tables
from topics.records.keys import is_entry_key, join, names_of_entry_key, split
from topics.records.unreadable import UNREADABLE

log = logging.getLogger(__name__)


class DeliveryPartition:
    """`start_loading` begins, `on_revoked` ends at once, `drain` ends in order."""

    def __init__(
        self, partition: int, tables: Tables, shared: DispatchDependencies, far_sides: Iterable[tuple[str, int]]
    ) -> None:
        """`far_sides`: the configured destinations and shards that live here, with a backlog or without."""
        self._context = PartitionContext(shared=shared, partition=partition, tables=tables)
        self._destinations = self._context.destinations
        self._loading = True
        self._ahead: dict[str, PartitionDestination] = {}
        """Destinations that the walk has not reached."""
        for destination, shard in [*far_sides, *shared.factory.reported_backlogs(partition)]:
            self._get(destination).add_dispatcher(shard)

    @property
    def tables(self) -> Tables:
        return self._context.tables

    @property
    def is_loading(self) -> bool:
        """Whether some destinations do not send yet, because their backlog is not loaded."""
        return self._loading

    @property
    def dispatchers(self) -> Mapping[tuple[str, int], Dispatcher]:
        """The dispatchers that accept requests, by destination and shard."""
        return {
            (name, shard): dispatcher
            for name, destination in self._destinations.items()
            for shard, dispatcher in destination.dispatchers.items()
        }

    def start_loading(self) -> None:
        """Load the backlog of each destination, which then begins to send."""
        self._context.run_sliced(self._load())

    def on_outbox_changed(self, changes: Iterable[Change], accepted: Accepted) -> None:
        """`accepted`: entries of these changes that need not be decoded."""
        for change in changes:
            known = accepted.get(change.key)
            # By its identity: a record that was set aside after all leaves an entry whose value was never put.
            if known is not None and known[0] is change.value:
                entry = known[1]
                self._get(entry.request.destination).on_entry(entry)
            elif not is_entry_key(change.key):
                continue
            elif change.value is not None:
                entry = decode_entry(change.value)
                self._get(entry.request.destination).on_entry(entry)
            else:
                destination = self._get(_destination_of(change.key))
                destination.on_entry_removed(*names_of_entry_key(change.key))

    def on_subscription_changed(self, name: str) -> None:
        destination = self._destinations.get(name)
        if destination is not None:  # without one nothing waits, and nothing is sent
            destination.on_subscription_changed()

    def is_idle(self, lane: str) -> bool:
        """Whether no request of the lane is being sent."""
        destination = self._destinations.get(_destination_of(lane.encode()))
        return destination is None or destination.is_idle(lane)

    def on_revoked(self) -> None:
        """End everything at once."""
        self._context.closed = True
        for destination in self._destinations.values():
            destination.cancel(destination.all_dispatchers)
        metrics.UNKNOWN_DESTINATION.remove(str(self._context.partition))

    def drain(self, until_ms: int) -> list[Coroutine[Any, Any, None]]:
        """The process shuts down: begin nothing more, and let requests in flight end until `until_ms`."""
        self._context.closed = True
        return [
            dispatcher.drain(until_ms)
            for destination in self._destinations.values()
            for dispatcher in destination.all_dispatchers
        ]

    def _get(self, name: str) -> PartitionDestination:
        destination = self._destinations.get(name)
        if destination is None:
            destination = self._destinations[name] = PartitionDestination(name, self._context)
            if self._loading:
                destination.defer_all()
                self._ahead[name] = destination
        return destination

    def _load(self) -> Iterator[int]:
        loaded = 0
        for prefix, rows in groupby(self.tables[OUTBOX].walk(), key=lambda row: row[0].partition(b"|")[0]):
            name = _read_destination(prefix)
            if name is None:
                yield from self._pass_over(rows)
                continue
            destination = self._get(name)
            yield from self._load_empty(before=destination.prefix)
            del self._ahead[name]
            loaded += yield from destination.load(rows)
        while self._ahead:  # also those that were created meanwhile
            yield from self._load_empty(before=None)
        self._loading = False
        context = self._context
        log.info(
            "delivery.recovered partition=%d requests=%d unknown=%d", context.partition, loaded, context.unroutable
        )

    def _pass_over(self, rows: Iterable[tuple[bytes, bytes]]) -> Iterator[int]:
        for key, _ in rows:
            UNREADABLE.note(OUTBOX, key, "its key names no destination", partition=self._context.partition)
            yield ROW

    def _load_empty(self, *, before: bytes | None) -> Iterator[int]:
        """Load the destinations before a prefix, or all: the walk found no rows of them."""
        for destination in [one for one in self._ahead.values() if before is None or one.prefix < before]:
            del self._ahead[destination.destination]
            yield from destination.load(iter(()))


def _destination_of(key: bytes) -> str:
    return split(key)[0]


def _read_destination(prefix: bytes) -> str | None:
    """The destination whose keys begin so; None when no destination's do."""
    try:
        name = _destination_of(prefix)
    except UnicodeDecodeError:
        return None
    return name if name and join(name) == prefix else None
