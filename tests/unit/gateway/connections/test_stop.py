"""A server that stops waits for requests in hand, not for clients that send nothing, stand still, or do not read."""

from __future__ import annotations

import asyncio
import socket

from aiohttp import web

from gateway.http.answers import Refused
from tests.support.eventually import TIMEOUT_S, eventually
from tests.unit.gateway.connections.serving import serving

LONG_S = 600.0
"""How long requests in hand may go on: far longer than this test."""
HEAD = b"%b HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"


async def test_only_requests_in_hand_are_waited_for() -> None:
    goes_on = asyncio.Event()

    async def handle(request: web.Request) -> web.Response:
        if request.path == "/much":
            return web.Response(body=bytes(16 << 20))
        try:
            await request.read()
        except Refused as refused:
            return web.Response(status=refused.status, text=refused.message)
        if request.path == "/waits":
            await goes_on.wait()
        return web.Response(text="done")

    async with serving(handler=handle, head_s=LONG_S, body_grace_s=LONG_S, answer_s=LONG_S) as server:
        silent, idle = await server.connect(), await server.connect()
        assert await idle.get() == 200
        half_head = await server.connect(b"GET /x HTTP/1.1\r\nHos")
        half_body = await server.connect(HEAD % b"POST /x" + b"x")
        stream = await server.connect(HEAD % b"PUT /api/inventory/snapshots/demo/L" + b"x")
        waits = await server.connect(b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n")
        with socket.create_connection(server.runner.addresses[0]) as unread:
            unread.sendall(b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n")
            await eventually(lambda: len(server.registry.open) == 7 and len(server.registry.watched) == 5)
            async with asyncio.timeout(TIMEOUT_S):
                stopping = asyncio.create_task(server.runner.finish(LONG_S, server.release, LONG_S))
                assert (await silent.end(), await idle.end()) == (b"", b"")
                for at in (half_head, half_body, stream):
                    answer = await at.end()
                    assert answer.startswith(b"HTTP/1.1 503 ")
                    assert b"This gateway stops" in answer
                assert not stopping.done()
                goes_on.set()
                answer = await waits.end()
                assert answer.startswith(b"HTTP/1.1 200 ")
                assert b"Connection: close" in answer
                await stopping
    assert not server.registry.open


async def test_a_stream_may_go_on_while_it_moves_and_is_told_when_the_time_is_over() -> None:
    ended: list[BaseException] = []

    async def handle(request: web.Request) -> web.Response:
        try:
            return web.Response(body=b"%d" % len(await request.content.read()))
        except BaseException as error:
            ended.append(error)
            raise

    async def trickle(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x")
            await asyncio.sleep(0)

    head = HEAD % b"PUT /api/inventory/snapshots/demo/L"
    async with serving(handler=handle, head_s=LONG_S, body_grace_s=LONG_S, answer_s=LONG_S) as server:
        short = await server.connect(head + b"x")
        endless = await server.connect(head.replace(b"1000", b"999999999") + b"x")
        await eventually(lambda: len(server.registry.open) == 2)
        sending = asyncio.create_task(trickle(endless.writer))
        stopping = asyncio.create_task(server.runner.finish(2.0, server.release, 0.1))
        await eventually(lambda: server.registry.stopping)
        short.writer.write(b"x" * 999)
        assert await short.answer() == (200, b"1000")
        assert not ended
        await stopping
        sending.cancel()
    assert [type(error) for error in ended] == [asyncio.CancelledError]
