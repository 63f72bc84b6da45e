"""Each wait for a client ends: for a head, a body, the reading of an answer, the next request."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import orjson
import pytest
from aiohttp import web

from gateway.http.answers import Refused, shaped
from tests.support.eventually import eventually
from tests.unit.gateway.connections.serving import Client, serving
from tests.unit.gateway.connections.test_admission import RefusesNo
from topics.contract.definition import Direction

HEAD = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
CHUNKED = b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


async def trickle(at: Client, bytes_: bytes, every_s: float) -> None:
    for byte in bytes_:
        at.writer.write(bytes([byte]))
        await asyncio.sleep(every_s)


async def read(request: web.Request) -> web.Response:
    """A handler as the gateway's are: a Refused that reading raises is the answer."""
    try:
        return web.Response(body=b"%d" % len(await request.content.read()))
    except Refused as refused:
        answer = shaped(Direction.TO_INCREFF, refused)
        return web.Response(status=answer.status, body=answer.body)
    except web.RequestPayloadError:
        return web.Response(status=400)


async def test_a_connection_without_a_byte_is_closed() -> None:
    async with serving(head_s=0.1) as server:
        assert await (await server.connect()).end() == b""
        await eventually(lambda: not server.registry.open)


@pytest.mark.parametrize("behind", [b"", b"GET /first HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["first", "later"])
async def test_a_head_that_comes_byte_by_byte_is_given_up(behind: bytes) -> None:
    async with serving(head_s=0.2, idle_s=30) as server:
        at = await server.connect(behind)
        if behind:
            assert (await at.answer())[0] == 200
        sending = asyncio.create_task(trickle(at, b"GET /slow HTTP/1.1\r\nX: " + b"x" * 1_000, 0.01))
        answer = await at.end()
        sending.cancel()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"Connection: close" in answer
    assert orjson.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "TIMEOUT"


@pytest.mark.parametrize("sent", [HEAD + b"x", CHUNKED + b"1\r\nx\r\n"], ids=["length", "chunks"])
async def test_a_body_that_stands_still_is_given_up(sent: bytes) -> None:
    async with serving(handler=read, body_grace_s=0.1) as server:
        answer = await (await server.connect(sent)).end()
        await eventually(lambda: not server.registry.open)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"Connection: close" in answer
    assert set(orjson.loads(answer.partition(b"\r\n\r\n")[2])) == {"code", "message", "description"}


async def test_a_body_that_comes_fast_enough_for_its_rate_has_a_limit_for_the_whole() -> None:
    async with serving(handler=read, body_grace_s=0.0, body_rate_min=1, body_s=0.3) as server:
        at = await server.connect(HEAD)
        sending = asyncio.create_task(trickle(at, b"x" * 900, 0.005))
        answer = await at.end()
        sending.cancel()
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_stream_has_no_limit_for_the_whole() -> None:
    async with serving(handler=read, body_grace_s=0.0, body_s=0.1, stream_grace_s=5) as server:
        at = await server.connect(HEAD.replace(b"POST /x", b"PUT /api/inventory/snapshots/demo/L"))
        await asyncio.sleep(0.4)
        at.writer.write(b"x" * 1_000)
        assert await at.answer() == (200, b"1000")


async def test_time_in_which_the_gateway_does_not_read_does_not_count() -> None:
    goes_on = asyncio.Event()

    async def later(request: web.Request) -> web.Response:
        await goes_on.wait()
        return await read(request)

    size = 8 << 20
    async with serving(handler=later, body_grace_s=0.2, body_rate_min=size) as server:
        at = await server.connect(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
        at.writer.write(b"x" * size)
        await asyncio.sleep(0.8)
        # The rest may come as slowly as this machine is busy.
        server.registry.limits = replace(server.registry.limits, body_rate_min=0)
        goes_on.set()
        assert await at.answer() == (200, b"%d" % size)


async def test_a_body_that_is_answered_before_its_end_is_read_for_a_moment_only() -> None:
    async def refuse(_request: web.Request) -> web.Response:
        return web.Response(status=413)

    async with serving(handler=refuse, linger_s=0.2) as server:
        at = await server.connect(HEAD + b"x")
        assert (await at.answer())[0] == 413
        assert await at.end() == b""


async def test_a_client_that_closes_its_half_reads_its_answer() -> None:
    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(0.1)
        return await read(request)

    async with serving(handler=slow) as server:
        for sent, status in ((b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n", 200), (HEAD + b"x", 400)):
            at = await server.connect(sent)
            at.writer.write_eof()
            assert (await at.answer())[0] == status
            assert await at.end() == b""
        at = await server.connect()
        at.writer.write_eof()
        assert await at.end() == b""
        await eventually(lambda: not server.registry.open)


async def test_a_client_that_never_reads_its_answer_is_cut_off() -> None:
    async def much(_request: web.Request) -> web.Response:
        return web.Response(body=bytes(16 << 20))

    async with serving(handler=much, answer_s=0.2) as server:
        with socket.create_connection(server.runner.addresses[0]) as at:
            at.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
            await eventually(lambda: server.registry.open)
            await eventually(lambda: not server.registry.open)
    assert server.registry.ended["answer-unread"] == 1


async def test_an_idle_connection_is_closed_and_a_used_one_is_not() -> None:
    async with serving(idle_s=0.5) as server:
        idle, used = await server.connect(), await server.connect()
        assert await idle.get() == 200
        ended = asyncio.create_task(idle.end())
        while not ended.done():
            assert await used.get() == 200
            await asyncio.sleep(0.02)
        assert await used.get() == 200
        assert await used.end() == b""


async def test_a_connection_whose_head_came_slowly_and_was_refused_is_not_idle_for_ever() -> None:
    async with serving(RefusesNo(), idle_s=0.2) as server:
        at = await server.connect(b"GET /no HTTP/1.1\r\n")
        await eventually(lambda: server.registry.held_bytes)
        await asyncio.sleep(0.5)
        at.writer.write(b"Host: x\r\n\r\n")
        assert await at.answer() == (503, b"no")
        assert await at.end() == b""


async def test_a_deadline_that_cannot_be_looked_at_leaves_the_others_in_force(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(head_s=0.1) as server:
        broken = await server.connect(b"GET /x HTTP/1.1\r\n")
        await eventually(lambda: server.registry.held_bytes)
        first = next(iter(server.registry.watched))
        checked = type(first).check

        def check(connection: object, now: float) -> None:
            if connection is first:
                raise RuntimeError
            checked(connection, now)  # type: ignore[arg-type]

        monkeypatch.setattr(type(first), "check", check)
        assert (await (await server.connect(b"GET /x HTTP/1.1\r\n")).end()).startswith(b"HTTP/1.1 408 ")
        broken.writer.close()
    assert "a deadline of a connection could not be looked at: RuntimeError" in caplog.text
