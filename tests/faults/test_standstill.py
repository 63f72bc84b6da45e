"""A gateway process that stands still (SIGSTOP) while the caller goes on at another one: the newer word stays."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from sluice.demo_channels import demo_channels
from sluice.dev.local.ports import free_ports
from tests.fakes.gateway import headers_for
from tests.support.eventually import eventually
from tests.support.kafka import Kafka
from tests.support.roles import ROOT
from topics import http_sessions
from topics.api.routes import full_path
from topics.configuration.channels_file import parse_channels
from topics.configuration.settings import Settings, load_settings
from topics.contract.sample_files import sample
from topics.contract.touchpoints import BY_NAME
from topics.kafka.admin import create

STANDSTILL_S = 3.0
"""Longer than what a gateway takes for a busy loop; callers give up after that and go elsewhere."""
STOCK = BY_NAME["location-wise-atp-inventory"]


@dataclass
class GatewayProcess:
    process: asyncio.subprocess.Process
    port: int
    session: aiohttp.ClientSession

    @property
    def stock_url(self) -> str:
        return f"http://127.0.0.1:{self.port}" + full_path(STOCK).format(channel="demo", **sample(STOCK.name).path)

    def send(self, how: signal.Signals) -> None:
        self.process.send_signal(how)

    async def stock(self, quantity: int) -> int:
        async with self.session.request(
            STOCK.method, self.stock_url, data=body(quantity), headers=headers_for(STOCK)
        ) as answer:
            await answer.read()
            return answer.status

    async def is_ready(self) -> bool:
        try:
            async with self.session.get(f"http://127.0.0.1:{self.port}/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False


def body(quantity: int) -> bytes:
    return orjson.dumps(
        {**(sample(STOCK.name).body or {}), "inventories": [{"channelSkuCode": "S", "quantity": quantity}]}
    )


@asynccontextmanager
async def gateway(settings: Settings, directory: Path, name: str) -> AsyncIterator[GatewayProcess]:
    (port,) = free_ports(1)
    environment = {
        "SLUICE_KAFKA": settings.kafka,
        "SLUICE_TOPIC_PREFIX": settings.topic_prefix,
        "SLUICE_PARTITIONS": str(settings.partitions),
        "SLUICE_GATEWAY_PORT": str(port),
        "SLUICE_ADMIN_PORT": "0",
        "SLUICE_STATE_DIR": str(directory / name),
    }
    with (directory / f"{name}.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "sluice",
            "run",
            "gateway",
            cwd=ROOT,
            env=os.environ | environment,
            stdout=log,
            stderr=log,
        )
    async with http_sessions.session() as session:
        try:
            made = GatewayProcess(process, port, session)
            await eventually(made.is_ready, 60, what=lambda: (directory / f"{name}.log").read_text()[-2_000:])
            yield made
        finally:
            made.send(signal.SIGCONT)
            process.kill()
            await process.wait()


async def quantities(settings: Settings, topic: str) -> list[int]:
    """All quantities that the topic has been given, in order."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        name = f"{settings.topic_prefix}.{topic}.v1"
        places = [TopicPartition(name, partition) for partition in range(settings.partitions)]
        ends = await consumer.end_offsets(places)
        consumer.assign(places)
        found: list[Any] = []
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [orjson.loads(record.value) for record in records if not record.key.startswith(b"~")]
        return [each["inventories"][0]["quantity"] if "inventories" in each else each["quantity"] for each in found]
    finally:
        await consumer.stop()


@pytest.fixture
async def settings(kafka: Kafka, prefix: str) -> Settings:
    made = load_settings(kafka=kafka.bootstrap, topic_prefix=prefix, partitions=2)
    await create(made, parse_channels(demo_channels(), where="test"))
    return made


async def test_stock_that_waited_in_the_sockets_of_a_gateway_does_not_follow_newer(
    settings: Settings, tmp_path: Path
) -> None:
    """In one socket a whole request on a kept connection, in one a new connection that nobody has accepted, in one the
    rest of a body that had begun before."""
    async with gateway(settings, tmp_path, "first") as first, gateway(settings, tmp_path, "second") as second:
        assert await first.stock(0) == 200
        kept = await asyncio.open_connection("127.0.0.1", first.port)
        begun = await asyncio.open_connection("127.0.0.1", first.port)
        old = body(1)
        head = (
            "\r\n".join(
                [
                    f"{STOCK.method} {first.stock_url.partition(str(first.port))[2]} HTTP/1.1",
                    "Host: gateway",
                    f"Content-Length: {len(old)}",
                    *(f"{name}: {value}" for name, value in headers_for(STOCK).items()),
                ]
            ).encode()
            + b"\r\n\r\n"
        )
        kept[1].write(b"GET /live HTTP/1.1\r\nHost: gateway\r\n\r\n")
        assert b"200" in await kept[0].readline()
        begun[1].write(head + old[:10])
        await begun[1].drain()
        await asyncio.sleep(0.3)  # it is in the gateway's hands; earlier it would wait like the others
        first.send(signal.SIGSTOP)
        kept[1].write(head + old)
        begun[1].write(old[10:])
        fresh = await asyncio.open_connection("127.0.0.1", first.port)
        fresh[1].write(head + old)
        await asyncio.sleep(STANDSTILL_S)
        assert await second.stock(2) == 200
        first.send(signal.SIGCONT)
        for reader, _writer in (kept, begun, fresh):
            answer = b""
            while b"HTTP/1.1 503 " not in answer:
                answer = await asyncio.wait_for(reader.readline(), 20)
                assert answer.count(b"HTTP/1.1 200") == 0 or reader is kept[0]
            assert b"stood still" in await asyncio.wait_for(reader.readuntil(b"}"), 20)
        await eventually(lambda: stored_again(first), what="the gateway takes requests again")
        assert await quantities(settings, "inventory.updates") == [0, 2, 3]


async def stored_again(at: GatewayProcess) -> bool:
    return await at.stock(3) == 200
