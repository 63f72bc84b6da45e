"""Standby: tables of partitions that other workers own are kept current here, for when one of these workers dies.

Taking over then means to read what was appended since the last look, and not the whole changelog. The rest is as for
any takeover: what a standby has counts for nothing until the partition is assigned to this worker, its changelogs are
read to their ends and claimed. A standby writes nothing, and decides nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.runtime.durability.changelog import ChangelogReader, Slices
from streams.runtime.durability.claim import Takeover
from streams.runtime.limits import (
    STANDBY_FETCH_BYTES,
    STANDBY_FORGET_S,
    STANDBY_KEY_BYTES,
    STANDBY_RECORDS_MAX,
    STANDBY_RETRY_S,
    STANDBY_SAID_S,
    STANDBY_WAIT_MS,
)
from streams.runtime.metrics import Metrics
from topics.configuration.settings import Settings
from topics.kafka import clients
from topics.kafka.time_outs import QUICK_S

log = logging.getLogger(__name__)


@dataclass
class Warm:
    """A partition's tables as far as their changelogs are read."""

    takeover: Takeover
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    """The next offset to read, of changelogs of which something was read."""

    def size(self) -> int:
        """Bytes of memory, roughly."""
        return sum(table.bytes + STANDBY_KEY_BYTES * table.count for table in self.takeover.state.all)

    def apply(self, place: TopicPartition, records: Sequence[Any]) -> bool:
        """Applies what comes next of a changelog. False when it is not what comes next: the log is another one."""
        if records[0].offset < self.positions.get(place, 0):
            return False
        for rebuild in self.takeover.rebuilds:
            if rebuild.place == place:
                rebuild.apply(records)
                self.positions[place] = records[-1].offset + 1
        return True


async def committed_offsets(settings: Settings, group: str, topic: str) -> dict[int, int]:
    """The offsets that a group has committed of a topic, by partition."""
    admin = clients.admin(settings, request_timeout_s=QUICK_S)
    try:
        await admin.start()
        found = await admin.list_consumer_group_offsets(group)
        return {place.partition: each.offset for place, each in found.items() if place.topic == topic}
    finally:
        await admin.close()


class Standby:
    """Follows the changelogs of the partitions given to `follow`, as long as their tables fit `bytes_max`."""

    def __init__(
        self,
        reader: ChangelogReader,
        fresh: Callable[[int], Takeover],
        committed: Callable[[], Awaitable[Mapping[int, int]]],
        bytes_max: int,
        metrics: Metrics,
    ) -> None:
        """`fresh`: makes the empty tables of a partition. `committed`: asks Kafka for the role's committed offsets, by
        partition. With `bytes_max` 0 nothing is followed."""
        self._reader = reader
        self._fresh = fresh
        self._committed = committed
        self._bytes_max = bytes_max
        self._metrics = metrics
        self._warm: dict[int, Warm] = {}
        self._changed = asyncio.Event()
        self._version = 0
        """Changes with `_warm`: what was fetched for another version may not be what comes next."""
        self._left_out: list[int] = []
        """Partitions beyond what may be kept, of which the log does not know yet: it gets one line for all."""
        self._said_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._bytes_max:
            self._task = asyncio.create_task(self._run(), name="standby")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._drop(tuple(self._warm))

    def follow(self, partitions: Collection[int]) -> None:
        """Follows these partitions, and no others."""
        if self._task is None or self._task.done():
            return
        self._drop(self._warm.keys() - set(partitions))
        for partition in sorted(set(partitions) - self._warm.keys()):
            self._warm[partition] = Warm(self._fresh(partition))
        self._set_changed()

    def take(self, partition: int) -> Warm | None:
        """Hands the tables of a partition over, if it is followed; it is followed no longer."""
        warm = self._warm.pop(partition, None)
        if warm is not None:
            self._set_changed()
        return warm

    def _drop(self, partitions: Collection[int]) -> None:
        for partition in tuple(partitions):
            self._warm.pop(partition).takeover.state.close()
        self._set_changed()

    def _set_changed(self) -> None:
        self._version += 1
        self._changed.set()
        self._metrics.standby_partitions.set(len(self._warm))

    async def _run(self) -> None:
        try:
            while True:
                try:
                    while not self._warm:
                        self._changed.clear()
                        await self._changed.wait()
                    with clients.cancelled_calls_fail():
                        await self._follow()
                except (KafkaError, OSError) as error:
                    log.warning("the standby cannot read changelogs, which is tried again: %r", error)
                    await asyncio.sleep(STANDBY_RETRY_S)
        except asyncio.CancelledError:
            raise
        except Exception:
            # A takeover reads the whole changelogs then, as without a standby.
            log.exception("the standby ends; this worker goes on without it")
            self._drop(tuple(self._warm))

    async def _follow(self) -> None:
        """Follows with one consumer until there is nothing to follow, or Kafka fails."""
        waits = {"fetch_min_bytes": STANDBY_FETCH_BYTES, "fetch_max_wait_ms": STANDBY_WAIT_MS}
        async with self._reader.consumer(**waits) as consumer:
            version, slices = -1, Slices(STANDBY_RECORDS_MAX)
            forget_at = time.monotonic() + STANDBY_FORGET_S
            while self._warm:
                if version != self._version:
                    version = self._version
                    self._assign(consumer)
                taken = await slices.take(consumer, ())
                if version == self._version:
                    self._apply(taken)
                if time.monotonic() > forget_at:
                    await self._forget_deleted()
                    forget_at = time.monotonic() + STANDBY_FORGET_S
                if time.monotonic() > self._said_at:
                    self._say_left_out()
                await asyncio.sleep(0)  # while there is unread data, nothing above gives way
        self._say_left_out()

    def _assign(self, consumer: AIOKafkaConsumer) -> None:
        """Has the consumer read where the tables are, or from the beginning."""
        positions = {
            rebuild.place: warm.positions.get(rebuild.place)
            for warm in self._warm.values()
            for rebuild in warm.takeover.rebuilds
        }
        consumer.assign(list(positions))
        for place, position in positions.items():
            if position is not None:
                consumer.seek(place, position)

    def _apply(self, taken: Mapping[TopicPartition, Sequence[Any]]) -> None:
        for place, records in taken.items():
            warm = self._warm.get(place.partition)
            if warm is not None and records and not warm.apply(place, records):
                log.warning("%s/%d is another log than before: its standby begins anew", *place)
                self._drop((place.partition,))
                self._warm[place.partition] = Warm(self._fresh(place.partition))
                self._set_changed()
                return
            self._metrics.standby_records.inc(len(records))
        if taken:
            self._keep_within_bounds()

    def _keep_within_bounds(self) -> None:
        """Leaves out partitions beyond what may be kept, until the next rebalance."""
        sizes = {partition: warm.size() for partition, warm in sorted(self._warm.items())}
        total = sum(sizes.values())
        while total > self._bytes_max and sizes:
            partition, size = sizes.popitem()
            total -= size
            self._drop((partition,))
            if not self._left_out:
                self._said_at = time.monotonic() + STANDBY_SAID_S
            self._left_out.append(partition)

    def _say_left_out(self) -> None:
        if self._left_out:
            log.warning(
                "the standby leaves out partitions %s, and keeps %s: all take more than %d bytes "
                "(SLUICE_STANDBY_BYTES_MAX); a takeover of those left out reads the whole changelog",
                sorted(self._left_out),
                sorted(self._warm),
                self._bytes_max,
            )
            self._left_out.clear()

    async def _forget_deleted(self) -> None:
        """Forgets deletions by records whose offsets are committed, as the owner does."""
        if not any(table.deleted for warm in self._warm.values() for table in warm.takeover.state.all):
            return
        for partition, offset in (await self._committed()).items():
            warm = self._warm.get(partition)
            for table in warm.takeover.state.all if warm is not None else ():
                table.forget_deleted(offset)
