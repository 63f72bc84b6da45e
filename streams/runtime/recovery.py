"""Tables are rebuilt from their changelogs a chunk of records at a time, before the partition's first record.

Faust recovers one event per record, some 15,000 a second; read in chunks it is some 250,000.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.runtime.ledger import MADE_BY
from streams.runtime.limits import FETCH_BACKOFF_S, RECOVERY_RECORDS_MAX
from streams.runtime.metrics import Metrics
from streams.runtime.tables import NO_OFFSET, PartitionState, PartitionTable
from topics.catalogue import RECORD_BYTES_MAX
from topics.configuration import Settings

log = logging.getLogger(__name__)

_NEVER = (0, NO_OFFSET)
_POLL_MS = 1_000


class Recovery:
    """Reads changelogs with a consumer of its own, outside the group: it needs no offsets and disturbs nobody."""

    def __init__(
        self, settings: Settings, client_id: str, names: Sequence[str], metrics: Metrics, progress: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._client_id = client_id
        self._names = tuple(names)
        self._metrics = metrics
        self._progress = progress

    async def recover(self, partitions: Sequence[int], epoch: int) -> list[PartitionState]:
        """The state of each partition, exactly as its changelogs say."""
        states = {partition: PartitionState(partition, self._names) for partition in partitions}
        started = time.monotonic()
        rebuilds = {}
        for state in states.values():
            for table in state.all:
                topic = f"{self._settings.topic_prefix}.{table.name}.v1"
                rebuilds[TopicPartition(topic, state.partition)] = Rebuild(table)
        records = await self._read(rebuilds) if rebuilds else 0
        for state in states.values():
            mine = [rebuild for tp, rebuild in rebuilds.items() if tp.partition == state.partition]
            # Above every epoch in the log as well, so that it grows even when the group was made anew.
            state.epoch = max([epoch, *(rebuild.epoch + 1 for rebuild in mine)])
            state.horizon, state.last_decided = stand(mine)
        took = time.monotonic() - started
        self._metrics.recovery_seconds.set(took)
        log.info("recovered %d records of partitions %s in %.2f s", records, sorted(states), took)
        return list(states.values())

    async def _read(self, rebuilds: dict[TopicPartition, Rebuild]) -> int:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka,
            client_id=self._client_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=RECORD_BYTES_MAX,
        )
        count = 0
        await consumer.start()
        try:
            consumer._fetcher._prefetch_backoff = FETCH_BACKOFF_S  # see FETCH_BACKOFF_S
            ends = await consumer.end_offsets(list(rebuilds))
            begins = await consumer.beginning_offsets(list(rebuilds))
            reading = {tp for tp, end in ends.items() if end > begins[tp]}
            if not reading:
                return 0
            consumer.assign(reading)
            await consumer.seek_to_beginning(*reading)
            while reading:
                for tp, records in (
                    await consumer.getmany(*reading, timeout_ms=_POLL_MS, max_records=RECOVERY_RECORDS_MAX)
                ).items():
                    rebuilds[tp].apply(records)
                    count += len(records)
                    self._metrics.recovered.inc(len(records))
                self._progress()
                # By position and not by the last record seen: compaction leaves holes, perhaps at the very end.
                reading = {tp for tp in reading if await consumer.position(tp) < ends[tp]}
        finally:
            await consumer.stop()
        return count


class Rebuild:
    """One partition of one table while it is rebuilt.

    A worker that lost the partition without knowing may have written behind the new owner's records. It did so under
    an older epoch, so the newer (epoch, source offset) of a key wins, whatever their order in the log.
    """

    def __init__(self, table: PartitionTable) -> None:
        self._table = table
        self._made_by: dict[bytes, tuple[int, int]] = {}
        self.epoch = 0
        self.newest = NO_OFFSET

    def apply(self, records: Sequence[Any]) -> None:
        """Applies a chunk of changelog records, in the log's order."""
        table, known = self._table, self._made_by
        for record in records:
            made_by = _made_by(record.headers)
            key = record.key
            if made_by < known.get(key, _NEVER):
                continue
            known[key] = made_by
            epoch, offset = made_by
            self.epoch = max(self.epoch, epoch)
            self.newest = max(self.newest, offset)
            table.set(key, record.value, offset)


def stand(rebuilds: Sequence[Rebuild]) -> tuple[int, int]:
    """(horizon, last decided) of a partition whose tables were rebuilt, the first table first.

    The first table's records are durable last and in order, so everything up to its newest was decided. Another table
    may name a later record whose group was cut short: a change stamped with that one would hide it.
    """
    if not rebuilds:
        return NO_OFFSET, NO_OFFSET
    return max(rebuild.newest for rebuild in rebuilds), rebuilds[0].newest


def _made_by(headers: Sequence[tuple[str, bytes]]) -> tuple[int, int]:
    for name, content in headers:
        if name == MADE_BY:
            epoch, _, offset = content.partition(b"/")
            return int(epoch), int(offset)
    return _NEVER  # not written by this runtime: any of its own records is newer
