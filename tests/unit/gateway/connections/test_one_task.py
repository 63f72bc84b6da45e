"""A connection answers its requests in one task, where aiohttp makes one for each."""

from __future__ import annotations

import asyncio
import socket
import struct
from functools import partial
from typing import Any

from aiohttp import web

from gateway.connections.one_task import OneTaskHandler
from tests.support.eventually import eventually
from tests.unit.gateway.connections.serving import Client, serving
from topics.http_faults import FaultLog, QuietHandler, QuietServer


async def tasks_of_two_requests(make: type[QuietHandler]) -> set[Any]:
    seen: list[Any] = []

    async def handle(_request: web.BaseRequest) -> web.Response:
        seen.append(asyncio.current_task())
        return web.Response(text="done")

    faults, loop = FaultLog("test"), asyncio.get_running_loop()
    inner = web.Server(handle, access_log=None)
    server = QuietServer(inner, partial(make, faults=faults))
    listening = await loop.create_server(server, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname()[:2])
    client = Client(reader, writer)
    assert (await client.get(), await client.get()) == (200, 200)
    writer.close()
    listening.close()
    await server.shutdown(1.0)
    return set(seen)


async def test_requests_of_a_connection_are_answered_in_its_own_task() -> None:
    assert len(await tasks_of_two_requests(OneTaskHandler)) == 1
    assert len(await tasks_of_two_requests(QuietHandler)) == 2, "this is aiohttp's own way no more"


async def test_a_request_goes_on_when_its_client_is_gone() -> None:
    begun, goes_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handle(_request: web.Request) -> web.Response:
        begun.set()
        await goes_on.wait()
        ended.set()
        return web.Response(text="done")

    async with serving(handler=handle) as server:
        client = await server.connect(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        await begun.wait()
        made = client.writer.get_extra_info("socket")
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # its end is a reset
        client.writer.transport.abort()
        await eventually(lambda: not server.registry.open)
        goes_on.set()
        await asyncio.wait_for(ended.wait(), 20)


async def test_a_body_that_its_handler_left_does_not_become_the_next_request() -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(text=request.path)

    async with serving(handler=handle) as server:
        client = await server.connect(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\nGET /b")
        assert await client.answer() == (200, b"/a")
        client.writer.write(b" HTTP/1.1\r\n\r\nx")
        client.writer.write(b"GET /c HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await client.answer() == (200, b"/c")
        assert await client.get("/d") == 200


async def test_a_fault_of_a_handler_is_answered_and_ends_its_connection_alone() -> None:
    async def handle(request: web.Request) -> web.Response:
        if request.path == "/bad":
            raise ValueError("unforeseen")
        return web.Response(text="done")

    async with serving(handler=handle) as server:
        bad, good = await server.connect(), await server.connect()
        assert await bad.get("/bad") == 500
        assert await bad.end() == b""
        assert await good.get("/x") == 200
