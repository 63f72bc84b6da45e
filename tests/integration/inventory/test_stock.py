"""Stock from a record to the channel, on a real Kafka with the roles as processes: what was accepted last is what the
channel has in the end, whatever the channel answers and whoever is killed."""

from __future__ import annotations

import asyncio
import json
import signal
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.support.eventually import eventually
from tests.support.kafka import Kafka
from tests.support.roles import RoleProcess
from topics.configuration.settings import Settings
from topics.kafka import admin
from topics.kafka.catalogue import BY_NAME
from topics.records.envelope import COMMAND, Envelope
from topics.records.keys import channel_destination, destination_partition, shard_of, stock_key

PARTITIONS = 2
SHARDS = 2

CHANNELS = """
[increff]
url = "{base}/increff"

[channels.demo]
credentials = {{ username = "demo", password = "demo-secret", domain = "demo" }}
increff_credentials = {{ username = "sluice", password = "sluice-secret", domain = "demo" }}
increff_headers = {{ X-Api-Key = "demo-increff" }}
marketplace = {{ url = "{base}/marketplace", shards = {shards} }}
"""

Answer = Callable[[list[dict[str, Any]]], web.Response]


def takes_all(_items: list[dict[str, Any]]) -> web.Response:
    return web.Response()


class Marketplace:
    """Applies what arrives, in the order of arrival. `stock` is what it believes: (location, SKU) -> item."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[dict[str, Any]]]] = []
        self.stock: dict[tuple[str, str], dict[str, Any]] = {}
        self.answer: Answer = takes_all
        self.open = asyncio.Event()
        self.open.set()
        app = web.Application()
        app.router.add_put("/marketplace/inventory", self._take)
        app.router.add_put("/marketplace/inventory/consolidated", self._take)
        self.server = TestServer(app)

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.json()
        location = body["locationCode"] if "locationCode" in body else "~" + body["consolidationType"]
        self.calls.append((location, body["inventories"]))
        answer = self.answer(body["inventories"])
        if answer.status == 200:
            failed = json.loads(answer.body)["failureList"] if isinstance(answer.body, bytes) and answer.body else []
            for item in body["inventories"]:
                if item["channelSkuCode"] not in failed:
                    self.stock[location, item["channelSkuCode"]] = item
        await self.open.wait()
        return answer

    def quantities(self, location: str) -> dict[str, int]:
        return {sku: item["quantity"] for (place, sku), item in self.stock.items() if place == location}


class Stage:
    """A marketplace, a topic prefix, and the two roles as processes that can be killed and begun again."""

    def __init__(self, settings: Settings, far: Marketplace, producer: Any, directory: Path) -> None:
        self.settings = settings
        self.far = far
        self._producer = producer
        self._roles = {name: RoleProcess(name, settings, directory) for name in ("inventory", "delivery")}

    async def begin(self, *roles: str) -> None:
        await asyncio.gather(*(self._roles[role].begin() for role in roles))

    async def end(self, role: str, how: signal.Signals) -> int | None:
        return await self._roles[role].end(how)

    async def close(self) -> None:
        for role in self._roles.values():
            await role.end(signal.SIGKILL)

    async def give(
        self, location: str, quantities: dict[str, Any], *, partition: int | None = None, said_ms: int = 0
    ) -> str:
        """A batch from a direct producer, in the right partition unless told otherwise. `said_ms`: its ce_time."""
        items = [{"channelSkuCode": sku, "quantity": quantity} for sku, quantity in quantities.items()]
        return await self.produce("location-wise-atp-inventory", location, {"inventories": items}, partition, said_ms)

    async def produce(
        self, touchpoint: str, location: str, body: dict[str, Any], partition: int | None = None, said_ms: int = 0
    ) -> str:
        name = uuid.uuid4().hex
        if touchpoint.startswith("location"):
            body = {"locationCode": location, **body}
        kind = COMMAND + touchpoint
        headers = Envelope(id=name, type=kind, source="test", channel="demo", time_ms=said_ms).headers()
        await self._producer.send_and_wait(
            BY_NAME["inventory.updates"].full_name(self.settings.topic_prefix),
            json.dumps(body).encode(),
            key=stock_key("demo", location),
            partition=partition_of(location) if partition is None else partition,
            headers=list(headers),
        )
        return name

    async def read(self, topic: str) -> list[Any]:
        """All that a topic holds now."""
        consumer = AIOKafkaConsumer(
            BY_NAME[topic].full_name(self.settings.topic_prefix),
            bootstrap_servers=self.settings.kafka,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            ends = await consumer.end_offsets(consumer.assignment())
            records: list[Any] = []
            while len(records) < sum(ends.values()):
                for chunk in (await consumer.getmany(timeout_ms=200)).values():
                    records += chunk
            return records
        finally:
            await consumer.stop()

    async def arrives(self, location: str, quantities: dict[str, int]) -> None:
        await eventually(
            lambda: self.far.quantities(location) == quantities,
            what=lambda: f"{self.far.quantities(location)} is not {quantities}\n{self._roles['delivery'].log()}",
        )


def partition_of(location: str) -> int:
    shard = shard_of(stock_key("demo", location), SHARDS)
    return destination_partition(channel_destination("demo"), shard, PARTITIONS)


@asynccontextmanager
async def staged(kafka: Kafka, prefix: str, directory: Path) -> AsyncIterator[Stage]:
    settings = Settings(kafka=kafka.bootstrap, topic_prefix=prefix, partitions=PARTITIONS)
    await admin.create(settings)
    far = Marketplace()
    await far.server.start_server()
    base = str(far.server.make_url("")).rstrip("/")
    (directory / "channels.toml").write_text(CHANNELS.format(base=base, shards=SHARDS))
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all")
    await producer.start()
    stage = Stage(settings, far, producer, directory)
    try:
        yield stage
    finally:
        far.open.set()
        await stage.close()
        await producer.stop()
        await far.server.close()


async def test_stock_arrives_whole_in_batches_and_what_failed_comes_again(
    kafka: Kafka, prefix: str, tmp_path: Path
) -> None:
    """A first zero, 450 SKUs at once, a failureList, the consolidated form, a bad SKU among good ones, and a record in
    the wrong partition: each ends where it belongs."""
    async with staged(kafka, prefix, tmp_path) as stage:
        await stage.begin("inventory", "delivery")
        far = stage.far

        failures = [2]

        def fails_twice(items: list[dict[str, Any]]) -> web.Response:
            named = [item["channelSkuCode"] for item in items if item["channelSkuCode"] == "F" and failures[0] > 0]
            failures[0] -= len(named)
            return web.json_response({"successList": [], "failureList": named})

        far.answer = fails_twice
        await stage.give("L1", {"A": 0, "B": 3, "F": 5})
        await stage.arrives("L1", {"A": 0, "B": 3, "F": 5})
        assert len([1 for _, items in far.calls if any(item["channelSkuCode"] == "F" for item in items)]) == 3
        assert len([1 for _, items in far.calls if any(item["channelSkuCode"] == "A" for item in items)]) == 1

        far.answer = takes_all
        many = {f"S{number}": number for number in range(450)}
        for start in range(0, 450, 150):
            await stage.give("L2", {f"S{number}": number for number in range(start, start + 150)})
        await stage.arrives("L2", many)
        assert max(len(items) for _, items in far.calls) <= 200

        item = {"channelSkuCode": "A", "listingId": 7, "consolidatedQuantity": 9, "quantity": 4, "locationCode": "L1"}
        body = {"consolidationType": "ALL", "inventories": [item]}
        await stage.produce("consolidated-atp-inventory", "~ALL", body)
        await eventually(lambda: far.stock.get(("~ALL", "A")) == item)

        wrong = await stage.give("L1", {"A": 1, "B": -4, "C": "many"}, partition=1 - partition_of("L1"))
        await stage.arrives("L1", {"A": 1, "B": 3, "F": 5})
        rejected = [dict(record.headers) for record in await stage.read("commands.rejected")]
        assert [headers["ce_id"].decode() for headers in rejected] == [wrong]
        assert b"inventories[1].quantity" in rejected[0]["sluice-rejected-reason"]
        assert b"inventories[2].quantity" in rejected[0]["sluice-rejected-reason"]
        assert await stage.end("delivery", signal.SIGTERM) == 0
        assert await stage.end("inventory", signal.SIGTERM) == 0


async def test_a_kill_while_a_call_is_in_the_air_leaves_the_newest_at_the_channel(
    kafka: Kafka, prefix: str, tmp_path: Path
) -> None:
    """The position returns to the value last acknowledged while the killed call carried another one: positions and
    acknowledged values show no difference, and yet the channel must be told."""
    async with staged(kafka, prefix, tmp_path) as stage:
        await stage.begin("inventory", "delivery")
        far = stage.far
        await stage.give("L1", {"A": 1, "B": 1})
        await stage.arrives("L1", {"A": 1, "B": 1})
        await eventually(lambda: _acknowledged(stage, 2))
        far.open.clear()
        await stage.give("L1", {"A": 2})
        await stage.arrives("L1", {"A": 2, "B": 1})
        await stage.end("delivery", signal.SIGKILL)
        await stage.give("L1", {"A": 1})
        await stage.give("L3", {"C": 0})
        far.open.set()
        await stage.begin("delivery")
        await stage.arrives("L1", {"A": 1, "B": 1})
        await stage.arrives("L3", {"C": 0})
        assert not any(item["channelSkuCode"] == "B" for _, items in far.calls[2:] for item in items), (
            "B was in no doubt"
        )


async def _acknowledged(stage: Stage, count: int) -> bool:
    keys = {record.key for record in await stage.read("inventory.sent") if not record.key.startswith(b"~")}
    return len(keys) >= count


async def test_inventory_killed_in_the_middle_of_a_stream_ends_with_the_last_values(
    kafka: Kafka, prefix: str, tmp_path: Path
) -> None:
    """Records that Kafka gives again after the kill are recognised: no position goes back, and none is lost."""
    async with staged(kafka, prefix, tmp_path) as stage:
        await stage.begin("inventory", "delivery")
        last: dict[str, int] = {}
        for round_number in range(60):
            batch = {f"S{(round_number * 7 + place) % 40}": round_number for place in range(25)}
            last.update(batch)
            await stage.give("L1", batch)
            if round_number in (20, 40):
                await stage.end("inventory", signal.SIGKILL)
                await stage.begin("inventory")
        await stage.arrives("L1", last)
        positions = [record for record in await stage.read("inventory.positions") if not record.key.startswith(b"~")]
        seen: dict[bytes, int] = {}
        for record in positions:
            quantity = json.loads(record.value)["quantity"]
            assert quantity >= seen.get(record.key, 0), "a position went back"
            seen[record.key] = quantity


async def test_a_word_that_was_under_way_for_long_does_not_follow_newer(
    kafka: Kafka, prefix: str, tmp_path: Path
) -> None:
    """It was in a producer's memory, or on its way from a gateway that stood still. The role begins again meanwhile."""
    async with staged(kafka, prefix, tmp_path) as stage:
        await stage.begin("inventory", "delivery")
        now_ms = int(time.time() * 1000)
        await stage.give("L1", {"A": 0}, said_ms=now_ms - 9_000)
        await stage.arrives("L1", {"A": 0})
        await stage.give("L1", {"A": 2}, said_ms=now_ms)
        await stage.arrives("L1", {"A": 2})
        await stage.end("inventory", signal.SIGKILL)
        await stage.begin("inventory")
        await stage.give("L1", {"A": 1, "B": 7}, said_ms=now_ms - 8_000)
        await stage.arrives("L1", {"A": 2, "B": 7})
        [rejected] = await stage.read("commands.rejected")
        assert dict(rejected.headers)["sluice-rejected-code"] == b"older_word"
        await stage.give("L1", {"A": 3}, said_ms=int(time.time() * 1000))
        await stage.arrives("L1", {"A": 3, "B": 7})
