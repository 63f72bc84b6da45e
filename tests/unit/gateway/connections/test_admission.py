"""The hook at a request's beginning: asked once for each head, in order, before anything of it is parsed."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from gateway.connections.refusal import Caller, Refusal
from gateway.http.answers import Answer
from tests.support.eventually import eventually
from tests.unit.gateway.connections.serving import serving

NO = Refusal.of(Answer(503, b"no", retry_after_s=3))
POST = b"POST /%b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"


def post(path: bytes, body: bytes = b"") -> bytes:
    return POST % (path, len(body), body)


@dataclass
class RefusesNo:
    """Refuses all paths that begin with /no."""

    refusal: Refusal = NO
    asked: list[bytes] = field(default_factory=list)
    ends: list[object] = field(default_factory=list)

    def admit(self, head: bytes, lowered: bytes, connection: Caller) -> Refusal | None:
        assert lowered == head.lower()
        assert head.endswith(b"\r\n\r\n")
        path = head.split(b" ")[1]
        self.asked.append(path)
        connection.ticket = path
        return self.refusal if path.startswith(b"/no") else None

    def again(self, data: bytes, connection: Caller) -> Refusal | None:
        return None

    def ended(self, connection: Caller) -> None:
        self.ends.append(connection.ticket)


async def test_a_refused_request_leaves_the_connection_usable() -> None:
    hook = RefusesNo()
    async with serving(hook) as server:
        at = await server.connect()
        for path, body in ((b"no", b"abc"), (b"yes", b"def"), (b"no", b""), (b"yes", b"")):
            at.writer.write(post(path, body))
            assert await at.answer() == ((503, b"no") if path == b"no" else (200, b"/yes=" + body))
    assert hook.asked == [b"/no", b"/yes", b"/no", b"/yes"]
    assert hook.ends == [b"/yes", b"/yes"]


async def test_pipelined_requests_are_answered_in_order() -> None:
    hook = RefusesNo()
    names = [b"yes1", b"no2", b"no3", b"yes4", b"no5", b"yes6"] * 30
    async with serving(hook) as server:
        at = await server.connect(b"".join(post(name, name * 50) for name in names))
        for name in names:
            assert await at.answer() == (
                (503, b"no") if name.startswith(b"no") else (200, b"/%b=%b" % (name, name * 50))
            )
    assert hook.asked == [b"/" + name for name in names]


async def test_a_head_is_asked_about_once_however_it_is_cut() -> None:
    hook = RefusesNo()
    sent = post(b"no", b"0123456789") + post(b"yes", b"0123456789") + b"\r\n" + post(b"no") + post(b"yes")
    async with serving(hook) as server:
        at = await server.connect()
        for byte in sent:
            at.writer.write(bytes([byte]))
            await asyncio.sleep(0)
        found = [await at.answer() for _ in range(4)]
    assert found == [(503, b"no"), (200, b"/yes=0123456789"), (503, b"no"), (200, b"/yes=")]
    assert hook.asked == [b"/no", b"/yes", b"/no", b"/yes"]


async def test_a_request_in_chunks_ends_where_its_chunks_end() -> None:
    hook = RefusesNo()
    chunked = b"POST /yes HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    async with serving(hook) as server:
        at = await server.connect(chunked + post(b"no") + chunked)
        assert [await at.answer() for _ in range(3)] == [(200, b"/yes=abcde"), (503, b"no"), (200, b"/yes=abcde")]
    assert hook.asked == [b"/yes", b"/no", b"/yes"]


@pytest.mark.parametrize("wish", [b"Upgrade: websocket\r\nConnection: Upgrade", b"Upgrade: h2c\r\nConnection: Upgrade"])
async def test_a_request_after_one_that_wished_another_protocol_is_taken(wish: bytes) -> None:
    async with serving(RefusesNo()) as server:
        at = await server.connect(
            b"GET /a HTTP/1.1\r\nHost: x\r\n" + wish + b"\r\n\r\n" + post(b"b", b"1") + post(b"no")
        )
        assert [await at.answer() for _ in range(3)] == [(200, b"/a="), (200, b"/b=1"), (503, b"no")]
        at.writer.write(post(b"c"))
        assert await at.answer() == (200, b"/c=")


async def test_an_answer_that_comes_before_the_body_leaves_the_connection_usable() -> None:
    async def at_once(_request: web.Request) -> web.Response:
        return web.Response(body=b"early")

    hook = RefusesNo()
    async with serving(hook, at_once) as server:
        at = await server.connect(post(b"a", b"x" * 100)[:-50])
        assert await at.answer() == (200, b"early")
        at.writer.write(b"x" * 50 + post(b"no") + post(b"b"))
        assert [await at.answer() for _ in range(2)] == [(503, b"no"), (200, b"early")]
    assert hook.ends == [b"/a", b"/b"]


async def test_a_request_ends_once_also_when_its_connection_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    hook, goes_on = RefusesNo(), asyncio.Event()

    async def waits(_request: web.Request) -> web.Response:
        await goes_on.wait()
        return web.Response()

    async with serving(hook, waits) as server:
        at = await server.connect(post(b"a"))
        await eventually(lambda: hook.asked)
        reset = at.writer.get_extra_info("socket")
        reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        at.writer.transport.abort()
        await eventually(lambda: not server.registry.open)
        assert hook.ends == []
        goes_on.set()
        await eventually(lambda: hook.ends == [b"/a"])
        assert not server.registry.peers._idle
    assert "failed" not in caplog.text


async def test_a_refusal_that_cannot_keep_the_connection_says_so_and_can_be_read() -> None:
    for head in (
        b"POST /no HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n" + b"x" * 4_000_000,
        b"POST /no HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"POST /no HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
        b"POST /no HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST /no HTTP/1.0\r\n\r\n",
    ):
        async with serving(RefusesNo()) as server:
            at = await server.connect(head)
            answer = await at.end()
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"Connection: close" in answer
            assert answer.endswith(b"\r\n\r\nno")


async def test_a_client_that_does_not_read_its_refusals_is_read_no_more() -> None:
    hook = RefusesNo(Refusal.of(Answer(503, b"x" * 10_000)))
    requests = 3_000
    async with serving(hook) as server:
        at = await server.connect(post(b"no") * requests)
        await eventually(lambda: server.registry.held_bytes)
        assert 0 < len(hook.asked) < requests
        for _ in range(requests):
            assert (await at.answer())[0] == 503
    assert len(hook.asked) == requests


@pytest.mark.parametrize(
    "line",
    [
        b"Content-Length : 33",
        b"Content-Length\t: 33",
        b"X: a\nContent-Length: 33",
        b"X: a\rContent-Length: 33",
        b"Content-Length: 0\r\n 33",
        b"X: a\r\n\tb",
    ],
)
async def test_no_request_is_taken_out_of_what_another_reader_may_hold_for_a_refused_body(line: bytes) -> None:
    hook = RefusesNo()
    async with serving(hook) as server:
        at = await server.connect(b"POST /no HTTP/1.1\r\nHost: x\r\n" + line + b"\r\n\r\n" + post(b"hidden"))
        answer = await at.end()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"Connection: close" in answer
    assert hook.asked == [b"/no"]


async def test_a_refusal_of_head_has_no_body() -> None:
    async with serving(RefusesNo()) as server:
        answer = await (await server.connect(b"HEAD /no HTTP/1.1\r\nHost: x\r\n\r\n" + post(b"b"))).end()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert answer.endswith(b"\r\nConnection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("pipelined", [True, False])
async def test_a_compressed_body_that_nobody_reads_does_not_spoil_the_next_request(
    caplog: pytest.LogCaptureFixture, *, pipelined: bool
) -> None:
    async def at_once(_request: web.Request) -> web.Response:
        return web.Response(body=b"early")

    body = gzip.compress(bytes(8 << 20))
    first = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    behind = post(b"no") + post(b"b", b"1") + post(b"no") + post(b"c")
    async with serving(RefusesNo(), at_once) as server:
        at = await server.connect(first + behind if pipelined else first)
        assert await at.answer() == (200, b"early")
        if not pipelined:
            at.writer.write(behind)
        assert [(await at.answer())[0] for _ in range(4)] == [503, 200, 503, 200]
        assert not server.registry.faults.counts
    assert "failed" not in caplog.text
