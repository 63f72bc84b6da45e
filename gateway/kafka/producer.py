"""The gateway's producer: idempotent, acks=all, bounded in bytes and time, and replaced when it cannot go on.

It connects in the background, so the gateway starts, answers 503 and recovers without Kafka. A record that Kafka does
not acknowledge in time may still arrive: the caller hears that this is not known and that a repeat is safe.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordTooLargeError,
    UnknownTopicOrPartitionError,
)

from gateway.http.metrics import Metrics
from gateway.kafka import CLIENT_ID
from gateway.kafka.deadlines import Deadlines
from gateway.ports import Lateness, Outgoing, Overloaded, Position, RecordTooLarge, Unavailable
from topics.configuration.settings import Settings
from topics.kafka import clients
from topics.kafka.batches.open_batches import OpenBatches, RecordPlace
from topics.kafka.catalogue import BY_NAME
from topics.logs.brokers import BROKERS
from topics.records.keys import partition_of

log = logging.getLogger(__name__)

BYTES_IN_FLIGHT_MAX = 64 << 20
"""Handed to Kafka and not acknowledged: a second's worth of the fastest local broker. Beyond it calls are refused."""
RECORD_OVERHEAD_BYTES = 512
"""Headers and bookkeeping of one record, counted with its key and value."""
BATCH_BYTES = 512 << 10
"""Most bytes of the records of one partition that leave together: only one request at a time is in flight for each
partition, and all of a snapshot goes to one partition."""
TOLD_AFTER_S = 1.0
"""Kafka that is still away after so long is logged. A lost connection may be noticed 0.1 s after a probe in vain."""
RETRY_S = 0.25
"""Between two attempts to reach Kafka while it is away. Recovery is noticed so much later."""
PROBE_S = 2.0
"""Between two probes of Kafka while it answers."""
PROBE_TIMEOUT_S = 2.0
"""For metadata. A broker that takes longer cannot acknowledge within the two seconds promised to callers."""
CONNECT_TIMEOUT_S = 10.0
"""A new producer asks for its id, and a broker that has just started needs some seconds to give it."""
CLOSE_TIMEOUT_S = 5.0
"""For records in flight when the gateway stops, or when a broken producer is closed."""
LATE_SHARE = 0.2
"""A loop that was late for a fifth of a time-out has not had time to read Kafka's answers."""
LATE_GRACE_S = 0.25
"""How much longer a late loop waits for an acknowledgement: what Kafka sent meanwhile is read within a turn or two."""


class SharedProducer:
    """Implements gateway.ports.Producer."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        lag: Lateness | None = None,
        bytes_in_flight_max: int = BYTES_IN_FLIGHT_MAX,
    ) -> None:
        self._settings = settings
        self._lag = lag
        self._metrics = metrics
        self._names = {name: topic.full_name(settings.topic_prefix) for name, topic in BY_NAME.items()}
        self._bytes_max = bytes_in_flight_max
        self._bytes_in_flight = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._deadlines: Deadlines | None = None
        self._batches: OpenBatches | None = None
        """Those of the producer that takes records; None: there is none now."""
        self._partitions: dict[str, int] = {}
        """How many each topic (catalogue name) has. Asked anew with each probe, because a topic may get more."""
        self._unready: str | None = f"not connected to Kafka at {settings.kafka} yet"
        self._is_told = False
        self._wake = asyncio.Event()
        self._broken = False
        self._keeper: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        metrics.bytes_in_flight = lambda: self._bytes_in_flight

    def unready(self) -> str | None:
        if self._keeper is not None and self._keeper.done():
            return "the task that keeps the producer connected ended"
        return self._unready

    async def wait(self) -> None:
        """Returns when the producer was stopped. Raises the unforeseen error that ended its background task before."""
        if self._keeper is not None:
            await asyncio.shield(self._keeper)

    def start(self) -> None:
        """Returns at once; connecting goes on in the background."""
        self._loop = asyncio.get_running_loop()
        self._keeper = asyncio.create_task(self._keep(), name="gateway-producer")

    async def stop(self) -> None:
        """Records in flight get CLOSE_TIMEOUT_S to be acknowledged."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        self._unready = "stopping"
        producer = self._take_back()
        if producer is not None:
            await clients.close(producer, CLOSE_TIMEOUT_S)
        if self._closing:
            await asyncio.wait(self._closing)

    async def produce(self, record: Outgoing) -> Position:
        batches = self._admit(_size(record))
        timeout_s = self._settings.produce_timeout_s
        try:
            acknowledged = (
                self._add(batches, record) if self._is_known(record) else await self._add_later(batches, record)
            )
            if self._deadlines is None:
                self._deadlines = Deadlines(self._running(), timeout_s, self._expire)
            self._deadlines.add(acknowledged)
            place = await acknowledged
        except TimeoutError as error:
            raise self._away(f"no acknowledgement within {timeout_s:g} s", timeout_s) from error
        except KafkaError as error:
            raise self._translated(error, batches) from error
        self._metrics.records += 1
        return Position(*place)

    async def produce_all(self, records: Sequence[Outgoing]) -> list[Position | None]:
        batches = self._admit(sum(map(_size, records)))
        futures: list[asyncio.Future[RecordPlace]] = []
        loop = self._running()
        deadline = loop.time() + self._settings.produce_timeout_s
        trouble: Exception | None = None
        try:
            async with asyncio.timeout_at(deadline):
                for record in records:
                    known = self._is_known(record)
                    futures.append(self._add(batches, record) if known else await self._add_later(batches, record))
        except (TimeoutError, KafkaError) as error:
            trouble = (
                self._away("no metadata of a topic", self._settings.produce_timeout_s)
                if isinstance(error, TimeoutError)
                else self._translated(error, batches)
            )
        if futures:
            await asyncio.wait(futures, timeout=max(0.0, deadline - loop.time()))
        elif trouble is not None:
            raise trouble
        positions = [self._position(future, batches) for future in futures]
        for future in futures:
            future.cancel()  # only those that are not done
        if None in positions and trouble is None:
            self._away("part of a batch was not acknowledged in time", self._settings.produce_timeout_s)
        return positions + [None] * (len(records) - len(positions))

    def _running(self) -> asyncio.AbstractEventLoop:
        """The event loop, kept from the start: asking asyncio for it costs a system call, several times a request."""
        if self._loop is None:
            raise RuntimeError("start() comes before the first record")
        return self._loop

    def _position(self, future: asyncio.Future[RecordPlace], batches: OpenBatches) -> Position | None:
        if not future.done():
            return None
        error = future.exception()
        if error is not None:
            if isinstance(error, KafkaError):
                self._translated(error, batches)
            return None
        self._metrics.records += 1
        return Position(*future.result())

    def _admit(self, size: int) -> OpenBatches:
        """The batches of the producer, if there is room for so many bytes. While Kafka is away nothing is handed to it:
        records would pile up, and arrive later although their callers were refused."""
        if self._batches is None or self.unready() is not None:
            raise Unavailable(self.unready() or "no producer")
        if self._bytes_in_flight + size > self._bytes_max:
            raise Overloaded(f"{self._bytes_in_flight} bytes wait for Kafka's acknowledgement")
        return self._batches

    def _is_known(self, record: Outgoing) -> bool:
        """Whether the partitions of a record's topic are known."""
        return record.topic in self._partitions

    async def _add_later(self, batches: OpenBatches, record: Outgoing) -> asyncio.Future[RecordPlace]:
        """As `_add`, for the first record of a topic: asks Kafka for the topic's partitions."""
        async with asyncio.timeout(self._settings.produce_timeout_s):
            self._partitions[record.topic] = len(await batches.producer.partitions_for(self._names[record.topic]))
        return self._add(batches, record)

    def _add(self, batches: OpenBatches, record: Outgoing) -> asyncio.Future[RecordPlace]:
        """Gives a record its place in the order. The future ends with its acknowledgement.

        If a caller gives up, the bytes are in flight until Kafka answers.
        """
        topic, key, value, headers, partition = record
        if partition is None:
            partition = partition_of(key, self._partitions[topic])
        size = _size(record)
        acknowledged: asyncio.Future[RecordPlace] = self._running().create_future()
        batches.add(self._names[topic], partition, key, value, list(headers), acknowledged, size)
        self._bytes_in_flight += size
        return acknowledged

    def _settled(self, size: int) -> None:
        self._bytes_in_flight -= size

    def _expire(self, acknowledged: asyncio.Future[Any], _key: bytes = b"", *, late: bool = False) -> None:
        """Ends a wait for Kafka. A loop that was late has not read what Kafka sent meanwhile, so it waits on, once."""
        if acknowledged.done():
            return
        if not late and self._was_late(self._settings.produce_timeout_s):
            self._running().call_later(LATE_GRACE_S, partial(self._expire, acknowledged, late=True))
        else:
            acknowledged.set_exception(TimeoutError())

    def _was_late(self, within_s: float) -> bool:
        """Whether this process was so late itself that a time-out of this length says nothing about Kafka."""
        return self._lag is not None and self._lag.late_s(within_s) > LATE_SHARE * within_s

    def _away(self, reason: str, within_s: float = 0.0) -> Unavailable:
        """Notes that Kafka is away: calls are refused at once until it answers a probe.

        `within_s`: the length of the time-out that says so. If this process was late itself in it, it says nothing.
        """
        if within_s and self._was_late(within_s):
            if not BROKERS.away:
                log.warning("%s, but this process was late itself", reason)
            return Unavailable(f"{reason}; this gateway was busy")
        if self._unready is None:
            self._unready, self._is_told = reason, False
            self._running().call_later(TOLD_AFTER_S, self._tell_away)
            self._wake.set()
        return Unavailable(reason)

    def _tell_away(self) -> None:
        """Logs that Kafka takes no records, unless that is over by now, or a broker is away, which has its own line."""
        if self._unready is not None and not self._is_told and not BROKERS.away:
            self._is_told = True
            log.warning("Kafka does not take records: %s", self._unready)

    def _translated(self, error: KafkaError, batches: OpenBatches) -> Exception:
        """The error to raise: the record is too large, Kafka is away, or the producer, whose batches these are, has to
        be replaced."""
        if isinstance(error, (MessageSizeTooLargeError, RecordTooLargeError)):
            return RecordTooLarge(str(error))
        if isinstance(error, (KafkaTimeoutError, UnknownTopicOrPartitionError)) or error.retriable:
            return self._away(repr(error))
        if batches is not self._batches:  # it was replaced: this says nothing of the one in its place
            return Unavailable(f"the producer was replaced: {error!r}")
        # A gap in the sequence, a fenced or closed producer: nothing sent through it will ever arrive again.
        self._broken = True
        return self._away(f"the producer must be replaced: {error!r}")

    async def _keep(self) -> None:
        while True:
            producer = await self._connected()
            self._batches, self._broken, self._unready = OpenBatches(producer, self._settled), False, None
            log.info("connected to Kafka at %s", self._settings.kafka)
            await self._watch(producer)
            self._take_back()
            self._metrics.producer_rebuilds += 1
            log.warning("the producer is replaced")
            closing = asyncio.create_task(clients.close(producer, CLOSE_TIMEOUT_S))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            await asyncio.sleep(RETRY_S)

    def _take_back(self) -> clients.BatchProducer | None:
        """The producer, which gets no more records. Those that it has not taken yet fail."""
        batches, self._batches = self._batches, None
        if batches is None:
            return None
        batches.close()
        return batches.producer

    async def _connected(self) -> clients.BatchProducer:
        while True:
            producer = clients.producer(self._settings, CLIENT_ID, batch_bytes=BATCH_BYTES)
            try:
                with clients.cancelled_calls_fail():
                    async with asyncio.timeout(CONNECT_TIMEOUT_S):
                        await producer.start()
            except (KafkaError, OSError, TimeoutError) as error:
                log.debug("Kafka is not there yet: %r", error)
                await clients.close(producer, CLOSE_TIMEOUT_S)
                await asyncio.sleep(RETRY_S)
            except asyncio.CancelledError:
                await clients.close(producer, CLOSE_TIMEOUT_S)
                raise
            else:
                return producer

    async def _watch(self, producer: AIOKafkaProducer) -> None:
        """Probes Kafka, more often while it is away. Returns when the producer is broken."""
        while not self._broken:
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(PROBE_S if self._unready is None else RETRY_S):
                    await self._wake.wait()
            if self._broken:
                return
            probed = self._running().time()
            if await _answers(producer):
                self._partitions.clear()
                if self._unready is not None and self._is_told:
                    log.info("Kafka answers again")
                self._unready = None
            else:
                self._away("Kafka does not answer", self._running().time() - probed)


async def _answers(producer: AIOKafkaProducer) -> bool:
    try:
        with clients.cancelled_calls_fail():
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                return bool(await producer.client.force_metadata_update())
    except (TimeoutError, KafkaError, OSError):
        return False  # logged by the caller, once


def _size(record: Outgoing) -> int:
    return len(record.key) + len(record.value) + RECORD_OVERHEAD_BYTES
