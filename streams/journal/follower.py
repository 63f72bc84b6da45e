"""Follows the topics into the journal: reads a batch, writes its rows and offsets in one transaction, tells Kafka.

While a batch is being written the next one is read. It is written after the one before has been, and never if that was
not: then everything begins again from what is stored.

The consumer goes by the offsets of the database: at each assignment it claims its partitions there and seeks to them.
Kafka's offsets are a hint for tools that show lag. A process that was stopped and comes back has an older claim than
the one that owns its partition now, so its batch is not written; Kafka says whether it is still a member before it
claims anything again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError
from sqlalchemy.exc import SQLAlchemyError

from journal.rows.batch import Batch
from journal.rows.keeper import Keeper
from journal.rows.reader import PartitionReader
from journal.rows.sources import SOURCES
from journal.store.writing import Claimed, LostError, Move, Place, Writer
from streams.journal.metrics import JournalMetrics
from topics.configuration.settings import Settings
from topics.kafka import clients
from topics.kafka.catalogue import BY_NAME

log = logging.getLogger(__name__)

BATCH_RECORDS_MAX: Final = 2_000
"""Records of one transaction: beyond it a row costs no less, and the process stands still for longer."""
FETCH_BYTES_MAX: Final = 16 << 20
"""Fetched in one answer: what waits in memory is bounded by some of these."""
PARTITION_FETCH_BYTES: Final = 1 << 20
"""Most bytes of one partition in it, unless its first record alone is larger."""
POLL_MS: Final = 200
"""How long a loop waits for records: a changed assignment is seen after that."""
HINT_S: Final = 5.0
"""How often Kafka learns the offsets."""
RETRY_S: Final = 0.5
"""Between attempts to reach the database or Kafka."""
SESSION_S: Final = 10.0
"""After so long without a heartbeat another process takes a partition over."""
REBALANCE_S: Final = 30.0
"""In which a process ends its batch when another joins."""
STUCK_S: Final = 10.0
"""A loop that has not come round for so long is no longer ready."""


@dataclass(slots=True)
class Followed:
    """A partition that this process reads. `stored`: the offset in the database; `next`: the next record to read;
    `record_ms`: the time of the last one that was read."""

    place: Place
    reader: PartitionReader
    claim: int
    stored: int
    next: int
    record_ms: int = 0


@dataclass(slots=True)
class Prepared:
    """A batch that was read. `oldest_ms`: time of its oldest record; `began_s`: when reading began."""

    batch: Batch
    moves: list[Move]
    moved: dict[TopicPartition, Followed]
    oldest_ms: int
    began_s: float


class Follower(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped to mypy
    """Follows all topics of the journal, until it is cancelled."""

    def __init__(self, settings: Settings, writer: Writer, keeper: Keeper, metrics: JournalMetrics) -> None:
        self._settings = settings
        self._writer = writer
        self._keeper = keeper
        self._metrics = metrics
        self._names = {BY_NAME[topic].full_name(settings.topic_prefix): topic for topic in SOURCES}
        self._assigned: set[TopicPartition] = set()
        self._has_joined = False
        self._followed: dict[TopicPartition, Followed] = {}
        self._was_lost = False
        """Whether a batch was lost since Kafka last confirmed the membership."""
        self._trouble: str | None = "starting"
        self._came_round_s = time.monotonic()
        self._behind_ms: int | None = None
        """Time of the last record read, where there are more; None: everything is read."""
        self._hinted_s = 0.0
        self._writing: asyncio.Task[None] | None = None
        self._written: Prepared | None = None
        """The batch that is being written."""
        self._hints: dict[TopicPartition, int] = {}
        """Offsets that are stored, for Kafka."""

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        for tp in revoked:
            self._followed.pop(tp, None)
            self._assigned.discard(tp)
            self._hints.pop(tp, None)

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        self._assigned = set(assigned)
        self._has_joined = True
        self._was_lost = False

    async def run(self) -> None:
        """Follow until it is cancelled, through outages of Kafka and of the database."""
        while True:
            try:
                with clients.cancelled_calls_fail():
                    await self._follow()
            except (KafkaError, OSError) as error:
                self._trouble = f"Kafka cannot be read: {error!r}"
                log.warning("journal interrupted: %r", error)
                await asyncio.sleep(RETRY_S)

    def not_ready(self) -> str | None:
        """The reason why it does not follow now, for /ready."""
        if self._trouble is None and time.monotonic() - self._came_round_s > STUCK_S:
            return f"nothing was read or written for {time.monotonic() - self._came_round_s:.0f} s"
        return self._trouble

    def age_s(self) -> float:
        """How far the journal is behind the partitions of this process."""
        waited_s = time.monotonic() - self._came_round_s
        behind_s = 0.0 if self._behind_ms is None else time.time() - self._behind_ms / 1000
        return max(behind_s, waited_s if waited_s > 1 else 0.0)

    async def _follow(self) -> None:
        """Follow with one consumer until Kafka fails."""
        consumer = self._consumer()
        consumer.subscribe(topics=list(self._names), listener=self)
        try:
            await consumer.start()
            while True:
                if not await self._take_over(consumer):
                    continue
                chunks = await consumer.getmany(timeout_ms=POLL_MS, max_records=BATCH_RECORDS_MAX)
                prepared = self._prepare(chunks)
                if await self._end_write() and prepared is not None:
                    self._begin_write(prepared)
                self._notice_round(consumer)
                await self._hint(consumer)
        finally:
            await self._abandon_write()
            self._has_joined = False
            self._followed.clear()
            self._assigned.clear()
            self._hints.clear()
            await clients.close(consumer)

    def _consumer(self) -> AIOKafkaConsumer:
        return clients.consumer(
            self._settings,
            f"journal-{self._settings.instance}",
            prompt=True,
            partition_fetch_bytes=PARTITION_FETCH_BYTES,
            rebalance_timeout_s=REBALANCE_S,
            group_id=f"{self._settings.topic_prefix}.journal",
            group_instance_id=f"journal-{self._settings.instance}",  # a restart gets its partitions back at once
            fetch_max_bytes=FETCH_BYTES_MAX,
            session_timeout_ms=int(SESSION_S * 1000),
            heartbeat_interval_ms=int(SESSION_S * 1000 / 4),
            partition_assignment_strategy=(RoundRobinPartitionAssignor,),
        )

    async def _take_over(self, consumer: AIOKafkaConsumer) -> bool:
        """Claim partitions that are new here, and seek to where they go on. Returns whether the round may go on."""
        if self._was_lost and not await self._is_member(consumer):
            await asyncio.sleep(RETRY_S)
            return True  # the next fetch lets the consumer join again
        self._was_lost = False
        new = self._assigned - self._followed.keys()
        if not new:
            return True
        if not await self._end_write():
            return False
        places = {tp: Place(self._names[tp.topic], tp.partition) for tp in new}
        try:
            claimed = await self._writer.claim(places.values())
        except (SQLAlchemyError, OSError) as error:
            await self._database_failed(error)
            return False
        for tp in new & self._assigned:
            self._begin(consumer, tp, places[tp], claimed[places[tp]])
        return True

    def _begin(self, consumer: AIOKafkaConsumer, tp: TopicPartition, place: Place, claimed: Claimed) -> None:
        try:
            consumer.seek(tp, claimed.next_offset)
        except IllegalStateError:
            return  # it was revoked meanwhile
        reader = SOURCES[place.topic](tp.partition, claimed.memory, self._keeper, self._settings.partitions)
        self._hints[tp] = claimed.next_offset
        self._followed[tp] = Followed(place, reader, claimed.claim, claimed.next_offset, claimed.next_offset)

    def _prepare(self, chunks: Mapping[TopicPartition, Sequence[Any]]) -> Prepared | None:
        """Read records into a batch."""
        began_s, batch, oldest_ms = time.monotonic(), Batch(), int(time.time() * 1000)
        moves: list[Move] = []
        moved: dict[TopicPartition, Followed] = {}
        for tp, records in chunks.items():
            followed = self._followed.get(tp)
            if followed is None:
                continue  # fetched before it was claimed here
            begin, read = followed.next, followed.reader.read
            for record in records:
                if record.offset >= begin:
                    read(record, batch)
            oldest_ms = min(oldest_ms, records[0].timestamp)
            followed.next, followed.record_ms = max(begin, records[-1].offset + 1), records[-1].timestamp
            self._metrics.records.labels(followed.place.topic).inc(len(records))
            moves.append(_move(followed, begin))
            moved[tp] = followed
        return Prepared(batch, moves, moved, oldest_ms, began_s) if moves else None

    def _begin_write(self, prepared: Prepared) -> None:
        self._written = prepared
        self._writing = asyncio.create_task(self._writer.write(prepared.batch, prepared.moves), name="journal write")

    async def _end_write(self) -> bool:
        """Wait for the batch that is being written. False: it was not, so what was read behind it does not count."""
        task, written = self._writing, self._written
        self._writing = self._written = None
        if task is None or written is None:
            return True
        try:
            await task
        except LostError as error:
            log.warning("a batch was not written: %s", error)
            self._metrics.lost.inc()
            self._was_lost = True
            self._followed.clear()
            return False
        except (SQLAlchemyError, OSError) as error:
            self._metrics.failed.inc()
            await self._database_failed(error)
            return False
        self._note_written(written)
        return True

    def _note_written(self, written: Prepared) -> None:
        for move, (tp, followed) in zip(written.moves, written.moved.items(), strict=True):
            followed.stored = move.to_offset
            if self._followed.get(tp) is followed:
                self._hints[tp] = move.to_offset
        for table, count in written.batch.counts().items():
            self._metrics.rows.labels(table).inc(count)
        self._metrics.batch_seconds.observe(time.monotonic() - written.began_s)
        self._metrics.delay_seconds.observe(max(0.0, time.time() - written.oldest_ms / 1000))

    async def _abandon_write(self) -> None:
        """End with what is written as it is: a transaction that was not committed changes nothing."""
        task, self._writing, self._written = self._writing, None, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _database_failed(self, error: Exception) -> None:
        """Wait, and begin again from what is stored. A pause does not make it lose its partitions."""
        self._followed.clear()
        if self._trouble is None or not self._trouble.startswith("the database"):
            log.warning("the journal's database failed, and is tried again: %s", said(error))
        self._trouble = f"the database failed: {type(error).__name__}"
        await asyncio.sleep(RETRY_S)

    def _notice_round(self, consumer: AIOKafkaConsumer) -> None:
        """Note how far the journal is behind, now that all that was fetched is written."""
        lags: dict[str, int] = dict.fromkeys(SOURCES, 0)
        behind: list[int] = []
        for tp, followed in self._followed.items():
            end = consumer.highwater(tp)
            lag = max(0, (end or 0) - followed.stored)
            lags[followed.place.topic] += lag
            if lag and followed.record_ms:
                behind.append(followed.record_ms)
        for topic, lag in lags.items():
            self._metrics.lag.labels(topic).set(lag)
        self._metrics.partitions.set(len(self._followed))
        self._behind_ms = min(behind, default=None)
        self._came_round_s = time.monotonic()
        if self._trouble is not None and self._has_joined:
            log.info("the journal follows %d partitions", len(self._followed))
            self._trouble = None

    async def _is_member(self, consumer: AIOKafkaConsumer) -> bool:
        """Whether Kafka still counts this process as the owner of its partitions."""
        return await self._commit(consumer)

    async def _hint(self, consumer: AIOKafkaConsumer) -> None:
        if time.monotonic() < self._hinted_s + HINT_S:
            return
        self._hinted_s = time.monotonic()
        await self.before_hint()
        await self._commit(consumer)

    async def _commit(self, consumer: AIOKafkaConsumer) -> bool:
        if not self._hints:
            return True
        try:
            await consumer.commit(self._hints)
        except (KafkaError, IllegalStateError) as error:
            log.debug("Kafka did not take the offsets: %r", error)
            return False
        return True

    async def before_hint(self) -> None:
        """Step for tests, which end the process there."""


def _move(followed: Followed, begin: int) -> Move:
    return Move(
        place=followed.place,
        claim=followed.claim,
        from_offset=begin,
        to_offset=followed.next,
        memory=followed.reader.remembered(),
        record_ms=followed.record_ms,
    )


def said(error: Exception) -> str:
    """The words of the database, without the statement and its values."""
    return str(getattr(error, "orig", None) or error).splitlines()[0]
