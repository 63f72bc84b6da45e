"""The hook at a request's beginning: asked once for each head, in order, before anything of it is parsed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from gateway.connections.limits import Limits
from gateway.connections.refusal import Caller, Refusal
from gateway.connections.server import ConnectionRunner
from gateway.http.answers import Answer

NO = Refusal.of(Answer(503, b"no", retry_after_s=3))
POST = b"POST /%b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"


def post(path: bytes, body: bytes = b"") -> bytes:
    return POST % (path, len(body), body)


@dataclass
class RefusesNo:
    """Refuses all paths that begin with /no."""

    asked: list[bytes] = field(default_factory=list)
    ends: list[object] = field(default_factory=list)

    def admit(self, head: bytes, lowered: bytes, connection: Caller) -> Refusal | None:
        assert lowered == head.lower()
        assert head.endswith(b"\r\n\r\n")
        path = head.split(b" ")[1]
        self.asked.append(path)
        connection.ticket = path
        return NO if path.startswith(b"/no") else None

    def ended(self, connection: Caller) -> None:
        self.ends.append(connection.ticket)


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answer(self) -> tuple[int, bytes]:
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        return int(head.split(b" ")[1]), await self.reader.readexactly(length)

    async def end(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(), 10)


@asynccontextmanager
async def serving(admission: RefusesNo, **limits: Any) -> AsyncIterator[Any]:
    """A function that opens connections. The server answers with the body that it got."""

    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=request.path.encode() + b"=" + await request.read())

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", echo)
    runner = ConnectionRunner(app, Limits(connections_max=100, **limits), admission, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    writers: list[asyncio.StreamWriter] = []

    async def connect(sent: bytes = b"") -> Client:
        reader, writer = await asyncio.open_connection(*runner.addresses[0])
        writers.append(writer)
        writer.write(sent)
        return Client(reader, writer)

    try:
        yield connect
    finally:
        for writer in writers:
            writer.close()
        await runner.cleanup()


async def test_a_refused_request_leaves_the_connection_usable() -> None:
    hook = RefusesNo()
    async with serving(hook) as connect:
        at = await connect()
        for path, body in ((b"no", b"abc"), (b"yes", b"def"), (b"no", b""), (b"yes", b"")):
            at.writer.write(post(path, body))
            assert await at.answer() == ((503, b"no") if path == b"no" else (200, b"/yes=" + body))
    assert hook.asked == [b"/no", b"/yes", b"/no", b"/yes"]
    assert hook.ends == [b"/yes", b"/yes"]


async def test_pipelined_requests_are_answered_in_order() -> None:
    hook = RefusesNo()
    names = [b"yes1", b"no2", b"no3", b"yes4", b"no5", b"yes6"] * 30
    async with serving(hook) as connect:
        at = await connect(b"".join(post(name, name * 50) for name in names))
        for name in names:
            assert await at.answer() == (
                (503, b"no") if name.startswith(b"no") else (200, b"/%b=%b" % (name, name * 50))
            )
    assert hook.asked == [b"/" + name for name in names]


async def test_a_head_is_asked_about_once_however_it_is_cut() -> None:
    hook = RefusesNo()
    sent = post(b"no", b"0123456789") + post(b"yes", b"0123456789") + b"\r\n" + post(b"no") + post(b"yes")
    async with serving(hook) as connect:
        at = await connect()
        for byte in sent:
            at.writer.write(bytes([byte]))
            await asyncio.sleep(0)
        found = [await at.answer() for _ in range(4)]
    assert found == [(503, b"no"), (200, b"/yes=0123456789"), (503, b"no"), (200, b"/yes=")]
    assert hook.asked == [b"/no", b"/yes", b"/no", b"/yes"]


async def test_a_request_in_chunks_ends_where_its_chunks_end() -> None:
    hook = RefusesNo()
    chunked = b"POST /yes HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    async with serving(hook) as connect:
        at = await connect(chunked + post(b"no") + chunked)
        assert [await at.answer() for _ in range(3)] == [(200, b"/yes=abcde"), (503, b"no"), (200, b"/yes=abcde")]
    assert hook.asked == [b"/yes", b"/no", b"/yes"]


async def test_a_refusal_that_cannot_keep_the_connection_says_so_and_can_be_read() -> None:
    for head in (
        b"POST /no HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n" + b"x" * 4_000_000,
        b"POST /no HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"POST /no HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
        b"POST /no HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST /no HTTP/1.0\r\n\r\n",
    ):
        async with serving(RefusesNo()) as connect:
            at = await connect(head)
            answer = await at.end()
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"Connection: close" in answer
            assert answer.endswith(b"\r\n\r\nno")


async def test_a_client_that_does_not_read_its_refusals_is_read_no_more() -> None:
    hook = RefusesNo()
    async with serving(hook) as connect:
        at = await connect()
        for _ in range(200):
            at.writer.write(post(b"no") * 1_000)
            await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        assert len(hook.asked) < 200_000
        for _ in range(200_000):
            assert (await at.answer())[0] == 503
