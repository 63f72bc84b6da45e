"""A server with connections as the gateway's, and clients that send bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from gateway.connections.limits import Limits
from gateway.connections.refusal import Admission
from gateway.connections.registry import Registry
from gateway.connections.server import ConnectionRunner
from gateway.http.metrics import Metrics


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answer(self) -> tuple[int, bytes]:
        """The next answer, by its status and body."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 20)
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        return int(head.split(b" ")[1]), await self.reader.readexactly(length)

    async def end(self) -> bytes:
        """All that comes until the server closes."""
        return await asyncio.wait_for(self.reader.read(), 20)

    async def get(self, path: str = "/x") -> int:
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return (await self.answer())[0]


@dataclass
class Serving:
    runner: ConnectionRunner
    metrics: Metrics
    writers: list[asyncio.StreamWriter]

    @property
    def registry(self) -> Registry:
        return self.runner.registry

    async def connect(self, sent: bytes = b"", *, host: str = "127.0.0.1", **options: Any) -> Client:
        """`host`: the client's own address."""
        reader, writer = await asyncio.open_connection(
            *self.runner.addresses[0][:2], local_addr=(host, 0), limit=1 << 22, **options
        )
        self.writers.append(writer)
        writer.write(sent)
        return Client(reader, writer)

    def release(self) -> None:
        """Do nothing: nobody waits for a reply."""


Handler = Callable[[web.Request], Any]


async def echo(request: web.Request) -> web.Response:
    return web.Response(body=request.path.encode() + b"=" + await request.read())


@asynccontextmanager
async def serving(
    admission: Admission | None = None, handler: Handler = echo, connections_max: int = 100, **limits: Any
) -> AsyncIterator[Serving]:
    """A server that answers with the body that it got. Deadlines are looked at often."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handler)
    set_limits = Limits(connections_max=connections_max, **{"sweep_s": 0.02, "linger_s": 0.3, **limits})
    metrics = Metrics()
    runner = ConnectionRunner(app, set_limits, admission=admission, metrics=metrics, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    at = Serving(runner, metrics, [])
    try:
        yield at
    finally:
        for writer in at.writers:
            writer.close()
        await runner.finish(0.5, at.release, 0.1)
