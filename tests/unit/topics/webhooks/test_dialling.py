"""What is dialled is what was checked: no name, spelling, redirect, proxy or kept connection leads around the guard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from sluice.dev.local.ports import free_ports
from tests.support.webhooks import webhook_client
from topics.configuration.networks import parse_networks, parse_ports
from topics.webhooks import dialling
from topics.webhooks.addresses import NOT_ALLOWED, AddressGuard, EndpointError
from topics.webhooks.client import Endpoint, Response, WebhookClient
from topics.webhooks.dialling import AddressRefusedError, Dialler, SystemLookup

PORTS = parse_ports("1-65535")
LOCAL = AddressGuard(networks=parse_networks("127.0.0.1/32"), ports=PORTS, plain_http=True)
"""One loopback address is allowed; 127.0.0.2 is another, which this machine also answers at."""
CLOSED = AddressGuard(ports=PORTS, plain_http=True)


class FakeDns:
    """Gives one answer after the other, then the last one again."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str) -> Sequence[str]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return answer


class Server:
    """At all loopback addresses; tells which one was dialled."""

    def __init__(self) -> None:
        self.dialled: list[str] = []
        self.closes = False
        app = web.Application()
        app.router.add_post("/", self._take)
        app.router.add_post("/away", self._redirect)
        self.server = TestServer(app, host="0.0.0.0")

    async def _take(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        self.dialled.append(request.transport.get_extra_info("sockname")[0])
        return web.Response(text=request.host, headers={"Connection": "close"} if self.closes else {})

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


async def post(client: WebhookClient, url: str) -> Response:
    return await client.post(client.endpoint(url), "", b"{}", 20.0)


async def test_a_name_that_rebinds_is_refused_from_then_on(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(dialling, "KEPT_S", 0.0)
    server.closes = True
    dns = FakeDns(["127.0.0.1"], ["127.0.0.2"])
    async with webhook_client(LOCAL, dns) as client:
        assert (await post(client, server.url("hooks.example"))).status == 200
        assert dns.asked == 1  # nothing resolves the name a second time before it dials
        assert NOT_ALLOWED in (await post(client, server.url("hooks.example"))).error
    assert "hooks.example: 127.0.0.2 is not public: loopback" in caplog.text
    assert server.dialled == ["127.0.0.1"]


async def test_a_kept_connection_stays_where_it_was_dialled(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialling, "KEPT_S", 0.0)
    dns = FakeDns(["127.0.0.1"], ["127.0.0.2"])
    async with webhook_client(LOCAL, dns) as client:
        for _ in range(2):
            assert (await post(client, server.url("hooks.example"))).status == 200
    assert server.dialled == ["127.0.0.1", "127.0.0.1"]
    assert dns.asked == 1


@pytest.mark.parametrize(
    "answer", [["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "::1"], ["127.0.0.1"] * 9 + ["::"]]
)
async def test_a_mixed_answer_is_refused_whole(server: Server, answer: list[str]) -> None:
    async with webhook_client(LOCAL, FakeDns(answer)) as client:
        assert NOT_ALLOWED in (await post(client, server.url("hooks.example"))).error
    assert server.dialled == []


@pytest.mark.parametrize("host", ["127.0.0.2", "127.0.0.1", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]"])
async def test_an_address_in_the_url_is_checked_before_and_when_it_is_dialled(server: Server, host: str) -> None:
    async with webhook_client(CLOSED) as client:
        with pytest.raises(EndpointError, match=NOT_ALLOWED):
            client.endpoint(server.url(host))
        # Even if nothing had looked at the URL.
        unchecked = Endpoint((host.strip("[]"), server.server.port or 0, False), b"POST / HTTP/1.1\r\n")
        assert NOT_ALLOWED in (await client.post(unchecked, "", b"", 20.0)).error
    assert server.dialled == []


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost"])
async def test_an_odd_spelling_is_not_dialled(server: Server, host: str) -> None:
    with pytest.raises(AddressRefusedError, match=NOT_ALLOWED):
        await Dialler(CLOSED).connect(host, server.server.port or 0)


async def test_a_port_that_is_not_allowed_is_not_dialled(server: Server) -> None:
    dialler = Dialler(AddressGuard(networks=LOCAL.networks), FakeDns(["127.0.0.1"]))
    for host in ("127.0.0.1", "hooks.example"):
        with pytest.raises(AddressRefusedError, match="is not allowed"):
            await dialler.connect(host, server.server.port or 0)


async def test_the_other_addresses_of_a_name_are_tried(server: Server) -> None:
    guard = AddressGuard(networks=parse_networks("127.0.0.0/8 ::1/128"), ports=PORTS, plain_http=True)
    async with webhook_client(guard, FakeDns(["::1", "127.0.0.3"])) as client:
        assert (await post(client, server.url("hooks.example"))).status == 200  # nobody listens at ::1
    assert server.dialled == ["127.0.0.3"]


async def test_a_redirect_is_an_answer(server: Server) -> None:
    async with webhook_client(LOCAL) as client:
        reply = await post(client, server.url("127.0.0.1", "/away"))
    assert reply.status == 307
    assert server.dialled == []


async def test_a_proxy_of_the_environment_is_not_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.2:1")
    async with webhook_client(LOCAL) as client:
        assert (await post(client, server.url("127.0.0.1"))).status == 200


async def test_a_burst_of_dials_asks_once_and_whoever_gives_up_leaves_it_to_the_others(server: Server) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()
    dns = FakeDns(["127.0.0.1"])

    async def slow(host: str) -> Sequence[str]:
        asked.set()
        await answer.wait()
        return await dns(host)

    async with webhook_client(LOCAL, slow) as client:
        first = asyncio.create_task(post(client, server.url("hooks.example")))
        others = [asyncio.create_task(post(client, server.url("hooks.example"))) for _ in range(5)]
        await asked.wait()
        first.cancel()
        answer.set()
        assert [(await other).status for other in others] == [200] * 5
    assert dns.asked == 1


async def test_a_lookup_that_fails_is_asked_again(server: Server) -> None:
    dns = FakeDns([], ["127.0.0.1"])
    async with webhook_client(LOCAL, dns) as client:
        assert "hooks.example has no address" in (await post(client, server.url("hooks.example"))).error
        assert (await post(client, server.url("hooks.example"))).status == 200


async def test_the_systems_resolver_answers_with_addresses_or_says_why_not() -> None:
    lookup = SystemLookup()
    assert set(await lookup("localhost")) <= {"127.0.0.1", "::1"}
    for host in ("hooks.invalid", "a" * 64 + ".invalid"):
        with pytest.raises(OSError, match="has no address"):
            await lookup(host)


async def test_no_error_of_the_network_tells_an_address(caplog: pytest.LogCaptureFixture) -> None:
    [port] = free_ports(1)
    everywhere = AddressGuard(networks=parse_networks("127.0.0.0/8"), ports=PORTS, plain_http=True)
    for guard, answer, says in (
        (CLOSED, ["127.0.0.2"], "AddressRefusedError"),
        (everywhere, ["127.0.0.2"], "ConnectionRefusedError: Connection refused"),
        (everywhere, ["127.0.0.2", "127.0.0.3"], "Connection refused"),
    ):
        async with webhook_client(guard, FakeDns(answer)) as client:
            for _ in range(5):
                error = (await post(client, f"http://hooks.example:{port}/")).error
        assert says in error
        assert "127." not in error
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told == ["endpoint.refused: hooks.example: " + str(CLOSED.refusal("127.0.0.2", port))]
