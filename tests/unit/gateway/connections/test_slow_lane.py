"""Connections in the slow lane: nothing of them is lost, they end as others do, and other work goes before them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest
import uvloop
from aiohttp import web

from gateway.connections import slow_lane
from gateway.connections.limits import Limits
from gateway.connections.refusal import Caller, Refusal
from gateway.connections.server import ACCEPTS, ConnectionRunner
from gateway.http.answers import Answer
from tests.support.eventually import eventually

NO = Refusal.of(Answer(503, b"no", retry_after_s=3))


class RefusesNo:
    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def admit(self, head: bytes, lowered: bytes, connection: Caller) -> Refusal | None:
        path = head.split(b" ")[1]
        self.asked.append(path)
        return NO if path.startswith(b"/no") else None

    def again(self, data: bytes, connection: Caller) -> Refusal | None:
        return None

    def ended(self, connection: Caller) -> None:
        """Nothing is counted here."""


def post(path: str, body: bytes = b"") -> bytes:
    return b"POST /%b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (path.encode(), len(body), body)


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, path: str, body: bytes = b"") -> bytes:
        self.writer.write(post(path, body))
        return await self.answer()

    async def answer(self) -> bytes:
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 20)
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        return await self.reader.readexactly(length)


class Serving:
    def __init__(self, runner: ConnectionRunner, hook: RefusesNo) -> None:
        self.runner, self.hook = runner, hook
        self.lane = runner.registry.slow_lane

    async def connect(self) -> Client:
        return Client(*await asyncio.open_connection(*self.runner.addresses[0][:2]))


@asynccontextmanager
async def serving() -> AsyncIterator[Serving]:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=b"=" + await request.read())

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", echo)
    hook = RefusesNo()
    runner = ConnectionRunner(app, Limits(connections_max=1_000), admission=hook, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield Serving(runner, hook)
    finally:
        runner.registry.stop()
        await runner.cleanup()


async def a_refused_connection_is_slow_until_it_is_let_in() -> None:
    async with serving() as at:
        client = await at.connect()
        for _ in range(3):
            assert await client.ask("no", b"abc") == b"no"
            assert len(at.lane) == 1
            assert await client.ask("no") == b"no"
            assert await client.ask("yes", b"def") == b"=def"
            assert len(at.lane) == 0


async def bodies_of_any_size_pass_the_lane_whole() -> None:
    async with serving() as at:
        client = await at.connect()
        assert await client.ask("no") == b"no"
        body = bytes(range(256)) * 2_000
        assert await client.ask("yes", body) == b"=" + body
        assert await client.ask("no", body[:200_000]) == b"no", "thrown away in the lane"
        client.writer.write(post("no", b"x") + post("yes", body) + post("no") + post("yes", b"y"))
        assert [await client.answer() for _ in range(4)] == [b"no", b"=" + body, b"no", b"=y"]


async def a_client_that_goes_away_leaves_the_lane() -> None:
    async with serving() as at:
        for way in ("close", "eof", "abort"):
            client = await at.connect()
            assert await client.ask("no") == b"no"
            {
                "close": client.writer.close,
                "eof": client.writer.write_eof,
                "abort": client.writer.transport.abort,
            }[way]()
            await eventually(lambda: len(at.lane) == len(at.runner.registry.open) == 0)
            client.writer.close()


async def many_take_turns_and_none_is_forgotten() -> None:
    async with serving() as at:
        clients = [await at.connect() for _ in range(3 * slow_lane.BATCH)]
        for client in clients:
            assert await client.ask("no") == b"no"
        assert len(at.lane) == len(clients)
        for _ in range(3):
            assert set(await asyncio.gather(*(client.ask("no", b"x" * 100) for client in clients))) == {b"no"}
        assert set(await asyncio.gather(*(client.ask("yes") for client in clients))) == {b"="}
        assert len(at.lane) == 0
        for client in clients:
            client.writer.close()


async def others_are_answered_before_the_rest_of_the_lane() -> None:
    """All connections of the lane have something to read, and one that is not in it: that one has its turn, too."""
    async with serving() as at:
        slow = [await at.connect() for _ in range(4 * slow_lane.BATCH)]
        for client in slow:
            assert await client.ask("no") == b"no"
        other = await at.connect()
        assert await other.ask("yes") == b"="
        at.hook.asked.clear()
        for client in slow:
            client.writer.write(post("no"))
        other.writer.write(post("yes"))
        assert await other.answer() == b"="
        assert at.hook.asked.index(b"/yes") <= 2 * slow_lane.BATCH
        for client in slow:
            assert await client.answer() == b"no"
            client.writer.close()


async def a_server_that_stops_closes_the_lane() -> None:
    async with serving() as at:
        client = await at.connect()
        assert await client.ask("no") == b"no"
        await at.runner.finish(0.1, lambda: None, 0.1)
        assert len(at.lane) == 0
        assert await asyncio.wait_for(client.reader.read(), 20) == b""


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize(
    "story",
    [
        a_refused_connection_is_slow_until_it_is_let_in,
        bodies_of_any_size_pass_the_lane_whole,
        a_client_that_goes_away_leaves_the_lane,
        many_take_turns_and_none_is_forgotten,
        others_are_answered_before_the_rest_of_the_lane,
        a_server_that_stops_closes_the_lane,
    ],
)
def test_the_slow_lane(
    story: Callable[[], Coroutine[None, None, None]], loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """On the loop of a gateway, and on that of the other tests."""
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(story())


async def connect_and_stop() -> None:
    app = web.Application()
    runner = ConnectionRunner(app, Limits(connections_max=1_000), shutdown_timeout=0.1)
    await runner.setup()
    await runner.listen("127.0.0.1", 0)
    address = runner.addresses[0][:2]
    clients = [await asyncio.open_connection(*address) for _ in range(3 * ACCEPTS)]
    await eventually(lambda: len(runner.registry.open) == len(clients))
    for _, writer in clients:
        writer.close()
    await runner.finish(0.1, lambda: None, 0.1)
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await asyncio.open_connection(*address)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_all_are_accepted_and_none_after_the_stop(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(connect_and_stop())
