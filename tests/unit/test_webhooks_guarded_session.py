"""What is dialled is what was checked: no name, spelling, redirect, proxy or kept connection leads around the guard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from topics.webhooks.addresses import AddressGuard, parse_networks, parse_ports
from topics.webhooks.guarded_session import SystemLookup, guarded_session

PORTS = parse_ports("1-65535")
LOCAL = AddressGuard(networks=parse_networks("127.0.0.1/32"), ports=PORTS, plain_http=True)
"""One loopback address is allowed; 127.0.0.2 is another, which this machine also answers at."""
CLOSED = AddressGuard(ports=PORTS, plain_http=True)


class FakeDns:
    """Gives one answer after the other, then the last one again."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return answer


class Server:
    """At all loopback addresses; tells which one was dialled."""

    def __init__(self) -> None:
        self.dialled: list[str] = []
        app = web.Application()
        app.router.add_post("/", self._take)
        app.router.add_post("/away", self._redirect)
        self.server = TestServer(app, host="0.0.0.0")

    async def _take(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        self.dialled.append(request.transport.get_extra_info("sockname")[0])
        return web.Response(text=request.host)

    async def _redirect(self, request: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect(f"http://127.0.0.2:{self.server.port}/")

    def url(self, host: str, path: str = "/") -> str:
        return f"http://{host}:{self.server.port}{path}"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    await made.server.start_server()
    yield made
    await made.server.close()


async def post(session: aiohttp.ClientSession, url: str, *, close: bool = False) -> int:
    headers = {"Connection": "close"} if close else {}
    async with session.post(url, data=b"{}", headers=headers, allow_redirects=False) as response:
        await response.read()
        return response.status


async def test_a_name_is_called_at_the_address_that_was_checked(server: Server) -> None:
    dns = FakeDns(["127.0.0.1"], ["127.0.0.2"])
    async with guarded_session(LOCAL, dns) as session:
        assert await post(session, server.url("hooks.example"), close=True) == 200
    assert server.dialled == ["127.0.0.1"]
    assert dns.asked == 1  # nothing resolves the name a second time before it dials


async def test_a_name_that_rebinds_is_refused_from_then_on(server: Server) -> None:
    dns = FakeDns(["127.0.0.1"], ["127.0.0.2"])
    async with guarded_session(LOCAL, dns) as session:
        assert await post(session, server.url("hooks.example"), close=True) == 200
        assert isinstance(session.connector, aiohttp.TCPConnector)
        session.connector.clear_dns_cache()
        with pytest.raises(aiohttp.ClientConnectorError, match=r"127\.0\.0\.2 is not public: loopback"):
            await post(session, server.url("hooks.example"), close=True)
    assert server.dialled == ["127.0.0.1"]


async def test_a_kept_connection_stays_where_it_was_dialled(server: Server) -> None:
    dns = FakeDns(["127.0.0.1"], ["127.0.0.2"])
    async with guarded_session(LOCAL, dns) as session:
        assert await post(session, server.url("hooks.example")) == 200
        assert isinstance(session.connector, aiohttp.TCPConnector)
        session.connector.clear_dns_cache()
        assert await post(session, server.url("hooks.example")) == 200
    assert server.dialled == ["127.0.0.1", "127.0.0.1"]
    assert dns.asked == 1


@pytest.mark.parametrize(
    "answer", [["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "::1"], ["127.0.0.1"] * 9 + ["::"]]
)
async def test_a_mixed_answer_is_refused_whole(server: Server, answer: list[str]) -> None:
    async with guarded_session(LOCAL, FakeDns(answer)) as session:
        with pytest.raises(aiohttp.ClientConnectorError, match="is not public"):
            await post(session, server.url("hooks.example"))
    assert server.dialled == []


@pytest.mark.parametrize("host", ["127.0.0.2", "127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]"])
async def test_an_address_in_the_url_is_checked_too(server: Server, host: str) -> None:
    async with guarded_session(CLOSED) as session:
        with pytest.raises(aiohttp.ClientConnectorError, match="is not public"):
            await post(session, server.url(host))
    assert server.dialled == []


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1"])
async def test_an_odd_spelling_reaches_nothing(server: Server, host: str) -> None:
    async with guarded_session(CLOSED) as session:
        with pytest.raises((aiohttp.ClientConnectorError, aiohttp.InvalidURL)):
            await post(session, server.url(host))
    assert server.dialled == []


async def test_a_port_that_is_not_allowed_is_not_dialled(server: Server) -> None:
    guard = AddressGuard(networks=LOCAL.networks, plain_http=True)
    async with guarded_session(guard, FakeDns(["127.0.0.1"])) as session:
        for host in ("127.0.0.1", "hooks.example"):
            with pytest.raises(aiohttp.ClientConnectorError, match="is not allowed"):
                await post(session, server.url(host))
    assert server.dialled == []


async def test_a_redirect_is_an_answer(server: Server) -> None:
    async with guarded_session(LOCAL) as session:
        assert await post(session, server.url("127.0.0.1", "/away")) == 307
    assert server.dialled == []


async def test_a_proxy_of_the_environment_is_not_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.2:1")
    async with guarded_session(LOCAL) as session:
        assert await post(session, server.url("127.0.0.1")) == 200


async def test_the_systems_resolver_answers_with_addresses_or_says_why_not() -> None:
    lookup = SystemLookup()
    assert set(await lookup("localhost", 80)) <= {"127.0.0.1", "::1"}
    for host in ("hooks.invalid", "a" * 64 + ".invalid"):
        with pytest.raises(OSError, match="has no address"):
            await asyncio.wait_for(lookup(host, 80), 30)
    async with guarded_session(LOCAL, FakeDns([])) as session:
        with pytest.raises(aiohttp.ClientConnectorError, match="has no address"):
            await post(session, "http://hooks.example/")
