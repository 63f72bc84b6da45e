"""What waits in one partition, each destination's with its owner (owner.py).

A partition that comes is walked once, in slices and in the order of keys: so one destination after the other, the far
sides before the subscriptions. Each begins to send when the walk is past it, and waits for nobody's backlog behind.
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from streams.delivery import metrics
from streams.delivery.dispatch.destination import DispatchDependencies, PartitionDestination, PartitionState
from streams.delivery.dispatch.dispatcher import Dispatcher
from streams.delivery.outbox.intake import Taken
from streams.delivery.outbox.records import OUTBOX, decode_entry, is_entry_key, names_of_entry_key
from streams.runtime.role import Change, Tables
from topics.records.keys import split

log = logging.getLogger(__name__)


class DeliveryPartition:
    """`arrive` begins, `drop` ends at once, `drain` ends in order."""

    def __init__(
        self, partition: int, tables: Tables, shared: DispatchDependencies, far_sides: Iterable[tuple[str, int]]
    ) -> None:
        """`far_sides`: those destinations and shards that live here whether something waits or not."""
        self._here = PartitionState(shared=shared, partition=partition, tables=tables)
        self._owners = self._here.owners
        self._arriving = True
        self._ahead: dict[str, PartitionDestination] = {}
        """Those that the walk has not come to."""
        for destination, shard in [*far_sides, *shared.runners.told_of_backlog(partition)]:
            self._of(destination).make(shard)

    @property
    def tables(self) -> Tables:
        return self._here.tables

    @property
    def is_arriving(self) -> bool:
        """Whether some do not send yet, because they have not been given everything."""
        return self._arriving

    @property
    def runners(self) -> Mapping[tuple[str, int], Dispatcher]:
        """By destination and shard, those that take requests."""
        return {
            (destination, shard): runner
            for destination, owner in self._owners.items()
            for shard, runner in owner.runners.items()
        }

    def arrive(self) -> None:
        """Give what waits to its owners, which begin."""
        self._here.give(self._arrive())

    def changed(self, changes: Iterable[Change], taken: Taken) -> None:
        """The outbox has changed. `taken`: entries of these changes that need not be decoded."""
        for change in changes:
            if not is_entry_key(change.key):
                continue
            if change.value is not None:
                value, entry = taken.get(change.key, (b"", None))
                # By its identity: a record that was set aside after all leaves an entry whose value was never put.
                known = entry if entry is not None and value is change.value else decode_entry(change.value)
                self._of(known.request.destination).take(known)
            else:
                owner = self._of(_destination_of(change.key))
                owner.remove(*names_of_entry_key(change.key))

    def subscription_changed(self, destination: str) -> None:
        owner = self._owners.get(destination)
        if owner is not None:  # without one nothing waits, and nothing runs
            owner.adjust()

    def is_idle(self, lane: str) -> bool:
        """Whether nothing of the lane is being sent."""
        owner = self._owners.get(_destination_of(lane.encode()))
        return owner is None or owner.is_idle(lane)

    def drop(self) -> None:
        """The partition is lost."""
        self._here.over = True
        for owner in self._owners.values():
            owner.drop(owner.all_runners)
        metrics.UNKNOWN_DESTINATION.remove(str(self._here.partition))

    def drain(self, until_ms: int) -> list[Coroutine[Any, Any, None]]:
        """The process ends: nothing more is begun, and what is in the air ends until `until_ms`."""
        self._here.over = True
        return [runner.drain(until_ms) for owner in self._owners.values() for runner in owner.all_runners]

    def _of(self, destination: str) -> PartitionDestination:
        owner = self._owners.get(destination)
        if owner is None:
            owner = self._owners[destination] = PartitionDestination(destination, self._here)
            if self._arriving:
                owner.hold()
                self._ahead[destination] = owner
        return owner

    def _arrive(self) -> Iterator[int]:
        given = 0
        for name, rows in groupby(self.tables[OUTBOX].walk(), key=lambda row: row[0].partition(b"|")[0]):
            destination = _destination_of(name)
            owner = self._of(destination)
            yield from self._fill_ahead(owner.prefix)
            del self._ahead[destination]
            given += yield from owner.fill(rows)
        while self._ahead:  # what comes for a new one meanwhile is there, too
            yield from self._fill_ahead(None)
        self._arriving = False
        here = self._here
        log.info("delivery.recovered partition=%d requests=%d unknown=%d", here.partition, given, here.strangers)

    def _fill_ahead(self, prefix: bytes | None) -> Iterator[int]:
        """Those before `prefix`, or all: the walk found nothing of them."""
        for owner in [owner for owner in self._ahead.values() if prefix is None or owner.prefix < prefix]:
            del self._ahead[owner.destination]
            yield from owner.fill(iter(()))


def _destination_of(key: bytes) -> str:
    return split(key)[0]
