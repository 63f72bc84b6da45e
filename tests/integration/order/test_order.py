"""The orders role as a process on a real Kafka; the test plays the gateway and delivery.

Property: what was produced is decided exactly once, in order, whoever wrote it and however often the role is killed;
a direct producer's bad record is set aside while its neighbours go on.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from sluice.demo_channels import demo_channels
from tests.support.eventually import eventually
from tests.support.kafka import Kafka
from tests.support.orders import (
    CHANNEL,
    acknowledgement_body,
    create_body,
    handover_body,
    pack_body,
)
from topics.configuration.channels_file import parse_channels
from topics.configuration.settings import Settings
from topics.contract.entities import entity_key
from topics.contract.touchpoints import BY_NAME as TOUCHPOINTS
from topics.kafka import admin
from topics.kafka.catalogue import BY_NAME
from topics.records.deliveries import Attempt, DeliveryRequest, Outcome, OutcomeKind, decode_request
from topics.records.envelope import COMMAND, DELIVERY_OUTCOME, DELIVERY_SOURCE, GATEWAY_SOURCE, ORDER_QUERY, Envelope
from topics.records.keys import order_key
from topics.records.verdicts import Reply, Verdict, decode_reply

ROOT = Path(__file__).resolve().parents[3]
PARTITIONS = 2
REPLIES = 3
READ = ("replies", "replies.demo", "deliveries.requests", "orders.events", "commands.rejected")


class World:
    """Everything around the orders role. Delivery's part is played at once: every request is taken, ids once."""

    def __init__(self, settings: Settings, directory: Path, producer: Any, consumer: Any) -> None:
        self.settings = settings
        self.replies: dict[str, Reply] = {}
        self.requests: dict[str, DeliveryRequest] = {}
        self.facts: dict[bytes, dict[str, dict[str, Any]]] = {}
        self.rejected: list[dict[str, bytes]] = []
        self.process: asyncio.subprocess.Process | None = None
        self.environment: dict[str, str] = {}
        self.repeated: list[str] = []
        """Ids of facts that came again."""
        self._directory = directory
        self._producer = producer
        self._consumer = consumer
        self._reading = asyncio.create_task(self._read())

    async def begin(self) -> None:
        env = os.environ | {
            "SLUICE_KAFKA": self.settings.kafka,
            "SLUICE_TOPIC_PREFIX": self.settings.topic_prefix,
            "SLUICE_PARTITIONS": str(PARTITIONS),
            "SLUICE_STATE_DIR": str(self._directory / "state"),
            **self.environment,
        }
        with (self._directory / "orders.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "sluice", "run", "orders", cwd=ROOT, env=env, stdout=log, stderr=log
            )

    async def end(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return await self.process.wait()

    async def close(self) -> None:
        if self.process is not None and self.process.returncode is None:
            await self.end(signal.SIGKILL)
        self._reading.cancel()

    async def call(
        self,
        touchpoint: str,
        body: dict[str, Any],
        event_id: str,
        *,
        source: str = GATEWAY_SOURCE,
        key: bytes = b"",
        reply_topic: str = "",
    ) -> None:
        envelope = Envelope(
            id=event_id,
            type=COMMAND + touchpoint,
            source=source,
            channel=CHANNEL,
            reply_partition=None if reply_topic else REPLIES,
            reply_topic=reply_topic and f"{self.settings.topic_prefix}.{reply_topic}.v1",
        )
        entity = key or entity_key(TOUCHPOINTS[touchpoint], CHANNEL, body)
        await self._send(entity, orjson.dumps(body), envelope)

    async def query(self, code: str) -> dict[str, Any]:
        name = f"query-{code}-{len(self.replies)}"
        envelope = Envelope(id=name, type=ORDER_QUERY, source=GATEWAY_SOURCE, channel=CHANNEL, reply_partition=REPLIES)
        await self._send(order_key(CHANNEL, code), orjson.dumps({"orderCode": code}), envelope)
        body: dict[str, Any] = (await self.reply(name)).body
        return body

    async def has_facts(self, code: str, numbers: list[int]) -> None:
        """The facts of an order, each id once, have these numbers."""

        def found() -> list[int]:
            return sorted(fact["sequence"] for fact in self.facts.get(order_key(CHANNEL, code), {}).values())

        await eventually(lambda: found() == numbers, what=lambda: f"{code}: {found()} are not {numbers}")

    async def reply(self, event_id: str) -> Reply:
        await eventually(lambda: event_id in self.replies, 60, what=lambda: f"no reply to {event_id}\n{self.log()}")
        return self.replies[event_id]

    def log(self) -> str:
        return (self._directory / "orders.log").read_text(errors="replace")[-3_000:]

    async def _send(self, key: bytes, value: bytes, envelope: Envelope) -> None:
        topic = BY_NAME["orders.commands"].full_name(self.settings.topic_prefix)
        await self._producer.send_and_wait(topic, value, key=key, headers=list(envelope.headers()))

    async def _read(self) -> None:
        async for record in self._consumer:
            topic = record.topic.removeprefix(f"{self.settings.topic_prefix}.").removesuffix(".v1")
            if topic in ("replies", "replies.demo"):
                reply = decode_reply(record.value)
                self.replies[reply.event] = reply
            elif topic == "deliveries.requests":
                await self._deliver(decode_request(record.value))
            elif topic == "orders.events":
                fact_id = dict(record.headers)["ce_id"].decode()
                self._take_fact(record.key, fact_id, orjson.loads(record.value))
            else:
                assert topic == "commands.rejected"
                self.rejected.append(dict(record.headers))

    def _take_fact(self, key: bytes, fact_id: str, fact: dict[str, Any]) -> None:
        known = self.facts.setdefault(key, {})
        if fact_id in known:
            assert fact == known[fact_id], "decided again, a fact is the same"
            self.repeated.append(fact_id)
        known[fact_id] = fact

    async def _deliver(self, request: DeliveryRequest) -> None:
        if request.id in self.requests:
            assert request == self.requests[request.id], "decided again, a request is the same"
            return
        self.requests[request.id] = request
        attempt = Attempt(number=1, at_ms=request.created_ms, took_ms=1.0, status=200)
        outcome = Outcome(
            request=request.id,
            touchpoint=request.touchpoint,
            kind=OutcomeKind.DELIVERED,
            status=200,
            body={"shipmentCode": "S-1"},
            attempt=attempt,
        )
        envelope = Envelope(
            id=f"{request.id}:delivered", type=DELIVERY_OUTCOME, source=DELIVERY_SOURCE, channel=request.channel
        )
        await self._send(request.entity.encode(), outcome.encode(), envelope)


@asynccontextmanager
async def made(kafka: Kafka, prefix: str, directory: Path) -> AsyncIterator[World]:
    settings = Settings(kafka=kafka.bootstrap, topic_prefix=prefix, partitions=PARTITIONS)
    await admin.create(settings, parse_channels(demo_channels(), where="demo"))
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all")
    topics = [f"{prefix}.{name}.v1" for name in READ]
    consumer = AIOKafkaConsumer(*topics, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")
    await producer.start()
    await consumer.start()
    world = World(settings, directory, producer, consumer)
    try:
        yield world
    finally:
        await world.close()
        await consumer.stop()
        await producer.stop()


async def test_orders_travel_through_kills_and_a_clean_stop(kafka: Kafka, prefix: str, tmp_path: Path) -> None:
    codes = [f"O-{number}" for number in range(30)]
    async with made(kafka, prefix, tmp_path) as world:
        await world.begin()
        for code in codes:
            await world.call("create-outward-order", create_body(code), f"create-{code}")
        assert (await world.reply("create-O-0")).verdict is Verdict.APPLIED
        await world.end(signal.SIGKILL)
        for code in codes:
            await world.call("acknowledgement", acknowledgement_body(code), f"ack-{code}")
            await world.call("pack-order", pack_body(1, code, sku_1=2, sku_2=1), f"pack-{code}")
        await world.begin()
        for code in codes:
            assert (await world.reply(f"pack-{code}")).body == {"shipmentCode": "S-1"}
            await world.call("handover-notification", handover_body("S-1", code=code), f"handover-{code}")
            if code == "O-15":
                await world.end(signal.SIGKILL)
                await world.begin()
        for code in codes:
            assert (await world.reply(f"handover-{code}")).verdict is Verdict.APPLIED
        assert await world.end(signal.SIGTERM) == 0, world.log()
        await world.begin()
        for code in codes:
            order = await world.query(code)
            assert (order["state"], [line["packed"] for line in order["lines"]]) == ("HANDED_OVER", [2, 1])
            numbers = list(range(1, order["facts"][-1]["sequence"] + 1))
            await world.has_facts(code, numbers)
        # Create, acknowledgement, pack, handover: each once.
        await eventually(lambda: len(world.requests) >= 4 * len(codes))
        assert len(world.requests) == 4 * len(codes)


async def test_a_direct_producers_mistakes_are_set_aside_and_its_good_records_find_their_order(
    kafka: Kafka, prefix: str, tmp_path: Path
) -> None:
    async with made(kafka, prefix, tmp_path) as world:
        await world.begin()
        await world.call("create-outward-order", create_body("before"), "before", source="/erp")
        await world.call("create-outward-order", {"orderCode": "bad"}, "bad", source="/erp", key=b"bad")
        await world.call("create-outward-order", create_body("lost"), "lost", source="/erp", key=b"any key at all")
        await world.call("create-outward-order", create_body("after"), "after", source="/erp")
        for name in ("before", "lost", "after"):
            assert (await world.reply(name)).verdict is Verdict.APPLIED
            assert (await world.query(name))["state"] in ("RECEIVED", "SUBMITTED")
        await eventually(lambda: world.rejected)
        assert [headers["ce_id"] for headers in world.rejected] == [b"bad"]
        assert b"orderItems" in world.rejected[0]["sluice-rejected-reason"]


async def test_a_direct_producer_gets_the_verdicts_that_a_caller_over_http_gets(
    kafka: Kafka, prefix: str, tmp_path: Path
) -> None:
    """Applied, repeated, changed, refused, invalid, and the far side's answer: all on the topic that it named."""
    async with made(kafka, prefix, tmp_path) as world:
        await world.begin()

        async def verdict(touchpoint: str, body: dict[str, Any], event_id: str, topic: str = "replies.demo") -> Reply:
            await world.call(touchpoint, body, event_id, source="/erp", key=b"any", reply_topic=topic)
            return await world.reply(event_id)

        assert (await verdict("create-outward-order", create_body("O"), "first")).verdict is Verdict.APPLIED
        assert (await verdict("create-outward-order", create_body("O"), "again")).verdict is Verdict.DUPLICATE
        changed = create_body("O", quantities=(7,))
        assert (await verdict("create-outward-order", changed, "changed")).verdict is Verdict.CONFLICT
        packed = await verdict("pack-order", pack_body(1, "O", sku_1=2, sku_2=1), "pack")
        assert (packed.verdict, packed.body) == (Verdict.APPLIED, {"shipmentCode": "S-1"})
        assert (await verdict("pack-order", pack_body(2, "O", sku_1=9), "over")).verdict is Verdict.REFUSED
        invalid = await verdict("create-outward-order", {"orderCode": "bad"}, "invalid")
        assert invalid.verdict is Verdict.REFUSED
        assert "orderItems" in invalid.message
        await eventually(lambda: len(world.rejected) == 1)

        await world.call("create-outward-order", create_body("X"), "lost", source="/erp", reply_topic="replies.others")
        await eventually(lambda: len(world.rejected) == 2)
        assert b"sluice-reply-topic" in world.rejected[1]["sluice-rejected-reason"]
