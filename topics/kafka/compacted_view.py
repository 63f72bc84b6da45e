"""Views: follow a compacted topic from its beginning, without a group, for the last record of each key.

The gateway follows all positions (Search Inventory), delivery those of its own partitions. A view keeps no records: it
calls back, and its owner keeps what it needs. After a loss of Kafka it continues where it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from topics.configuration.settings import Settings
from topics.kafka import clients
from topics.kafka.catalogue import BY_NAME, RECORD_BYTES_MAX
from topics.kafka.fetched_records import ends_beside_transactions, leave_out_transactions, open_transaction
from topics.records.reading import OWNER_KEY, Epochs, made_by
from topics.records.unreadable import NOT_OURS, UNREADABLE

logger = logging.getLogger(__name__)

OnRecord = Callable[[int, bytes, bytes | None], None]
OnPartitionDropped = Callable[[int], None]

CLIENT_ID = "sluice-view"
CHUNK_RECORDS_MAX = 250
"""Records handled before the event loop gets a turn: a few milliseconds, also where a changed position is queued. A
call in the same process takes some dozen turns, and each waits for such a chunk while records come."""
FETCH_BYTES_MAX = 4 * RECORD_BYTES_MAX
"""Fetched and not yet handled, at most: several of the largest records."""
POLL_MS = 200
"""How long a change of partitions may wait for an idle fetch."""
RETRY_S = 0.5
"""Between attempts to reach Kafka; short, because readiness waits for it."""
HELD_UP_S = 2.0
"""How long a view waits for the end of an open transaction: a producer that restores the topic ends its own sooner."""
METADATA_TIMEOUT_S = 5.0
"""How long Kafka may take to list a topic's partitions before the connection is made anew."""


class CompactedView:
    """Follows the partitions given by `set_partitions`; none before that.

    `on_record(partition, key, value)`: value None means that the key is gone. `on_partition_dropped(partition)`:
    everything that came from it must be forgotten; it may come again later, from its beginning. Both are called in the
    event loop and must not block.

    An exception of `on_record` means that this record cannot be read: it is counted and named
    (topics.records.unreadable), and the view goes on with the next. So `on_record` reads first and changes its copy
    after that. What it does beyond its copy must not raise: a failure there ends the process in another way.

    A worker that lost a partition without knowing may still write a little behind its new owner, under an older epoch.
    Such records are not called back: in the log's order, nothing of an older epoch counts after the claim of a new
    owner. The owner goes by the same rule, and writes overwritten keys again.

    Only Sluice writes the topics that are followed, and never in a transaction. Another's that is open there holds a
    view up for HELD_UP_S; from then on nothing that is written in transactions is read.
    """

    def __init__(
        self,
        settings: Settings,
        topic_full_name: str,
        on_record: OnRecord,
        on_partition_dropped: OnPartitionDropped,
        *,
        one_owner: bool = True,
    ) -> None:
        """`one_owner` False: a partition's records come from owners of several partitions, whose epochs cannot be
        compared; then the last record of a key counts."""
        self._one_owner = one_owner
        self._settings = settings
        self._topic = topic_full_name
        self._name = topic_full_name.removeprefix(f"{settings.topic_prefix}.").removesuffix(".v1")
        self._on_record = on_record
        self._on_partition_dropped = on_partition_dropped
        self._wanted: frozenset[int] | None = frozenset()
        self._followed: frozenset[int] = frozenset()
        self._next: dict[int, int] = {}
        self._goal: dict[int, int] = {}
        self._behind: set[int] = set()
        self._polled: dict[int, int] = {}
        self._current: dict[int, int] = {}
        self._epochs = Epochs()
        self._unreadable: dict[bytes, int] = {}
        """Keys whose last record cannot be read, as far as they are remembered, with their partitions."""
        self._held: dict[int, tuple[int, float]] = {}
        """By partition, the offset at which an open transaction holds the view up, and since when."""
        self._generation = 0
        self._applied = 0
        self._changed = asyncio.Event()
        self._progress = asyncio.Event()
        self._trouble: str | None = "not started"
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns at once, also while Kafka is away. Raises RuntimeError when it was started before."""
        if self._task is not None:
            raise RuntimeError("a view is started once")
        self._trouble = "starting"
        self._task = asyncio.create_task(self._run(), name=f"view of {self._topic}")

    async def set_partitions(self, partitions: Iterable[int] | None) -> None:
        """Follows exactly these from now on; None: all of the topic. Others are dropped before it returns."""
        self._wanted = None if partitions is None else frozenset(partitions)
        if self._wanted is not None:
            self._drop(self._followed - self._wanted)
        self._generation += 1
        self._changed.set()

    def caught_up(self, partition: int) -> bool:
        """Whether every record that the partition had when following began has been called back."""
        return partition in self._goal and partition not in self._behind

    def unready(self) -> str | None:
        """None when all wanted partitions are caught up, else the reason why not, for /ready."""
        if self._task is not None and self._task.done():
            return f"the view of {self._topic} ended"
        if self._trouble is not None:
            return f"{self._topic}: {self._trouble}"
        if self._applied != self._generation:
            return f"{self._topic}: partitions are being assigned"
        lacking = sorted(partition for partition in self._followed if not self.caught_up(partition))
        return f"{self._topic}: reading partitions {lacking}" if lacking else None

    def current_ms(self) -> int | None:
        """The time (epoch ms) up to which all records have been called back; None: the view still reads its backlog, or
        follows no partition. While Kafka is away the time stands still."""
        times = [self._current.get(partition) for partition in self._followed]
        known = [time_ms for time_ms in times if time_ms is not None]
        return min(known) if known and len(known) == len(times) else None

    async def until_ready(self) -> None:
        """Returns when all wanted partitions are caught up. Raises the error of a callback."""
        while self.unready() is not None:
            await self._next_progress()

    def has_handled(self, partition: int, offset: int) -> bool:
        """Whether the record at `offset` has been called back or skipped."""
        return self._next.get(partition, 0) > offset

    async def until_handled(self, partition: int, offset: int) -> None:
        """Returns when `has_handled` is true. Raises the error of a callback."""
        while not self.has_handled(partition, offset):
            await self._next_progress()

    async def _next_progress(self) -> None:
        if self._task is None:
            raise RuntimeError("the view is not started")
        progress = asyncio.ensure_future(self._progress.wait())
        try:
            await asyncio.wait([progress, self._task], return_when=asyncio.FIRST_COMPLETED)
        finally:
            progress.cancel()
        if self._task.done():
            self._task.result()
            raise RuntimeError(f"the view of {self._topic} ended")

    async def wait(self) -> None:
        """Returns when the view was stopped. Raises the error of a callback."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def stop(self) -> None:
        """Ends the callbacks. Raises the error of a callback, if one failed."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        self._trouble = "stopped"
        if not self._task.cancelled():
            self._task.result()

    async def _run(self) -> None:
        while True:
            try:
                with clients.cancelled_calls_fail():
                    await self._follow()
            except (KafkaError, OSError) as error:
                self._trouble = f"Kafka cannot be read: {type(error).__name__} {error}".rstrip()
                logger.warning("view interrupted topic=%s error=%r", self._topic, error)
                await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        """Reads with one consumer until Kafka fails."""
        consumer = self._consumer()
        try:
            await consumer.start()
            generation = -1
            while True:
                if generation != self._generation:
                    generation = self._generation
                    self._changed.clear()
                    if not await self._assign(consumer):
                        await self._changed.wait()
                    continue  # it may have changed again meanwhile
                chunks = await consumer.getmany(timeout_ms=POLL_MS, max_records=CHUNK_RECORDS_MAX)
                # Records fetched for an earlier assignment are dropped; the new one starts where handling stopped.
                if generation == self._generation:
                    self._handle(chunks)
                    await self._notice_ends(consumer)
                    await self._notice_current(consumer)
                await asyncio.sleep(0)  # buffered records come without a pause, and others need the event loop
        finally:
            await clients.close(consumer)

    async def _assign(self, consumer: AIOKafkaConsumer) -> bool:
        """Assigns the wanted partitions: known ones where handling stopped, new ones at their beginning.
        Returns whether there are any."""
        generation = self._generation
        wanted = await self._all_partitions(consumer) if self._wanted is None else self._wanted
        if not wanted:
            consumer.unsubscribe()
        else:
            assignment = [TopicPartition(self._topic, partition) for partition in sorted(wanted)]
            new = [tp for tp in assignment if tp.partition not in self._next]
            async with asyncio.timeout(METADATA_TIMEOUT_S):
                begins = await consumer.beginning_offsets(new) if new else {}
                ends = await ends_beside_transactions(consumer, new) if new else {}
            consumer.assign(assignment)
            if generation != self._generation:
                return True  # changed meanwhile: the caller calls again
            for tp in new:
                self._next[tp.partition] = begins[tp]
                self._goal[tp.partition] = ends[tp]
                self._behind.add(tp.partition)
            for tp in assignment:
                consumer.seek(tp, self._next[tp.partition])
        self._followed = frozenset(wanted)
        self._applied = generation
        self._trouble = None
        self._progressed()
        return bool(wanted)

    async def _all_partitions(self, consumer: AIOKafkaConsumer) -> frozenset[int]:
        # The client asks Kafka only about topics it uses, so partition 0 is assigned until the others are known.
        consumer.assign([TopicPartition(self._topic, 0)])
        async with asyncio.timeout(METADATA_TIMEOUT_S):
            while not (partitions := consumer.partitions_for_topic(self._topic)):
                self._trouble = "the topic does not exist, or Kafka does not answer"
                await asyncio.sleep(POLL_MS / 1000)
        return frozenset(partitions)

    def _handle(self, chunks: dict[TopicPartition, list[Any]]) -> None:
        on_record, one_owner, unreadable = self._on_record, self._one_owner, self._unreadable
        for tp, records in chunks.items():
            partition, headers, stale, epoch = tp.partition, None, False, 0
            for record in records:
                key = record.key
                try:
                    # Records made from one source record have the same headers, and stand together.
                    if one_owner and record.headers != headers:
                        headers = record.headers
                        epoch = made_by(headers).epoch
                        stale = self._epochs.is_stale(partition, epoch)
                    if stale:
                        if not epoch:
                            self._note(partition, record, NOT_OURS)
                    elif key is not None and key != OWNER_KEY:
                        on_record(partition, key, record.value)
                        if unreadable and key in unreadable:
                            self._readable(key)
                except Exception as error:  # noqa: BLE001 - whatever bytes it holds, the records behind it are read
                    if record.value is None:
                        self._readable(record.key)  # the deletion of a record that could not be read
                    else:
                        self._note(partition, record, error)
            self._next[partition] = records[-1].offset + 1
        self._progressed()

    def _note(self, partition: int, record: Any, why: Exception | str) -> None:
        UNREADABLE.note(self._name, record.key, why, partition=partition, offset=record.offset)
        if record.key is not None and UNREADABLE.is_noted(self._name, record.key):
            self._unreadable[record.key] = partition

    def _readable(self, key: bytes) -> None:
        if self._unreadable.pop(key, None) is not None:
            UNREADABLE.read_again(self._name, key)

    async def _notice_ends(self, consumer: AIOKafkaConsumer) -> None:
        """Finds partitions that are caught up, by the consumer's position: a log may end in offsets without records."""
        for partition in tuple(self._behind):
            try:
                async with asyncio.timeout(POLL_MS / 1000):
                    position = await consumer.position(TopicPartition(self._topic, partition))
            except TimeoutError:
                continue  # no position while Kafka is away; the next round asks again
            if partition in self._behind and position >= self._goal[partition]:
                self._behind.discard(partition)
                self._progressed()

    async def _notice_current(self, consumer: AIOKafkaConsumer) -> None:
        """Notes when Kafka last answered of partitions whose records are all handled."""
        for partition in self._followed:
            place = TopicPartition(self._topic, partition)
            if consumer.last_poll_timestamp(place) == self._polled.get(partition):
                continue
            try:
                async with asyncio.timeout(POLL_MS / 1000):
                    position = await consumer.position(place)
            except TimeoutError:
                continue  # as above
            end, polled_ms = consumer.highwater(place), consumer.last_poll_timestamp(place)
            stable = consumer.last_stable_offset(place)
            self._polled[partition] = polled_ms
            if end is None or position >= end:
                self._held.pop(partition, None)
            elif stable is not None and 0 <= stable <= position:  # after a reconnect perhaps far behind its begin
                self._wait_for_transaction(consumer, partition, position)
            if end is not None and position >= end:
                self._current[partition] = polled_ms

    def _wait_for_transaction(self, consumer: AIOKafkaConsumer, partition: int, position: int) -> None:
        """Reads on beside an open transaction when it has held the partition up for long enough."""
        now_s = asyncio.get_running_loop().time()
        held_at, since_s = self._held.setdefault(partition, (position, now_s))
        if held_at != position:
            self._held[partition] = position, now_s
        elif now_s - since_s >= HELD_UP_S:
            logger.warning("%s/%d: %s", self._topic, partition, open_transaction(position))
            self._held.clear()
            leave_out_transactions(consumer)

    def _progressed(self) -> None:
        """Wakes all waiters; each checks its condition again."""
        self._progress.set()
        self._progress = asyncio.Event()

    def _drop(self, partitions: Iterable[int]) -> None:
        for partition in sorted(partitions):
            self._next.pop(partition, None)
            self._goal.pop(partition, None)
            self._polled.pop(partition, None)
            self._current.pop(partition, None)
            self._held.pop(partition, None)
            self._epochs.forget(partition)
            self._behind.discard(partition)
            for key in [key for key, found_in in self._unreadable.items() if found_in == partition]:
                self._readable(key)
            self._on_partition_dropped(partition)
        self._followed = self._followed.difference(partitions)

    def _consumer(self) -> AIOKafkaConsumer:
        return clients.consumer(self._settings, CLIENT_ID, fetch_max_bytes=FETCH_BYTES_MAX)


class WholeView(CompactedView):
    """Follows all of one topic of the catalogue while the process runs: calls `apply(key, value)` for each record."""

    def __init__(
        self, settings: Settings, topic: str, apply: Callable[[bytes, bytes | None], None], *, one_owner: bool
    ) -> None:
        def on_record(_partition: int, key: bytes, value: bytes | None) -> None:
            apply(key, value)

        def on_partition_dropped(partition: int) -> None:
            raise RuntimeError(f"partition {partition} of {topic} left")

        full_name = BY_NAME[topic].full_name(settings.topic_prefix)
        super().__init__(settings, full_name, on_record, on_partition_dropped, one_owner=one_owner)

    async def start(self) -> None:
        """Returns at once, also while Kafka is away."""
        await super().start()
        await self.set_partitions(None)


class KeptByViews:
    """Base of a thing that is kept current by views of whole topics."""

    _views: tuple[WholeView, ...]

    async def start(self) -> None:
        """Returns at once; `until_ready` waits until all that was there is read."""
        for view in self._views:
            await view.start()

    async def until_ready(self) -> None:
        await asyncio.gather(*(view.until_ready() for view in self._views))

    async def wait(self) -> None:
        """Returns when it was stopped. Raises the error that ended it before."""
        await asyncio.gather(*(view.wait() for view in self._views))

    async def stop(self) -> None:
        for view in self._views:
            await view.stop()

    def unready(self) -> str | None:
        return next((why for view in self._views if (why := view.unready()) is not None), None)
