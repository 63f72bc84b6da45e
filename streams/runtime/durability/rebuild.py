"""Rebuilds one partition of one table from its changelog. Pure: records in, table changed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from aiokafka import TopicPartition

from streams.runtime.metrics import Metrics
from streams.runtime.tables.partition_table import NO_OFFSET, PartitionTable
from topics.records.reading import MADE_BY, NOBODY, NUMBER_BITS, OWNER_KEY
from topics.records.unreadable import NOT_OURS, UNREADABLE

log = logging.getLogger(__name__)


class Rebuild:
    """One partition of one table while it is rebuilt.

    A worker that lost the partition without knowing may have written behind the new owner's claim, under an older
    epoch. In the log's order, nothing of an older epoch counts after a newer one. A record that no role of Sluice
    wrote, which its header shows, is older than all. Values are not read here: a role reads them when it needs them,
    and says then what a value means that it cannot read.
    """

    def __init__(self, table: PartitionTable, topic: str) -> None:
        self.table = table
        self.place = TopicPartition(topic, table.state.partition)
        self.epoch = 0
        """The newest epoch in the log so far."""
        self._late = 0

    def apply(self, records: Sequence[Any]) -> None:
        """Applies a chunk of changelog records, in the log's order."""
        newest, overwritten, put = self.epoch, self.table.overwritten, self.table.set
        learn = None if type(self.table).learn is PartitionTable.learn else self.table.learn
        made_by: object = None
        for record in records:
            key = record.key
            if record.headers != made_by:  # a batch of stock makes many records with the same headers
                made_by = record.headers
                epoch, offset = _made_by(record.headers)
                if learn is not None:
                    learn(offset, record)
            if epoch < newest:
                if epoch:
                    self._late += 1
                    overwritten.add(key)
                else:
                    self._set_apart(record, NOT_OURS, overwritten)
                continue
            newest = epoch
            if overwritten:
                overwritten.discard(key)
            if key is None:
                self._set_apart(record, "it has no key", overwritten)
            elif key != OWNER_KEY:
                put(key, record.value, offset)
        self.epoch = newest

    def _set_apart(self, record: Any, why: str, overwritten: set[bytes]) -> None:
        """Leaves out a record that no role of Sluice wrote. Its key is written again, as after a late write."""
        UNREADABLE.note(self.table.name, record.key, why, partition=self.place.partition, offset=record.offset)
        if record.key is not None:
            overwritten.add(record.key)

    def report(self, metrics: Metrics) -> None:
        if self._late:
            metrics.late.inc(self._late)
            log.warning(
                "%s/%d: %d records of a former owner came too late and do not count; %d keys are written again",
                *self.place,
                self._late,
                len(self.table.overwritten),
            )


def recovered_offsets(rebuilds: Sequence[Rebuild]) -> tuple[int, int]:
    """Horizon and last decided offset of a partition whose tables were rebuilt, the first table first.

    The first table's records become durable last and in order, so everything up to its newest was decided. Another
    table may name a later record, whose group was cut short: a role's own change with that offset would hide it.
    """
    if not rebuilds:
        return NO_OFFSET, NO_OFFSET
    newest = [rebuild.table.newest_origin() for rebuild in rebuilds]
    return max(newest), newest[0]


def _made_by(headers: Sequence[tuple[str, bytes | None]]) -> tuple[int, int]:
    # Does what topics.records.reading.made_by does in less time, for a million records: state has one such header.
    for name, content in headers:
        if name == MADE_BY:
            try:
                epoch, _, offset = content.partition(b"/")  # type: ignore[union-attr]
                found = int(epoch), int(offset)
            except (AttributeError, ValueError):
                return NOBODY
            return NOBODY if (found[0] | found[1] + 1) >> NUMBER_BITS else found
    return NOBODY
