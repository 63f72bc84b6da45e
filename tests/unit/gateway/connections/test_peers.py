"""The number of connections is bounded, in all and for one address, and there is room for the next caller."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from gateway.http.answers import Refused
from gateway.http.body import BodyReader
from tests.support.eventually import eventually
from tests.unit.gateway.connections.serving import serving
from topics.configuration.networks import parse_networks, peer_of

OTHER = "127.0.0.2"


async def test_a_peer_that_takes_all_it_can_leaves_room_for_others() -> None:
    async with serving(connections_max=40) as server:
        hogs = [await server.connect(b"GET / HTTP/1.1\r\nX: ") for _ in range(60)]
        await eventually(lambda: len(server.registry.open) >= 20)
        for _ in range(10):
            assert await (await server.connect(host=OTHER)).get() == 200
        answers = [await at.end() for at in hogs if at.reader.at_eof() or at is hogs[-1]]
        assert answers


async def test_the_oldest_idle_connection_makes_room() -> None:
    async with serving(connections_max=20) as server:
        first, *others = [await server.connect() for _ in range(10)]
        for at in (*others, first):
            assert await at.get() == 200
        newest = await server.connect()
        assert await newest.get() == 200
        assert await others[0].end() == b""
        assert await first.get() == 200
        assert server.registry.ended == {"room": 1}


async def test_a_peer_has_as_many_as_its_own_limit_says() -> None:
    async with serving(connections_max=90, connections_per_peer=3, surplus_max=0) as server:
        for _ in range(3):
            await server.connect(b"GET / HTTP/1.1\r\nX: ")
        await eventually(lambda: server.registry.held_bytes)
        refused = await (await server.connect()).end()
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1" in refused
        assert await (await server.connect(host=OTHER)).get() == 200


async def test_a_trusted_proxy_may_have_all() -> None:
    proxies = parse_networks("127.0.0.0/31, fd00::/8")
    async with serving(connections_max=20, trusted_proxies=proxies) as server:
        clients = [await server.connect(b"GET / HTTP/1.1\r\nX: ") for _ in range(20)]
        await eventually(lambda: server.registry.peers.count == 20)
        assert not server.registry.ended
        assert not any(at.reader.at_eof() for at in clients)


def test_a_peer_of_ipv6_is_its_network() -> None:
    assert peer_of("192.0.2.7") == "192.0.2.7"
    assert peer_of("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::/64"
    assert peer_of("fe80::1%eth0") == "fe80::/64"


async def test_bodies_of_one_channel_leave_room_for_those_of_another() -> None:
    bodies = BodyReader(1 << 20, 64_000)

    async def read(request: web.Request) -> web.Response:
        try:
            return web.Response(body=b"%d" % len(await bodies.read(request, request.path)))
        except Refused as refused:
            return web.Response(status=refused.status)

    def post(path: bytes, length: int) -> bytes:
        return b"POST /%b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path, length)

    async with serving(handler=read, connections_max=500) as server:
        hogs = [await server.connect(post(b"hog", 9_999) + b"x" * 3_999) for _ in range(64)]
        await eventually(lambda: bodies.held_bytes > 20_000)
        assert (await hogs[-1].answer())[0] == 503
        other = await server.connect(post(b"other", 9_000) + b"x" * 4_000)
        await asyncio.sleep(0.05)
        other.writer.write(b"x" * 5_000)
        assert await other.answer() == (200, b"9000")
    assert bodies.held_bytes == 0


async def test_beyond_the_limit_probes_are_answered_and_others_told_to_come_again() -> None:
    async with serving(connections_max=2, surplus_max=2, surplus_s=0.2, head_s=30) as server:
        for host in ("127.0.0.1", OTHER):
            await server.connect(b"GET / HTTP/1.1\r\nX: ", host=host)
        await eventually(lambda: len(server.registry.watched) == 2)
        probe = await server.connect(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await probe.end()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" in answer.lower()
        answer = await (await server.connect(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")).end()
        assert answer.startswith(b"HTTP/1.1 503 ")
        await eventually(lambda: not server.registry.surplus)
        silent = [await server.connect() for _ in range(2)]
        await eventually(lambda: len(server.registry.surplus) == 2)
        assert (await (await server.connect()).end()).startswith(b"HTTP/1.1 503 ")
        for at in silent:
            assert await at.end() == b""


async def test_a_connection_that_is_over_leaves_nothing_behind() -> None:
    async with serving() as server:
        get, post = b"GET /x HTTP/1.1\r\n", b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"
        for sent in (b"", get, get + b"Host: x\r\n\r\n", b"\x00\x01", post):
            (await server.connect(sent)).writer.close()
        registry = server.registry
        await eventually(lambda: not (registry.open or registry.watched or registry.peers.count))
        assert (registry.held_bytes, registry.surplus) == (0, {})
        assert not registry.peers._peers
        assert not registry.peers._idle


@pytest.mark.parametrize("piece", [3, 50])
async def test_heads_that_are_held_are_bounded_in_all(piece: int) -> None:
    async with serving(held_heads_bytes_max=2_000, head_s=30) as server:
        clients = [await server.connect(b"GET /x HTTP/1.1\r\nX: " + b"x" * piece) for _ in range(40)]
        await asyncio.sleep(0.05)
        for _ in range(10):
            for at in clients:
                at.writer.write(b"x" * piece)
            await asyncio.sleep(0.01)
            assert server.registry.held_bytes <= 2_000


async def test_peers_for_whom_there_is_no_room_are_forgotten() -> None:
    async with serving(connections_max=2) as server:
        for host in ("127.0.0.1", OTHER):
            await server.connect(b"GET / HTTP/1.1\r\nX: ", host=host)
        await eventually(lambda: len(server.registry.watched) == 2)
        for number in range(3, 8):
            await (await server.connect(b"GET /x HTTP/1.1\r\n\r\n", host=f"127.0.0.{number}")).end()
        assert set(server.registry.peers._peers) == {"127.0.0.1", OTHER}
