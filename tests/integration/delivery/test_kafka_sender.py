"""A request over Kafka gets its answer, whenever it comes; whatever Kafka or the channel does is an answer, too."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from sluice.dev.local.broker import Broker
from streams.delivery.ports import Answer, Call
from streams.delivery.senders import kafka as kafka_sender
from streams.delivery.senders.kafka import KafkaSender
from tests.support.eventually import eventually
from tests.support.kafka import Kafka
from topics.configuration.channels import Channels
from topics.configuration.channels_file import parse_channels
from topics.configuration.settings import Settings
from topics.contract.touchpoints import BY_NAME
from topics.kafka import admin
from topics.kafka.channel_topics import answer_topic, request_topic
from topics.records import envelope
from topics.records.keys import order_key, partition_of

PARTITIONS = 3


def channels_on_kafka(*names: str) -> Channels:
    def channel(name: str) -> dict[str, Any]:
        return {
            "credentials": {"username": name, "password": "secret"},
            "increff_credentials": {"username": "sluice", "password": "secret"},
            "increff_headers": {"X-Api-Key": "secret"},
            "marketplace": {"timeout_s": 20},
            "far_side": "kafka",
        }

    data = {"increff": {"url": "http://127.0.0.1:9"}, "channels": {name: channel(name) for name in names}}
    return parse_channels(data, where="test")


def pack(number: int, delivery_id: str = "", *, channel: str = "demo", **more: Any) -> Call:
    code = f"O-{number}"
    return Call(
        touchpoint=BY_NAME["pack-order"],
        destination=f"channel:{channel}",
        channel=channel,
        members={"orderCode": code, "shipmentId": number},
        entity=order_key(channel, code).decode(),
        delivery_id=delivery_id or f"d-{number}",
        **more,
    )


class PlayedChannel:
    """A channel as a consumer of its requests. Nothing is answered but by `answer`."""

    def __init__(self, settings: Settings, name: str = "demo") -> None:
        self.requests: list[Any] = []
        self._answers = answer_topic(name).full_name(settings.topic_prefix)
        self._consumer = AIOKafkaConsumer(
            request_topic(name).full_name(settings.topic_prefix),
            bootstrap_servers=settings.kafka,
            auto_offset_reset="earliest",
        )
        self._producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        await self._producer.start()
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.cancel()
        await self._consumer.stop()
        await self._producer.stop()

    async def _read(self) -> None:
        async for record in self._consumer:
            self.requests.append(record)

    async def asked(self, count: int = 1) -> Any:
        """The last request, once there are so many."""
        await eventually(lambda: len(self.requests) >= count)
        return self.requests[-1]

    async def answer(self, correlation: bytes | None, body: Any, *headers: tuple[str, bytes]) -> None:
        named = [] if correlation is None else [("sluice-correlation-id", correlation)]
        value = body if isinstance(body, bytes) else orjson.dumps(body)
        await self._producer.send_and_wait(self._answers, value, headers=[*named, *headers])


@asynccontextmanager
async def running(settings: Settings, channels: Channels) -> AsyncIterator[KafkaSender]:
    crashes: list[BaseException] = []
    sender = KafkaSender(settings, channels, crashes.append)
    await sender.start()
    try:
        yield sender
    finally:
        await sender.stop()
    assert crashes == []


@pytest.fixture(scope="module")
def settings(kafka: Kafka) -> Settings:
    """Topics of the channels `one` to `six`: each test takes one of them."""
    settings = Settings(kafka=kafka.bootstrap, topic_prefix=f"t-{uuid.uuid4().hex[:12]}", partitions=PARTITIONS)
    asyncio.run(admin.create(settings, channels_on_kafka("one", "two", "three", "four", "five", "six")))
    return settings


@asynccontextmanager
async def played(settings: Settings, name: str) -> AsyncIterator[tuple[KafkaSender, PlayedChannel]]:
    async with running(settings, channels_on_kafka(name)) as sender, PlayedChannel(settings, name) as channel:
        await eventually(lambda: sender.unready() is None)
        yield sender, channel


def header(record: Any, name: str) -> bytes:
    found: bytes = dict(record.headers)[name]
    return found


async def test_a_request_carries_all_a_channel_needs_and_its_answer_comes_back(settings: Settings) -> None:
    async with played(settings, "one") as (sender, channel):
        call = pack(1, attempt=2, channel="one")
        sending = asyncio.create_task(sender.send(call))
        request = await channel.asked()
        said = envelope.parse(request.headers)
        assert (said.id, said.type) == ("d-1", "sluice.request.pack-order")
        assert said.reply_topic == answer_topic("one").full_name(settings.topic_prefix)
        assert said.deadline_ms is not None
        assert said.deadline_ms - said.time_ms == 20_000
        assert header(request, "sluice-attempt") == b"2"
        assert orjson.loads(request.value) == call.members
        assert request.key == order_key("one", "O-1")
        assert request.partition == partition_of(request.key, PARTITIONS)
        await channel.answer(b"d-1", {"shipmentCode": "S-1"}, ("sluice-status", b"201"))
        answer = await sending
        assert (answer.status, answer.body, answer.error) == (201, b'{"shipmentCode":"S-1"}', "")


async def test_only_the_request_that_an_answer_names_is_answered(settings: Settings) -> None:
    """Unknown ids, no id, repeats and a garbled status of another request do not reach this one."""
    async with played(settings, "two") as (sender, channel):
        first, second = (asyncio.create_task(sender.send(pack(number, channel="two"))) for number in (1, 2))
        await channel.asked(2)
        await channel.answer(b"d-3", {"shipmentCode": "another's"})
        await channel.answer(None, {"shipmentCode": "nobody's"})
        await channel.answer(b"\xff\xfe", b"\xff")
        await channel.answer(b"d-1", {}, ("sluice-status", b"fine"))
        for _ in range(3):
            await channel.answer(b"d-2", {"shipmentCode": "S-2"})
        assert (await second).body == b'{"shipmentCode":"S-2"}'
        garbled = await first
        assert garbled.status is None
        assert "not a status" in garbled.error


async def test_a_late_answer_answers_the_next_attempt_which_asks_no_more(settings: Settings) -> None:
    async with played(settings, "three") as (sender, channel):
        late = await sender.send(pack(1, timeout_s=1.0, channel="three"))
        assert (late.status, late.error) == (None, "no answer within 1 s")
        await channel.asked()
        await channel.answer(b"d-1", {"shipmentCode": "S-1"})
        await eventually(lambda: sender._pending.is_expected(("three", "d-1")) is False)
        again = await sender.send(pack(1, attempt=2, channel="three"))
        assert again.body == b'{"shipmentCode":"S-1"}'
        assert len(channel.requests) == 1


async def test_an_answer_to_an_earlier_attempt_counts_while_the_next_one_is_out(settings: Settings) -> None:
    async with played(settings, "four") as (sender, channel):
        await sender.send(pack(1, timeout_s=1.0, channel="four"))
        second = asyncio.create_task(sender.send(pack(1, attempt=2, channel="four")))
        await channel.asked(2)
        assert [header(request, "ce_id") for request in channel.requests] == [b"d-1", b"d-1"]
        assert [header(request, "sluice-attempt") for request in channel.requests] == [b"1", b"2"]
        await channel.answer(header(channel.requests[0], "sluice-correlation-id"), {"shipmentCode": "S-1"})
        assert (await second).status == 200


async def test_an_answer_that_is_too_large_and_a_request_that_is(settings: Settings) -> None:
    async with played(settings, "five") as (sender, channel):
        sending = asyncio.create_task(sender.send(pack(1, channel="five")))
        await channel.asked()
        consumer_limit = b"x" * ((4 << 20) + 1)
        producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, max_request_size=5 << 20)
        async with producer:
            await producer.send_and_wait(
                answer_topic("five").full_name(settings.topic_prefix),
                consumer_limit,
                headers=[("sluice-correlation-id", b"d-1")],
            )
        answer = await sending
        assert (answer.status, answer.error) == (200, f"the answer is larger than {4 << 20} bytes")
        large = pack(2, channel="five")
        assert large.members is not None
        large.members["note"] = "x" * (5 << 20)
        refused = await sender.send(large)
        assert (refused.status, refused.unsendable) == (None, True)
        assert "too large" in refused.error


async def test_an_answer_in_a_partition_that_came_later_is_read(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_sender, "LOOK_AGAIN_S", 0.1)
    topic = answer_topic("six").full_name(settings.topic_prefix)
    async with played(settings, "six") as (sender, channel):
        sending = asyncio.create_task(sender.send(pack(1, channel="six")))
        await channel.asked()
        client = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
        await client.start()
        await client.create_partitions({topic: NewPartitions(total_count=PARTITIONS + 1)})
        await client.close()
        async with AIOKafkaProducer(bootstrap_servers=settings.kafka) as producer:
            await eventually(lambda: _has(producer, topic, PARTITIONS))
            correlation = [("sluice-correlation-id", b"d-1")]
            await producer.send_and_wait(topic, b"{}", partition=PARTITIONS, headers=correlation)
        assert (await sending).status == 200


async def _has(producer: AIOKafkaProducer, topic: str, partition: int) -> bool:
    await producer.client.force_metadata_update()
    return partition in await producer.partitions_for(topic)


async def test_a_channel_without_its_topics_is_said_in_words_and_holds_up_no_other(kafka: Kafka, prefix: str) -> None:
    settings = Settings(kafka=kafka.bootstrap, topic_prefix=prefix, partitions=PARTITIONS)
    await admin.create(settings, channels_on_kafka("demo"))
    both = channels_on_kafka("demo", "late")
    async with running(settings, both) as sender, PlayedChannel(settings) as channel:
        lost = await sender.send(pack(1, channel="late"))
        missing = f"topic {request_topic('late').full_name(prefix)} does not exist"
        assert lost.status is None
        assert missing in lost.error
        assert "sluice topics create" in lost.error
        assert missing in (sender.unready() or "")
        sending = asyncio.create_task(sender.send(pack(2)))
        await channel.asked()
        await channel.answer(b"d-2", {})
        assert (await sending).status == 200

        await admin.create(settings, both)
        await eventually(lambda: sender.unready() is None)
        async with PlayedChannel(settings, "late") as late:
            sending = asyncio.create_task(sender.send(pack(3, channel="late")))
            await late.asked()
            await late.answer(b"d-3", {})
            assert (await sending).status == 200

        client = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        await client.start()
        await client.delete_topics([request_topic("late").full_name(prefix), answer_topic("late").full_name(prefix)])
        await client.close()
        gone = await sender.send(pack(4, channel="late", timeout_s=1.0))
        assert gone.status is None
        assert gone.error
        await eventually(lambda: missing in (sender.unready() or ""))


@pytest.mark.parametrize("how", ["killed", "paused"])
async def test_kafka_away_is_an_answer_and_all_goes_on_when_it_is_back(
    own_kafka: Broker, prefix: str, how: str
) -> None:
    settings = Settings(kafka=own_kafka.bootstrap, topic_prefix=prefix, partitions=PARTITIONS)
    channels = channels_on_kafka("demo")
    await admin.create(settings, channels)
    away: Callable[[], None] = own_kafka.kill if how == "killed" else own_kafka.pause
    async with running(settings, channels) as sender, PlayedChannel(settings) as channel:
        sending = asyncio.create_task(sender.send(pack(1)))
        await channel.asked()
        await channel.answer(b"d-1", {})
        await sending
        away()
        failed = await asyncio.gather(*(sender.send(pack(number, timeout_s=0.5)) for number in range(2, 12)))
        assert {answer.status for answer in failed} == {None}
        assert all(answer.error for answer in failed)
        if how == "killed":
            own_kafka.start()
            own_kafka.wait_ready()
        else:
            own_kafka.resume()

        async def answered() -> bool:
            trying = asyncio.create_task(sender.send(pack(20, timeout_s=5.0)))
            await eventually(lambda: trying.done() or any(_is(request, b"d-20") for request in channel.requests))
            await channel.answer(b"d-20", {})
            answer: Answer = await trying
            return answer.status == 200

        await eventually(answered, 60)


def _is(request: Any, delivery_id: bytes) -> bool:
    return header(request, "ce_id") == delivery_id


async def test_a_sender_that_starts_without_kafka_is_not_ready_and_then_is(own_kafka: Broker, prefix: str) -> None:
    settings = Settings(kafka=own_kafka.bootstrap, topic_prefix=prefix, partitions=PARTITIONS)
    channels = channels_on_kafka("demo")
    await admin.create(settings, channels)
    own_kafka.kill()
    async with running(settings, channels) as sender:
        assert "not connected" in (sender.unready() or "")
        answer = await sender.send(pack(1))
        assert answer.status is None
        assert "Kafka cannot be reached" in answer.error
        own_kafka.start()
        own_kafka.wait_ready()
        await eventually(lambda: sender.unready() is None, 60)
