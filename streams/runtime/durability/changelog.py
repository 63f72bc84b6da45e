"""Reads changelog partitions with a consumer outside the group: it commits nothing and causes no rebalance."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import chain
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import FetchResult

from streams.runtime.invariants import violated
from streams.runtime.limits import RECOVERY_FETCH_BYTES, RECOVERY_RECORDS_MAX
from topics.configuration.settings import Settings
from topics.kafka import clients
from topics.kafka.fetched_records import ends_beside_transactions, leave_out_transactions, open_transaction

log = logging.getLogger(__name__)

_POLL_MS = 1_000

Apply = Callable[[TopicPartition, Sequence[Any]], None]


class Slices:
    """Takes fetched records in slices of about `records_max`, as nearly as whole batches allow."""

    def __init__(self, records_max: int) -> None:
        self._records_max = records_max
        self._batches_max = 1

    async def take(
        self, consumer: AIOKafkaConsumer, places: Collection[TopicPartition]
    ) -> dict[TopicPartition, list[Any]]:
        """The next records of each place that has some; none when nothing comes within _POLL_MS."""
        polled = await consumer.getmany(*places, timeout_ms=_POLL_MS, max_records=self._batches_max)
        found = {place: list(chain.from_iterable(batches)) for place, batches in polled.items()}
        count = sum(map(len, found.values()))
        if count:
            batches = sum(map(len, polled.values()))
            self._batches_max = max(1, self._records_max * batches // count)
        return found


class InBatches(OrderedDict[TopicPartition, Any]):
    """A fetcher's unread data, which is given batch by batch, with records as they were parsed.

    aiokafka makes of each record an object of eleven attributes, which takes a third of the time of rebuilding a table.
    The parsed record has those that are needed under the same names: offset, key, value, headers.
    """

    def __setitem__(self, place: TopicPartition, fetched: Any) -> None:
        if isinstance(fetched, FetchResult):
            fetched._partition_records.give_batches()
        super().__setitem__(place, fetched)


class ChangelogReader:
    """Makes one consumer for each call: calls are rare."""

    def __init__(self, settings: Settings, client_id: str) -> None:
        self._settings = settings
        self._client_id = client_id
        self._reached: dict[TopicPartition, int] = {}

    def reached(self, place: TopicPartition, end: int) -> None:
        """All offsets before `end` were given to records: the log must never end before it again."""
        self._reached[place] = max(end, self._reached.get(place, 0))

    async def ends(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset after the last record of each."""
        async with self.consumer() as consumer:
            return await self._ends(consumer, partitions)

    async def _ends(
        self, consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """Asked beside transactions: our own records count, whatever is open before them."""
        ends = await ends_beside_transactions(consumer, partitions)
        for place, end in ends.items():
            check_end(place, end, self._reached.get(place, 0))
            self.reached(place, end)
        return ends

    async def read(
        self,
        partitions: Collection[TopicPartition],
        apply: Apply,
        *,
        first: Mapping[TopicPartition, int] | None = None,
        end: Mapping[TopicPartition, int] | None = None,
    ) -> dict[TopicPartition, int]:
        """Gives `apply` the records from `first` (default: the beginning) up to `end` (default: what is there now).

        Records of aborted transactions are left out. Only Sluice writes its state, and never in a transaction; so a
        transaction that is open there holds nothing up: from its first record on, all that was written in transactions
        is left out. Returns the offset up to which each was read. Without an `end` that may be a little more than was
        there. One that ends before its `first` is returned with its end, and read no further.
        """
        async with self.consumer() as consumer:
            begins = {**await consumer.beginning_offsets(list(partitions)), **(first or {})}
            bounds = end or {}
            ends = {**await self._ends(consumer, [tp for tp in partitions if tp not in bounds]), **bounds}
            positions = {tp: min(begins[tp], ends[tp]) for tp in partitions}
            reading = {tp for tp in partitions if ends[tp] > begins[tp]}
            if not reading:
                return positions
            stable: dict[TopicPartition, int] = await consumer.end_offsets(list(reading))
            consumer.assign(reading)
            for tp in reading:
                consumer.seek(tp, begins[tp])

            def handle(tp: TopicPartition, records: Sequence[Any]) -> None:
                check_read(tp, records, positions[tp])
                apply(tp, records if tp not in bounds else [each for each in records if each.offset < bounds[tp]])

            await _read_up_to({tp: min(ends[tp], stable[tp]) for tp in reading}, consumer, handle, positions)
            open_at = {tp: stable[tp] for tp in reading if positions[tp] < ends[tp]}
            if open_at:
                for tp, offset in open_at.items():
                    log.warning("%s/%d: %s", *tp, open_transaction(offset))
                leave_out_transactions(consumer)
                await _read_up_to({tp: ends[tp] for tp in open_at}, consumer, handle, positions)
            return {**positions, **bounds}

    @asynccontextmanager
    async def consumer(self, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
        """A consumer whose records come in batches: for Slices. `options` are aiokafka's own."""
        consumer = clients.consumer(
            self._settings, self._client_id, prompt=True, fetch_max_bytes=RECOVERY_FETCH_BYTES, **options
        )
        await consumer.start()
        try:
            consumer._fetcher._records = InBatches()  # not in its public interface
            yield consumer
        finally:
            await consumer.stop()


async def _read_up_to(
    goals: Mapping[TopicPartition, int],
    consumer: AIOKafkaConsumer,
    handle: Apply,
    positions: dict[TopicPartition, int],
) -> None:
    """Reads until each partition's position is at its goal, and keeps `positions` current."""
    reading = {tp for tp, goal in goals.items() if positions[tp] < goal}
    slices = Slices(RECOVERY_RECORDS_MAX)
    while reading:
        for tp, records in (await slices.take(consumer, reading)).items():
            handle(tp, records)
        # By position, not by the last record seen: compaction leaves holes, perhaps at the very end.
        for tp in tuple(reading):
            positions[tp] = await consumer.position(tp)
            if positions[tp] >= goals[tp]:
                reading.discard(tp)
        await asyncio.sleep(0)  # while there is unread data, nothing above gives way


def check_end(place: TopicPartition, end: int, reached: int) -> None:
    """Pair check: what was acknowledged for a changelog is there when it is read again."""
    if end < reached:
        violated("changelog_keeps_its_end", f"{place.topic}/{place.partition} ends at {end}, and was at {reached}")


def check_read(place: TopicPartition, records: Sequence[Any], position: int) -> None:
    """Pair check: a changelog is read from where it was read before, and no offset has two records."""
    first, last = records[0].offset, records[-1].offset
    if first < position or last - first < len(records) - 1:
        violated(
            "changelog_is_read_once",
            f"{len(records)} records of {place.topic}/{place.partition} from {first} to {last}, read from {position}",
        )
