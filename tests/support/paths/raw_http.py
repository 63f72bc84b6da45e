"""HTTP as bytes: a client that writes them as they are, and a server that keeps them. (aiohttp's quotes paths anew.)"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
from aiohttp import web

from gateway.connections.limits import Limits
from gateway.connections.server import ConnectionRunner
from gateway.http.metrics import Metrics
from tests.fakes.gateway import Gateway, is_of_admin_port

WAIT_S = 20


@dataclass(frozen=True)
class RawAnswer:
    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return orjson.loads(self.raw) if self.raw else None

    @classmethod
    async def read(cls, reader: asyncio.StreamReader) -> Self:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()[:-1]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return cls(int(first.split(" ")[1]), headers, await reader.readexactly(int(headers.get("content-length", 0))))


class RawClient:
    """One connection, on which a request follows the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, raw: bytes) -> RawAnswer:
        self.writer.write(raw)
        return await asyncio.wait_for(RawAnswer.read(self.reader), WAIT_S)

    async def ask(self, line: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> RawAnswer:
        """`line`: method and target, written as they are."""
        given = {"Host": "x", "Content-Length": str(len(body)), **(headers or {})}
        head = f"{line} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in given.items()) + "\r\n"
        return await self.send(head.encode("utf-8", "surrogateescape") + body)


@asynccontextmanager
async def raw_client(host: str, port: int) -> AsyncIterator[RawClient]:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def listening(app: web.Application, metrics: Metrics | None = None) -> AsyncIterator[RawClient]:
    """An application behind connections as the gateway's, and a client of it."""
    runner = ConnectionRunner(app, Limits(connections_max=100), metrics=metrics, shutdown_timeout=0.5)
    await runner.setup()
    await runner.listen("127.0.0.1", 0)
    try:
        async with raw_client(*runner.addresses[0][:2]) as client:
            yield client
    finally:
        await runner.finish(0.5, lambda: None, 0.1)


class PortsClient(RawClient):
    """A connection to a gateway's port for marketplaces, and one to its admin port, for calls of operators."""

    def __init__(self, gateway: RawClient, admin: RawClient) -> None:
        super().__init__(gateway.reader, gateway.writer)
        self.admin = admin

    async def send(self, raw: bytes) -> RawAnswer:
        target = raw.partition(b" ")[2].partition(b" ")[0].decode("latin-1")
        return await (self.admin.send(raw) if is_of_admin_port(target) else super().send(raw))


@asynccontextmanager
async def both_ports(at: Gateway) -> AsyncIterator[PortsClient]:
    async with (
        listening(at.client.app_of("/"), at.metrics) as gateway,
        listening(at.client.app_of("/api/")) as admin,
    ):
        yield PortsClient(gateway, admin)


@dataclass
class RawServer:
    """A far side that answers 200 to all requests and keeps their first lines and bodies."""

    url: str = ""
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)
    """Method, target and body."""
    answer: bytes = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                body = await reader.readexactly(int(lengths[0].split(b":")[1])) if lengths else b""
                method, target, _version = head.partition(b"\r\n")[0].decode("ascii").split(" ")
                self.requests.append((method, target, body))
                kind = b"Content-Type: application/json\r\n" if self.answer else b""
                writer.write(
                    b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n" % (kind, len(self.answer)) + self.answer
                )
        except asyncio.IncompleteReadError:
            writer.close()


@asynccontextmanager
async def raw_server(answer: bytes = b"") -> AsyncIterator[RawServer]:
    kept = RawServer(answer=answer)
    server = await asyncio.start_server(kept.serve, "127.0.0.1", 0)
    kept.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield kept
    finally:
        server.close()
