"""One request per attempt: no session of Sluice repeats a request by itself."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from streams.delivery.ports import Call
from streams.delivery.senders.http import HttpSender
from tests.fakes.delivery import channels_for
from topics import http_sessions
from topics.contract.touchpoints import BY_NAME
from topics.records.keys import INCREFF

ROOT = Path(__file__).parents[3]
FACTORY = "topics/http_sessions.py"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
METHODS = ("POST", "PUT", "GET", "HEAD", "OPTIONS", "DELETE", "TRACE")


class CuttingServer:
    """Answers the first request of each connection and keeps it; reads the second whole, and cuts the connection."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await self._read(reader)
            writer.write(ANSWER)
            await self._read(reader)
        writer.transport.abort()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.lower().split("\r\n")
        size = next((int(line.partition(":")[2]) for line in lines if line.startswith("content-length:")), 0)
        await reader.readexactly(size)
        self.seen.append(head.partition(" ")[0])


@pytest.fixture
async def server() -> AsyncIterator[CuttingServer]:
    made = CuttingServer()
    yield made
    await made.stop()


async def failed_on_a_kept_connection(session: aiohttp.ClientSession, url: str, method: str) -> bool:
    """Whether the second of two requests had no answer."""
    async with session.post(url, data=b"{}") as answer:
        await answer.read()
    try:
        async with session.request(method, url, data=b"{}" if method in ("POST", "PUT") else None) as answer:
            await answer.read()
    except aiohttp.ClientError:
        return True
    return False


@pytest.mark.parametrize("method", METHODS)
async def test_a_request_that_was_read_is_not_sent_again(server: CuttingServer, method: str) -> None:
    url = await server.start()
    async with http_sessions.session() as session:
        assert await failed_on_a_kept_connection(session, url, method)
    assert server.seen == ["POST", method]


async def test_a_stock_session_sends_it_again(server: CuttingServer) -> None:
    """The default of aiohttp, which the factory switches off."""
    url = await server.start()
    async with aiohttp.ClientSession() as session:
        assert not await failed_on_a_kept_connection(session, url, "PUT")
    assert server.seen == ["POST", "PUT", "PUT"]


@pytest.mark.parametrize("name", ["create-outward-order", "update-order-properties", "search-inventory-marketplace"])
async def test_an_attempt_of_delivery_is_one_request(server: CuttingServer, name: str) -> None:
    """A permit of the budget is taken for each call of `send`: as many requests arrive as permits were taken."""
    url = await server.start()
    sender = HttpSender(channels_for(increff={"url": url, "timeout_s": 5}, marketplace={"url": url}))
    await sender.start()
    touchpoint = BY_NAME[name]
    destination = INCREFF if touchpoint.far_side == "increff" else "channel:demo"
    call = Call(touchpoint=touchpoint, destination=destination, channel="demo", members={"orderCode": "o1"})
    try:
        answers = [await sender.send(call) for _ in range(6)]
    finally:
        await sender.stop()
    assert [answer.status for answer in answers] == [200, None] * 3
    assert len(server.seen) == len(answers)


def test_sessions_are_made_only_by_the_factory() -> None:
    made: dict[str, list[int]] = {}
    for package in ("topics", "journal", "gateway", "streams", "sluice", "bench"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                    "aiohttp.ClientSession",
                    "ClientSession",
                    "aiohttp.request",
                ):
                    made.setdefault(str(path.relative_to(ROOT)), []).append(node.lineno)
    assert list(made) == [FACTORY], made
