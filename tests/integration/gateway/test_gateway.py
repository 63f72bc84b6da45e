"""The gateway on a real Kafka: a 2xx is in the topic at its receipt's place, and verdicts find their caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from gateway.app import serve
from sluice.demo_channels import demo_channels
from sluice.dev.local.ports import free_ports
from tests.fakes.gateway import MARKETPLACE, headers_for
from tests.support.eventually import eventually
from tests.support.kafka import Kafka
from topics.api.routes import full_path
from topics.configuration.channels_file import parse_channels
from topics.configuration.settings import Settings, load_settings
from topics.contract.sample_files import sample
from topics.contract.touchpoints import BY_NAME
from topics.kafka.admin import create
from topics.kafka.catalogue import BY_NAME as TOPICS
from topics.records.envelope import FACT, Envelope, parse
from topics.records.keys import order_key, partition_of, position_key
from topics.records.reading import MADE_BY
from topics.records.verdicts import Reply, Verdict
from topics.stock.positions import encode_position

Decide = Callable[[Envelope, dict[str, Any]], "Reply | None"]


def applied(envelope: Envelope, _members: dict[str, Any]) -> Reply | None:
    return Reply(event=envelope.id, verdict=Verdict.APPLIED)


def silent(_envelope: Envelope, _members: dict[str, Any]) -> Reply | None:
    return None


@dataclass
class Orders:
    """An orders role of one line: a reply for each command, as `decide` says."""

    settings: Settings
    decide: Decide = applied

    async def run(self) -> None:
        prefix = self.settings.topic_prefix
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.kafka, auto_offset_reset="earliest")
        producer = AIOKafkaProducer(bootstrap_servers=self.settings.kafka)
        await consumer.start()
        await producer.start()
        try:
            commands = TOPICS["orders.commands"].full_name(prefix)
            consumer.assign([TopicPartition(commands, number) for number in range(self.settings.partitions)])
            async for record in consumer:
                envelope = parse(record.headers)
                reply = self.decide(envelope, orjson.loads(record.value))
                if reply is not None:
                    await producer.send_and_wait(
                        TOPICS["replies"].full_name(prefix),
                        reply.encode(),
                        key=envelope.id.encode(),
                        partition=envelope.reply_partition,
                    )
        finally:
            await consumer.stop()
            await producer.stop()


@dataclass
class Running:
    session: aiohttp.ClientSession
    url: str
    admin_url: str
    settings: Settings
    orders: Orders

    async def call(self, name: str, **changes: Any) -> tuple[int, Any, dict[str, str]]:
        touchpoint, example = BY_NAME[name], sample(name)
        url = self.url + full_path(touchpoint).format(channel="demo", **example.path)
        body = orjson.dumps({**(example.body or {}), **changes})
        headers = headers_for(touchpoint)
        async with self.session.request(touchpoint.method, url, data=body, headers=headers) as response:
            raw = await response.read()
            return response.status, orjson.loads(raw) if raw else None, dict(response.headers)

    async def get(self, path: str) -> tuple[int, Any]:
        url = self.admin_url if path.startswith("/api") else self.url
        async with self.session.get(url + path) as response:
            return response.status, await response.json(content_type=None)

    async def ready(self) -> bool:
        return (await self.get("/ready"))[0] == 200


@asynccontextmanager
async def running(
    kafka: str, prefix: str, decide: Decide = applied, *, with_kafka: bool = True, **changes: Any
) -> AsyncIterator[Running]:
    """A gateway and its orders role; without Kafka only the gateway, and nothing is waited for."""
    port, admin = free_ports(2)
    ports = {"gateway_port": port, "admin_port": admin}
    settings = load_settings(
        kafka=kafka, topic_prefix=prefix, partitions=2, log_level="warning", api_open=True, **ports, **changes
    )
    orders = Orders(settings, decide)
    async with AsyncExitStack() as stack:
        if with_kafka:
            await create(settings)
            role = asyncio.create_task(orders.run())
            stack.push_async_callback(_ended, role)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        await serve(settings, parse_channels(demo_channels(), where="test"), stack)
        at = Running(session, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin}", settings, orders)
        if with_kafka:
            await eventually(at.ready, what="the gateway is ready")
        yield at


async def _ended(role: asyncio.Task[None]) -> None:
    role.cancel()
    await asyncio.wait([role])


async def stored_at(settings: Settings, receipt: str) -> Any:
    """The record that a receipt names."""
    topic, partition, offset = receipt.rsplit("/", 2)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka)
    await consumer.start()
    try:
        place = TopicPartition(topic, int(partition))
        consumer.assign([place])
        consumer.seek(place, int(offset))
        return await asyncio.wait_for(consumer.getone(), 10)
    finally:
        await consumer.stop()


async def test_a_receipt_names_the_record_and_the_verdict_is_the_orders(kafka: Kafka, prefix: str) -> None:
    async with running(kafka.bootstrap, prefix) as at:
        status, body, headers = await at.call("create-outward-order")
        assert (status, body) == (200, None)
        record = await stored_at(at.settings, headers["Sluice-Position"])
        assert parse(record.headers).id == headers["Sluice-Event-Id"]
        assert orjson.loads(record.value) == sample("create-outward-order").body

        at.orders.decide = lambda envelope, _members: Reply(
            event=envelope.id, verdict=Verdict.CONFLICT, message="another payload"
        )
        status, body, _headers = await at.call("create-outward-order", orderType="OTHER")
        assert (status, body["code"], body["message"]) == (400, "CONFLICT", "another payload")


async def test_concurrent_callers_each_get_their_own_answer(kafka: Kafka, prefix: str) -> None:
    def decide(envelope: Envelope, members: dict[str, Any]) -> Reply:
        return Reply(
            event=envelope.id, verdict=Verdict.APPLIED, status=200, body={"shipmentCode": members["orderCode"]}
        )

    async with running(kafka.bootstrap, prefix, decide) as at:
        codes = [f"O-{number}" for number in range(200)]
        answers = await asyncio.gather(*(at.call("pack-order", orderCode=code) for code in codes))
        assert [body["shipmentCode"] for _status, body, _headers in answers] == codes
        assert len({headers["Sluice-Event-Id"] for _status, _body, headers in answers}) == 200


async def test_a_batch_is_one_record_per_order_in_the_callers_order(kafka: Kafka, prefix: str) -> None:
    seen: list[str] = []

    def decide(envelope: Envelope, members: dict[str, Any]) -> Reply:
        (order,) = members["orders"]
        seen.append(order["orderCode"])
        verdict = Verdict.EARLY if order["orderCode"].endswith("7") else Verdict.APPLIED
        return Reply(event=envelope.id, verdict=verdict)

    async with running(kafka.bootstrap, prefix, decide) as at:
        orders = [{"orderCode": f"O-{number}", "locationCode": "W"} for number in range(300)]
        status, body, _headers = await at.call("acknowledgement", orders=orders)
        assert status == 200
        assert body["successOrders"] == [order for order in orders if not order["orderCode"].endswith("7")]
        assert sorted(seen) == sorted(order["orderCode"] for order in orders)


async def test_the_largest_order_goes_through(kafka: Kafka, prefix: str) -> None:
    async with running(kafka.bootstrap, prefix) as at:
        body = sample("create-outward-order").body or {}
        item = {**body["orderItems"][0], "note": "n" * 250}
        items = [{**item, "orderItemCode": f"I-{number}", "more": "m" * 900} for number in range(2_500)]
        raw = orjson.dumps({**body, "orderItems": items})
        assert 3_500_000 < len(raw) < at.settings.body_bytes_max
        status, _body, headers = await at.call("create-outward-order", orderItems=items)
        assert status == 200
        assert (await stored_at(at.settings, headers["Sluice-Position"])).value == raw


async def test_without_a_verdict_the_call_is_stored_and_says_so(kafka: Kafka, prefix: str) -> None:
    async with running(kafka.bootstrap, prefix, silent, verdict_timeout_s=0.3) as at:
        status, body, headers = await at.call("create-outward-order")
        assert (status, body["code"]) == (503, "VERDICT_LATE")
        assert (await stored_at(at.settings, headers["Sluice-Position"])).value
        status, body, _headers = await at.call("acknowledgement")
        assert (status, len(body["successOrders"])) == (200, 2)


async def test_replies_of_strangers_are_ignored(kafka: Kafka, prefix: str) -> None:
    async with running(kafka.bootstrap, prefix) as at:
        _status, _body, headers = await at.call("create-outward-order")
        partition = parse((await stored_at(at.settings, headers["Sluice-Position"])).headers).reply_partition
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
        await producer.start()
        topic = TOPICS["replies"].full_name(prefix)
        await producer.send_and_wait(topic, b"not even JSON", key=b"somebody", partition=partition)
        await producer.send_and_wait(topic, b"{}", partition=partition)
        await producer.stop()
        assert (await at.call("create-outward-order"))[0] == 200


async def test_search_follows_the_positions(kafka: Kafka, prefix: str) -> None:
    async with running(kafka.bootstrap, prefix) as at:
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
        await producer.start()
        item = encode_position({"channelSkuCode": "A", "quantity": 7})
        topic = TOPICS["inventory.positions"].full_name(prefix)
        await producer.send_and_wait(topic, item, key=position_key("demo", "DXB-WH-01", "A"))
        await producer.stop()

        async def found() -> bool:
            status, body, headers = await at.call("search-inventory-marketplace", channelSkuCodes=["A"])
            age_ms = int(headers.get("Sluice-Stock-Age-Ms", -1))
            return (
                status == 200
                and body["failureList"] == []
                and body["successList"][0]["totalQuantity"] == 7
                and (0 <= age_ms < 60_000)
            )

        await eventually(found)


async def test_an_order_is_asked_for_over_the_same_way(kafka: Kafka, prefix: str) -> None:
    def decide(envelope: Envelope, members: dict[str, Any]) -> Reply:
        document = {"orderCode": "O1"} if members["orderCode"] == "O1" else None
        return Reply(event=envelope.id, verdict=Verdict.ANSWERED, body=document)

    async with running(kafka.bootstrap, prefix, decide) as at:
        status, document = await at.get("/api/orders/O1")
        assert (status, document["orderCode"]) == (200, "O1")
        assert (await at.get("/api/orders/O2"))[0] == 404


async def test_what_happened_to_an_order_is_read_from_its_partition(kafka: Kafka, prefix: str) -> None:
    key, created_ms = order_key("demo", "O1"), 1_750_000_000_000
    times = {sequence: created_ms + sequence * 90_000 for sequence in range(1, 6)}

    def decide(envelope: Envelope, _members: dict[str, Any]) -> Reply:
        facts = [{"sequence": sequence, "name": "order-updated", "atMs": times[sequence]} for sequence in (4, 5)]
        document = {"channel": "demo", "orderCode": "O1", "createdAtMs": created_ms, "facts": facts}
        return Reply(event=envelope.id, verdict=Verdict.ANSWERED, body=document)

    async with (
        running(kafka.bootstrap, prefix, decide) as at,
        AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as to,
    ):
        for sequence, at_ms in times.items():
            fact = {"sequence": sequence, "atMs": at_ms, "sinceCreatedMs": at_ms - created_ms}
            stamps = Envelope(id=str(sequence), type=FACT + "order-updated", source="", channel="demo", time_ms=at_ms)
            headers = [*stamps.headers(), (MADE_BY, b"1/%d" % sequence)]
            for one in (key, order_key("demo", "other")):
                await to.send_and_wait(
                    TOPICS["orders.events"].full_name(prefix),
                    orjson.dumps(fact),
                    key=one,
                    partition=partition_of(key, 2),
                    timestamp_ms=at_ms,
                    headers=headers,
                )
        status, page = await at.get("/api/orders/O1/events?after=1&limit=3")
        assert (status, [event["data"]["sequence"] for event in page["events"]]) == (200, [2, 3, 4])
        status, page = await at.get(page["next"])
        assert (status, [event["data"]["sequence"] for event in page["events"]], page["next"]) == (200, [5], None)


async def test_what_waits_when_the_gateway_stops_is_answered(kafka: Kafka, prefix: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("gateway.app.STOP_S", 0.2)
    async with aiohttp.ClientSession() as session:
        async with running(kafka.bootstrap, prefix, silent) as at:
            url = f"{at.url}/assure-magic2/orders/outward"
            posted = asyncio.create_task(
                session.post(url, data=orjson.dumps(sample("create-outward-order").body), headers=MARKETPLACE)
            )

            async def waits() -> bool:
                async with at.session.get(f"{at.admin_url}/metrics") as response:
                    return b"sluice_gateway_waiters 1.0" in await response.read()

            await eventually(waits)
        response = await posted
        assert response.status == 503
        assert "Sluice-Position" in response.headers


async def test_operations(kafka: Kafka, prefix: str) -> None:
    async with running(kafka.bootstrap, prefix) as at:
        for path in ("/live", "/ready", "/metrics", "/openapi.json", "/asyncapi.json", "/api/redrives"):
            async with at.session.get(at.admin_url + path) as response:
                assert response.status == 200
                assert await response.read()
            async with at.session.get(at.url + path) as response:
                assert response.status == (404 if path in ("/metrics", "/api/redrives") else 200)
