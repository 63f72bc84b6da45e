"""A gateway with its own connections and its Door, on a Kafka without a broker that answers when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from gateway.admission.calls import Calls
from gateway.admission.door import AdminDoor, Door
from gateway.admission.limiter import Limiter
from gateway.admission.overload import Overload
from gateway.app import make_apps
from gateway.connections.limits import Limits
from gateway.connections.server import ConnectionRunner
from gateway.dependencies import Dependencies
from gateway.http.access_log import AccessLog
from gateway.http.metrics import Metrics
from gateway.ports import Outgoing, Position
from gateway.siblings import Siblings
from journal.queries.reader import journal_reader
from tests.fakes.gateway import NOW_MS, FakeEndpoints, FakeGroups, FakeKafka, FakeLags, FakeStock, channels_with
from tests.fakes.log import FakeDead, FakeFacts
from topics.configuration.settings import load_settings
from topics.contract.sample_files import sample
from topics.logs.lines import Lines
from topics.records.envelope import parse


@dataclass
class HoldingKafka(FakeKafka):
    """Stores each record at once; replies to commands only when `release` is called."""

    held: list[Outgoing] = field(default_factory=list)
    fails: Exception | None = None

    async def produce(self, record: Outgoing) -> Position:
        await asyncio.sleep(0)
        if self.fails is not None:
            raise self.fails
        self.records.append(record)
        self.held.append(record)
        return Position(f"t.{record.topic}.v1", record.partition or 0, len(self.records) - 1)

    def release(self) -> None:
        held, self.held = self.held, []
        for record in held:
            envelope = parse(record.headers)
            waiting = self.waiting.pop(envelope.id, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(self.decide(envelope, record))


@dataclass
class Caller:
    """One connection of a caller."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(lines[0].split(" ")[1]), headers, orjson.loads(body) if body.startswith(b"{") else body

    def send(self, *parts: bytes) -> Caller:
        self.writer.write(b"".join(parts))
        return self


@dataclass
class Served:
    calls: Calls
    kafka: HoldingKafka
    metrics: Metrics
    overload: Overload
    log: list[bytes]
    address: tuple[str, int]
    admin_address: tuple[str, int]
    callers: list[Caller] = field(default_factory=list)

    async def caller(self, *sent: bytes, admin: bool = False) -> Caller:
        reader, writer = await asyncio.open_connection(*(self.admin_address if admin else self.address))
        self.callers.append(Caller(reader, writer))
        return self.callers[-1].send(*sent)


@asynccontextmanager
async def served(limit: int, **more: Any) -> AsyncIterator[Served]:
    """A gateway with the channels `demo` and `second` that takes `limit` calls in hand, whatever their times."""
    kafka, metrics, log = HoldingKafka(), Metrics(), list[bytes]()
    channels = channels_with(second="second")
    calls = Calls(channels.channels, Limiter(limit, limit, 1.0), **more)
    access_log = AccessLog(log.append, made_by=Lines("gateway", "0"))
    dependencies = Dependencies(
        producer=kafka,
        replies=kafka,
        stock=FakeStock(),
        stock_operations=kafka.operations,
        subscriptions=kafka.subscriptions,
        endpoints=FakeEndpoints(),
        facts=FakeFacts(),
        dead=FakeDead(),
        actions=kafka.actions,
        pauses=kafka.pauses,
        now_ms=lambda: NOW_MS,
        metrics=metrics,
        access_log=access_log,
        siblings=Siblings(load_settings()),
        journal=journal_reader(load_settings()),
        lags=FakeLags(),
        groups=FakeGroups(),
    )
    overload = Overload(calls, metrics, access_log)
    apps = make_apps(load_settings(api_open=True), channels, dependencies, calls)
    limits = Limits(connections_max=1_000)
    runner = ConnectionRunner(apps.gateway, limits, admission=Door(calls, apps.access.claimed), shutdown_timeout=0.1)
    admin = ConnectionRunner(apps.admin, limits, admission=AdminDoor(calls), shutdown_timeout=0.1)
    for one in (runner, admin):
        await one.setup()
        await web.TCPSite(one, "127.0.0.1", 0).start()
    overload.start()
    at = Served(calls, kafka, metrics, overload, log, runner.addresses[0][:2], admin.addresses[0][:2])
    try:
        yield at
    finally:
        kafka.release()
        overload.stop()
        for caller in at.callers:
            caller.writer.close()
        await runner.cleanup()
        await admin.cleanup()
        access_log.flush()


def order(username: str, password: str, code: str) -> bytes:
    """Create Outward Order as a marketplace sends it."""
    body = orjson.dumps({**(sample("create-outward-order").body or {}), "orderCode": code})
    return order_head(username, password, len(body)) + body


def order_head(username: str, password: str, length: int) -> bytes:
    lines = (
        "POST /assure-magic2/orders/outward HTTP/1.1",
        "Host: gateway",
        f"authUsername: {username}",
        f"authPassword: {password}",
        "authDomainName: demo",
        "Content-Type: application/json",
        f"Content-Length: {length}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n"
