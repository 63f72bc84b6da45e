"""A gateway's process among clients that hold connections, stand still, or send what is no HTTP."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from sluice.demo_channels import demo_channels
from tests.fakes.gateway import MARKETPLACE
from tests.support.eventually import eventually
from tests.support.kafka import Kafka
from tests.support.roles import RoleProcess
from topics.configuration.channels_file import parse_channels
from topics.configuration.settings import load_settings
from topics.kafka.admin import create

FILES = 256
HERD = 300
OTHER = "127.0.0.2"
SECRET = b"s3cretPassw0rd"
CHANNELS = """
[increff]
url = "http://127.0.0.1:1"

[channels.demo]
credentials = { username = "USERNAME", password = "PASSWORD" }
increff_credentials = { username = "u", password = "p" }
increff_headers = { "X-Increff-Token" = "t" }
marketplace = { url = "http://127.0.0.1:1" }
"""


@asynccontextmanager
async def gateway(kafka: Kafka, prefix: str, at: Path, files: int | None = None) -> AsyncIterator[RoleProcess]:
    """A gateway without an orders role: its commands get no verdict."""
    settings = load_settings(kafka=kafka.bootstrap, topic_prefix=prefix, partitions=2)
    channels = CHANNELS.replace("USERNAME", MARKETPLACE["authUsername"])
    (at / "channels.toml").write_text(channels.replace("PASSWORD", MARKETPLACE["authPassword"]))
    await create(settings, parse_channels(demo_channels(), where="test"))
    process = RoleProcess("gateway", settings, at, files=files, environment={"SLUICE_VERDICT_TIMEOUT_S": "60"})
    try:
        await process.begin()
        yield process
    finally:
        await process.end(signal.SIGKILL)


class Clients:
    """Raw sockets to a gateway, closed at the end."""

    def __init__(self, process: RoleProcess, stack: AsyncExitStack) -> None:
        url = urlsplit(process.url)
        self._at = (url.hostname, url.port)
        self._stack = stack

    async def send(self, sent: bytes, host: str = "127.0.0.1") -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection(*self._at, local_addr=(host, 0))
        self._stack.callback(writer.close)
        writer.write(sent)
        return reader

    async def status(self, path: bytes, host: str = "127.0.0.1") -> bytes:
        reader = await self.send(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n", host)
        return (await asyncio.wait_for(reader.readuntil(b"\r\n"), 20)).split(b" ")[1]


async def test_a_herd_of_connections_shuts_nobody_out(kafka: Kafka, prefix: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack, gateway(kafka, prefix, tmp_path, FILES) as process:
        clients = Clients(process, stack)
        herd = [await clients.send(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n" if n % 2 else b"") for n in range(HERD)]
        for host in (OTHER, "127.0.0.1"):
            assert await clients.status(b"/ready", host) == b"200"
        begun = [await clients.send(b"GET / HTTP/1.1\r\nX: ") for _ in range(HERD)]
        assert await clients.status(b"/ready", OTHER) == b"200"

        async def is_answered() -> bool:
            return await clients.status(b"/ready") == b"200"

        # Beyond its share the herd has only the few surplus connections, each for a second.
        await eventually(is_answered)
        assert len(herd) == len(begun)
        assert "Too many open files" not in process.log()


async def test_what_is_no_http_leaves_one_line_of_its_class_in_the_log(
    kafka: Kafka, prefix: str, tmp_path: Path
) -> None:
    sent = {
        "tls": b"\x16\x03\x01\x02\x00\x01\x00" + SECRET,
        "header": b"POST /x HTTP/1.1\r\nHost: x\r\nauthPassword " + SECRET + b"\r\n\r\n",
        "too-large": b"POST /x HTTP/1.1\r\nHost: x\r\nauthPassword: " + SECRET * 2_000 + b"\r\n\r\n",
        "body": b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + SECRET + b"\r\n",
    }
    async with AsyncExitStack() as stack, gateway(kafka, prefix, tmp_path) as process:
        clients = Clients(process, stack)
        for _ in range(3):
            for bad in sent.values():
                answer = await asyncio.wait_for((await clients.send(bad)).read(), 20)
                assert answer.startswith(b"HTTP/1.1 400 ")
                assert b'"code":"MALFORMED"' in answer
        log = process.log()
    assert SECRET.decode() not in log
    assert "Traceback" not in log
    for fault in sent:
        assert log.count(f"malformed request ({fault}) from 127.0.0.1") == 1


async def test_a_gateway_stops_although_clients_stand_still(kafka: Kafka, prefix: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack, gateway(kafka, prefix, tmp_path) as process:
        clients = Clients(process, stack)
        credentials = b"".join(f"{name}: {value}\r\n".encode() for name, value in MARKETPLACE.items())
        silent = await clients.send(b"")
        half_head = await clients.send(b"POST /assure-magic2/orders/outward HTTP/1.1\r\nHos")
        half_body = await clients.send(
            b"POST /assure-magic2/orders/outward HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n%b\r\n{" % credentials
        )
        await eventually(lambda: clients.status(b"/ready"))
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(silent.read(), 20) == b""
        for reader in (half_head, half_body):
            answer = await asyncio.wait_for(reader.read(), 20)
            assert answer.startswith(b"HTTP/1.1 503 "), answer
            assert b"This gateway stops" in answer
        assert await process.end(signal.SIGTERM) == 0
        with socket.socket() as probe:
            assert probe.connect_ex(clients._at) != 0
