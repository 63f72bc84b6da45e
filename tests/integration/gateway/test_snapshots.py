"""A snapshot through the gateway on a real Kafka: its inventory worker is killed amid it, and updates come between; in
the end each position is what the last of snapshot and updates says, and what the snapshot does not name is 0."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from gateway.app import serve
from sluice.dev.local.ports import free_ports
from tests.support.eventually import eventually
from tests.support.kafka import Kafka
from tests.support.roles import RoleProcess
from topics.configuration.channels_file import load_channels
from topics.configuration.settings import Settings, load_settings
from topics.kafka.admin import create
from topics.kafka.catalogue import BY_NAME
from topics.records.keys import split
from topics.stock.positions import is_position

CHANNELS = """
[increff]
url = "http://127.0.0.1:9"

[channels.demo]
credentials = { username = "demo", password = "demo-secret", domain = "demo" }
increff_credentials = { username = "sluice", password = "sluice-secret", domain = "demo" }
increff_headers = { X-Api-Key = "demo-increff" }
marketplace = { url = "http://127.0.0.1:9" }
"""
PATH = "/api/inventory/snapshots/demo/L1"
SKUS = 30_000
"""Enough of them that some are on Kafka while others are still to come."""


class Caller:
    def __init__(self, session: aiohttp.ClientSession, port: int, admin_port: int) -> None:
        self._session = session
        self._url = f"http://127.0.0.1:{port}"
        self._admin_url = f"http://127.0.0.1:{admin_port}"

    async def update(self, quantities: dict[str, int]) -> None:
        items = [{"channelSkuCode": sku, "quantity": quantity} for sku, quantity in quantities.items()]
        body = {"locationCode": "L1", "inventories": items}
        url = f"{self._url}/channels/demo/inventory"
        async with self._session.put(url, json=body, headers={"X-Api-Key": "demo-increff"}) as answer:
            assert (answer.status, len((await answer.json())["successList"])) == (200, len(items))

    async def load(self, body: Any) -> tuple[int, dict[str, Any]]:
        headers = {"Content-Type": "application/x-ndjson"}
        async with self._session.put(f"{self._admin_url}{PATH}?complete=true", data=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def is_ready(self) -> bool:
        async with self._session.get(f"{self._url}/ready") as answer:
            return answer.status == 200

    async def newest(self) -> dict[str, Any]:
        async with self._session.get(self._admin_url + PATH) as answer:
            told: dict[str, Any] = await answer.json()
            newest: dict[str, Any] = told["snapshots"][0] if answer.status == 200 else {}
            return newest


def line(sku: str, quantity: int) -> bytes:
    return json.dumps({"channelSkuCode": sku, "quantity": quantity}).encode() + b"\n"


async def test_a_snapshot_survives_its_worker_and_loses_to_what_is_newer(
    kafka: Kafka, prefix: str, tmp_path: Path
) -> None:
    port, admin = free_ports(2)
    settings = load_settings(
        kafka=kafka.bootstrap,
        topic_prefix=prefix,
        partitions=2,
        gateway_port=port,
        admin_port=admin,
        api_open=True,
        api_reads_per_s=1_000,  # it looks again and again how far the upload is
    )
    (tmp_path / "channels.toml").write_text(CHANNELS)
    channels = load_channels(tmp_path / "channels.toml")
    await create(settings, channels)
    worker = RoleProcess("inventory", settings, tmp_path)
    async with AsyncExitStack() as stack:
        await serve(settings, channels, stack)
        stack.push_async_callback(worker.end, signal.SIGKILL)
        await worker.begin()
        session = await stack.enter_async_context(aiohttp.ClientSession())
        caller = Caller(session, port, admin)
        await caller.update({"absent": 5, "equal": 6, "newer": 7, "S1": 1})
        half = asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            for number in range(SKUS):
                yield line(f"S{number}", number)
                if number == SKUS // 2:
                    await half.wait()
            yield line("newer", 1)

        loading = asyncio.create_task(caller.load(body()))
        await eventually(lambda: received(caller, 5_000))
        await worker.end(signal.SIGKILL)
        # "equal" is told anew with the quantity it has: a snapshot that does not name it must leave it alone.
        await caller.update({"equal": 6, "newer": 9, f"S{SKUS - 1}": 0})
        half.set()
        await worker.begin()
        status, told = await loading
        assert (status, told["state"]) == (200, "applied"), told
        assert (told["received"], told["overtaken"], told["zeroed"], told["refused"]) == (SKUS + 1, 2, 1, 0)
        assert told["changed"] + told["unchanged"] + told["overtaken"] == SKUS + 1
        stock = await positions(settings)
        wanted = {f"S{number}": number for number in range(SKUS)}
        assert stock == {**wanted, f"S{SKUS - 1}": 0, "absent": 0, "equal": 6, "newer": 9}
        assert (await caller.newest())["snapshot"] == told["snapshot"]


async def test_an_upload_that_is_open_when_the_gateway_stops_is_aborted(
    kafka: Kafka, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.app.STOP_S", 0.2)
    first, first_admin, second, second_admin = free_ports(4)
    ports = {"gateway_port": first, "admin_port": first_admin}
    settings = load_settings(kafka=kafka.bootstrap, topic_prefix=prefix, partitions=2, api_open=True, **ports)
    (tmp_path / "channels.toml").write_text(CHANNELS)
    channels = load_channels(tmp_path / "channels.toml")
    await create(settings, channels)
    worker = RoleProcess("inventory", settings, tmp_path)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(worker.end, signal.SIGKILL)
        await worker.begin()
        session = await stack.enter_async_context(aiohttp.ClientSession())
        caller = Caller(session, first, first_admin)

        async def body() -> AsyncIterator[bytes]:
            for number in range(SKUS):
                yield line(f"S{number}", number)
            await asyncio.Event().wait()

        async with AsyncExitStack() as gateway:
            await serve(settings, channels, gateway)
            await eventually(caller.is_ready)
            loading = asyncio.create_task(caller.load(body()))
            await eventually(lambda: received(caller, 5_000))
        assert (await loading)[0] == 503
        await serve(settings.model_copy(update={"gateway_port": second, "admin_port": second_admin}), channels, stack)
        other = Caller(session, second, second_admin)

        async def is_aborted() -> bool:
            found = await other.newest()
            return (found.get("state"), found.get("reason")) == ("abandoned", "aborted")

        await eventually(is_aborted)


async def received(caller: Caller, count: int) -> bool:
    return bool((await caller.newest()).get("received", 0) >= count)


async def positions(settings: Settings) -> dict[str, int]:
    """The last value of each position on Kafka. What the gateway knows was durable before it answered."""
    topic = BY_NAME["inventory.positions"].full_name(settings.topic_prefix)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(settings.partitions)]
        left = sum((await consumer.end_offsets(partitions)).values())
        consumer.assign(partitions)
        found: dict[str, int] = {}
        while left:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                left -= len(records)
                for record in records:
                    if record.value is not None and is_position(record.key):
                        found[split(record.key)[2]] = json.loads(record.value)["quantity"]
    finally:
        await consumer.stop()
    return found
