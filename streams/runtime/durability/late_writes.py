"""Late writes: records of another worker in a changelog of ours, found by the gap they leave between our own offsets.

A former owner's records behind our claim count nowhere (claim.py). But compaction keeps the last record of a key,
whoever wrote it; so those keys are written again, long before compaction may look at them
(catalogue.COMPACTION_LAG_MS). A newer owner's record in a gap means that this worker is the former owner.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams.runtime.durability.changelog import Apply, ChangelogReader
from streams.runtime.durability.publisher import Batches
from streams.runtime.invariants import violated
from streams.runtime.metrics import Metrics
from streams.runtime.tables.partition_table import NO_OFFSET, PartitionTable
from topics.records.reading import made_by
from topics.records.unreadable import NOT_OURS, UNREADABLE

log = logging.getLogger(__name__)

Logs = Mapping[TopicPartition, PartitionTable]


class FencedError(RuntimeError):
    """A newer owner has claimed a partition that this worker still writes."""


class Gaps:
    """Parts of changelogs before our own records, in which other workers wrote.

    Only the owner writes a changelog, and every acknowledgement has an offset, so a gap costs nothing to see.
    """

    def __init__(self, reader: ChangelogReader) -> None:
        self._reader = reader
        self.tables: dict[TopicPartition, PartitionTable] = {}
        self._first: dict[TopicPartition, int] = {}
        self._end: dict[TopicPartition, int] = {}

    def add(self, place: TopicPartition, table: PartitionTable, end: int | None) -> None:
        """From the table's log end to `end`; None: to the end of the log."""
        self.tables[place] = table
        self._first.setdefault(place, table.log_end)
        if end is None:
            self._end.pop(place, None)
        else:
            self._end[place] = end

    def acknowledged(self, table: PartitionTable, batches: Batches) -> None:
        """Looks for gaps before our own batches of a table, and moves its log end behind them."""
        place = TopicPartition(batches.topic, batches.partition)
        for offset, count in batches.acknowledged:
            if offset < 0:
                # Kafka has the batch and no longer knows where: what is there may be another worker's.
                self.add(place, table, None)
                continue
            if NO_OFFSET < table.log_end < offset:
                self.add(place, table, offset)
            elif offset < table.log_end:
                where = f"{place.topic}/{place.partition}"
                violated("changelog_offsets_grow", f"{where} took a batch at {offset} after {table.log_end - 1}")
            table.log_end = offset + count
            self._reader.reached(place, table.log_end)

    async def read(self, apply: Apply) -> None:
        """Gives `apply` the records in the gaps."""
        if not self.tables:
            return
        positions = await self._reader.read(self._first, apply, first=self._first, end=self._end)
        for place in self._first.keys() - self._end.keys():
            self.tables[place].log_end = positions[place]


class LateWrites:
    def __init__(self, reader: ChangelogReader, metrics: Metrics) -> None:
        self._reader = reader
        self._metrics = metrics

    async def check_written(self, written: Iterable[tuple[PartitionTable, Batches]]) -> list[PartitionTable]:
        """Looks into gaps after state was acknowledged. Returns the tables that have keys to write again.

        Raises FencedError when a newer owner wrote there.
        """
        gaps = Gaps(self._reader)
        for table, batches in written:
            gaps.acknowledged(table, batches)
        return await self._read(gaps)

    async def audit(self, logs: Logs) -> list[PartitionTable]:
        """Does the same for tables that are not being written: nothing of ours may be in flight."""
        try:
            ends = await self._reader.ends(logs)
            gaps = Gaps(self._reader)
            for place, table in logs.items():
                if NO_OFFSET < table.log_end < ends[place]:
                    gaps.add(place, table, ends[place])
            found = await self._read(gaps)
        except KafkaError as error:
            log.warning("could not look for late writes, which is tried again: %r", error)
            return []
        for place, table in gaps.tables.items():
            table.log_end = ends[place]
        return found

    async def _read(self, gaps: Gaps) -> list[PartitionTable]:
        def apply(place: TopicPartition, records: Sequence[Any]) -> None:
            self._judge(place, gaps.tables[place], records)

        await gaps.read(apply)
        return [table for table in gaps.tables.values() if table.overwritten]

    def _judge(self, place: TopicPartition, table: PartitionTable, records: Sequence[Any]) -> None:
        ours = table.state.epoch
        late = 0
        for record in records:
            epoch = made_by(record.headers).epoch
            if epoch > ours:
                raise FencedError(
                    f"epoch {epoch} has taken over {place.topic}/{place.partition} at offset {record.offset}, and this"
                    f" worker still wrote at epoch {ours}: what it wrote behind that counts nowhere"
                )
            if epoch == ours:
                continue
            if epoch:
                late += 1
            else:
                UNREADABLE.note(table.name, record.key, NOT_OURS, partition=place.partition, offset=record.offset)
            if record.key is not None:
                table.overwritten.add(record.key)
        if late:
            self._metrics.late.inc(late)
            log.warning(
                "%s/%d: %d records of a former owner came too late and do not count; their keys are written again",
                *place,
                late,
            )
