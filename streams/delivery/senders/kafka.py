"""The far side `kafka`: a request is a record on a topic of the channel, its answer a record on another.

Each worker reads the answers of all channels with one consumer, from their end at its start: earlier requests are sent
again with the same id. A request leaves only once its channel's answers are read. The steps of a request, in order:

1. it waits for the answer with its id;
2. its record is acknowledged by all in-sync replicas;
3. the answer comes, or the time is over: then the lane sends it again, and a late success answers that attempt.

After a crash behind 2 it is sent again with the same delivery id: the channel must recognise ids that it has answered,
as over HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordTooLargeError

from streams.delivery.clock import SystemClock
from streams.delivery.metrics import KAFKA_ANSWERS
from streams.delivery.ports import Answer, Call, Clock, Sender
from streams.delivery.senders.kafka_pending import AlreadyPendingError, Fate, PendingReplies
from streams.delivery.senders.kafka_records import (
    correlation_of,
    read_answer,
    request_headers,
    request_key,
    request_value,
)
from streams.delivery.shutdown import CLOSE_S
from topics.configuration.channels import Channels, FarSide
from topics.configuration.settings import Settings
from topics.kafka import clients
from topics.kafka.catalogue import RECORD_BYTES_MAX
from topics.kafka.channel_topics import answer_topic, request_topic
from topics.records.unreadable import UNREADABLE

CLIENT_ID = "sluice-channels"
RETRY_S = 0.5
"""Between attempts to reach Kafka; meanwhile requests get no answer, and their lanes repeat them."""
LOOK_EVERY_S = 2.0
"""Between two looks for a missing topic."""
LOOK_AGAIN_S = 10.0
"""Between two looks at existing topics: they may have new partitions, whose answers wait so long."""
POLL_MS = 500
"""Longest idle fetch: the end of the role, or a new topic, may have to wait for it."""
FETCH_BYTES_MAX = 4 * RECORD_BYTES_MAX
"""Most bytes fetched and not handled yet: several of the largest answers."""
CHUNK_RECORDS_MAX = 500
"""Answers handled before the event loop gets a turn."""
CONNECT_TIMEOUT_S = 10.0
"""How long Kafka may take to return a topic's partitions and ends before the connection is made anew."""
CONNECTING = "Kafka is not connected yet"

log = logging.getLogger(__name__)


class KafkaSender(Sender):
    """Owns a producer and a consumer if a channel lives on Kafka. `send` never raises for a failure of Kafka."""

    def __init__(
        self,
        settings: Settings,
        channels: Channels,
        crashed: Callable[[BaseException], None],
        clock: Clock | None = None,
    ) -> None:
        """`crashed` is called with an unexpected error: no answer is read from then on, so the role must end."""
        self._crashed = crashed
        self._settings = settings
        self._channels = channels.channels
        self._clock: Clock = clock or SystemClock()
        prefix = settings.topic_prefix
        using = [name for name, channel in channels.channels.items() if channel.uses(FarSide.KAFKA)]
        self._requests = {name: request_topic(name).full_name(prefix) for name in using}
        self._answers = {name: answer_topic(name).full_name(prefix) for name in using}
        self._channel_of = {topic: name for name, topic in self._answers.items()}
        self._trouble = dict.fromkeys(using, CONNECTING)
        """Why requests of a channel cannot be sent; other channels are open."""
        self._looked = asyncio.Event()
        """Set while `_trouble` is known."""
        self._pending = PendingReplies()
        self._next: dict[TopicPartition, int] = {}
        self._look_again = True
        """Set at first, and when Kafka refused a request: its topic may be gone."""
        self._looked_s = 0.0
        self._producer: AIOKafkaProducer | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return at once; Kafka and the topics may come later."""
        if self._requests:
            self._task = asyncio.create_task(self._run(), name="answers of channels")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def unready(self) -> str | None:
        if self._task is not None and self._task.done():
            return "the answers of channels on Kafka are no longer read"
        return next((f"channel {name}: {trouble}" for name, trouble in self._trouble.items()), None)

    async def send(self, call: Call) -> Answer:
        name = (call.channel, call.delivery_id)
        late = self._pending.pop_late(name)
        if late is not None:
            return late
        configured_s = self._channels[call.channel].marketplace.timeout_s
        total_s = configured_s if call.timeout_s is None else call.timeout_s
        asked = False
        try:
            async with asyncio.timeout(total_s):
                producer = await self._open(call.channel)
                with self._pending.expect(name) as answer:
                    await self._ask(producer, call, total_s)
                    asked = True
                    return await answer
        except TimeoutError:
            self._pending.give_up(name)
            if not asked:
                self._look_again = True
            return Answer(
                status=None, error=f"{'no answer' if asked else 'Kafka did not take the request'} within {total_s:g} s"
            )
        except (MessageSizeTooLargeError, RecordTooLargeError) as error:
            return Answer(status=None, error=f"the request is too large for its topic: {error}"[:300], unsendable=True)
        except (KafkaError, OSError, AlreadyPendingError) as error:
            # A broker that answered with an error may have written the request all the same.
            self._pending.give_up(name)
            self._look_again = True
            return Answer(status=None, error=f"{type(error).__name__}: {error}"[:300])

    async def _open(self, channel: str) -> AIOKafkaProducer:
        """Wait until the channel's answers are read: one that came earlier would be missed."""
        await self._looked.wait()
        if self._producer is None or channel in self._trouble:
            raise ConnectionError(self._trouble.get(channel, CONNECTING))
        return self._producer

    async def _ask(self, producer: AIOKafkaProducer, call: Call, total_s: float) -> None:
        now_ms = self._clock.now_ms()
        deadline_ms = now_ms + round(total_s * 1000)
        headers = request_headers(call, self._answers[call.channel], deadline_ms, now_ms)
        topic = self._requests[call.channel]
        stored = await producer.send(topic, request_value(call), key=request_key(call), headers=list(headers))
        await stored

    # Reading answers

    async def _run(self) -> None:
        while True:
            try:
                with clients.cancelled_calls_fail():
                    await self._follow()
            except (KafkaError, OSError, TimeoutError) as error:
                trouble = f"Kafka cannot be reached: {type(error).__name__} {error}".rstrip()
                log.warning("delivery.kafka_interrupted error=%r", error)
                self._trouble = dict.fromkeys(self._requests, trouble)
                self._looked.set()
            except Exception as error:  # noqa: BLE001 - `crashed` logs it, and a restart mends it
                self._crashed(error)
                return
            await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        """Read answers with one consumer and send requests with one producer, until Kafka fails."""
        producer, consumer = self._make_producer(), self._make_consumer()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await producer.start()
                await consumer.start()
            self._producer = producer
            self._look_again = True
            followed: frozenset[TopicPartition] = frozenset()
            while True:
                if self._is_time_to_look():
                    followed = await self._look(producer, consumer, followed)
                if followed:
                    self._handle(await consumer.getmany(timeout_ms=POLL_MS, max_records=CHUNK_RECORDS_MAX))
                    await asyncio.sleep(0)  # buffered records come without a pause, which others need
                else:
                    await asyncio.sleep(POLL_MS / 1000)
        finally:
            self._producer = None
            self._trouble = dict.fromkeys(self._requests, CONNECTING)
            self._looked.clear()
            await _close(producer, consumer)

    def _is_time_to_look(self) -> bool:
        since_s = asyncio.get_running_loop().time() - self._looked_s
        return self._look_again or since_s >= (LOOK_EVERY_S if self._trouble else LOOK_AGAIN_S)

    async def _look(
        self, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer, followed: frozenset[TopicPartition]
    ) -> frozenset[TopicPartition]:
        """Find the topics, and read the answers of channels that have both. Returns the partitions that are read."""
        self._look_again = False
        self._looked_s = asyncio.get_running_loop().time()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            cluster = await producer.client.fetch_all_metadata()
            there = cluster.topics()
            trouble: dict[str, str] = {}
            for name, requests in self._requests.items():
                missing = [topic for topic in (requests, self._answers[name]) if topic not in there]
                if missing:
                    trouble[name] = f"topic {missing[0]} does not exist; make it with `sluice topics create`"
            topics = [self._answers[name] for name in self._requests if name not in trouble]
            wanted = frozenset(
                TopicPartition(topic, number)
                for topic in topics
                for number in cluster.partitions_for_topic(topic) or ()
            )
            if wanted != followed:
                await self._assign(consumer, wanted)
        for name, why in trouble.items():
            if self._trouble.get(name) != why:
                log.warning("delivery.kafka_channel channel=%s: %s", name, why)
        self._trouble = trouble
        self._looked.set()
        return wanted

    async def _assign(self, consumer: AIOKafkaConsumer, wanted: frozenset[TopicPartition]) -> None:
        """Read known partitions from where handling stopped, and those of a new topic from their ends. A new partition
        of a known topic is read from its beginning: its records answer requests that were sent meanwhile."""
        consumer.assign(list(wanted))
        known = {place.topic for place in self._next}
        new = [place for place in wanted if place not in self._next]
        at_end = [place for place in new if place.topic not in known]
        added = [place for place in new if place.topic in known]
        # Both at once: a failure between them would make a new topic's other partitions look like added ones.
        ends = await consumer.end_offsets(at_end) if at_end else {}
        starts = await consumer.beginning_offsets(added) if added else {}
        self._next.update({**ends, **starts})
        for place in wanted:
            consumer.seek(place, self._next[place])

    def _handle(self, chunks: dict[TopicPartition, list[Any]]) -> None:
        for place, records in chunks.items():
            channel = self._channel_of[place.topic]
            for record in records:
                try:
                    KAFKA_ANSWERS.labels(channel, self._on_record(channel, record)).inc()
                except Exception as error:  # noqa: BLE001 - whatever it holds, the answers behind it are read
                    topic = place.topic
                    UNREADABLE.note(topic, record.key, error, partition=place.partition, offset=record.offset)
            self._next[place] = records[-1].offset + 1

    def _on_record(self, channel: str, record: Any) -> Fate:
        name = correlation_of(record.headers)
        if name is not None and not self._pending.is_expected((channel, name)):
            return Fate.UNEXPECTED
        if name is None:
            log.warning("delivery.kafka_nameless channel=%s offset=%d: no correlation id", channel, record.offset)
            return Fate.NAMELESS
        return self._pending.accept_reply((channel, name), read_answer(record.headers, record.value))

    def _make_producer(self) -> AIOKafkaProducer:
        return clients.producer(self._settings, CLIENT_ID, idempotent=False)

    def _make_consumer(self) -> AIOKafkaConsumer:
        return clients.consumer(self._settings, CLIENT_ID, prompt=True, fetch_max_bytes=FETCH_BYTES_MAX)


async def _close(producer: AIOKafkaProducer, consumer: AIOKafkaConsumer) -> None:
    """Close both. If Kafka is away, requests that it did not write are given up, and sent again later."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_S):
            await asyncio.gather(producer.stop(), consumer.stop(), return_exceptions=True)
