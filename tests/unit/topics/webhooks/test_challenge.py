"""Only an endpoint that sends the challenge back is a subscriber; of any other the operator learns why not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from sluice.dev.torture.log import Signed
from sluice.dev.torture.signatures import checker, judge
from tests.support.webhooks import webhook_client
from topics.configuration.networks import parse_networks, parse_ports
from topics.webhooks.addresses import NOT_ALLOWED, AddressGuard
from topics.webhooks.challenge import challenge_endpoint
from topics.webhooks.client import WebhookClient
from topics.webhooks.signatures import Signature, make_secret, signing_key

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SECRET = make_secret(Signature.V1, b"k" * 32)
CHALLENGE = "c-0123456789"
LOCAL = AddressGuard(networks=parse_networks("127.0.0.0/8"), ports=parse_ports("1-65535"), plain_http=True)


async def ask(handler: Handler, *, guard: AddressGuard = LOCAL, timeout_s: float = 20.0) -> str | None:
    app = web.Application()
    app.router.add_post("/hook", handler)
    async with TestServer(app) as server, webhook_client(guard) as client:
        return await _ask(client, str(server.make_url("/hook")), timeout_s)


async def _ask(client: WebhookClient, url: str, timeout_s: float) -> str | None:
    return await challenge_endpoint(
        client,
        url=url,
        subscription="sub_0123456789abcdef",
        keys=[signing_key(SECRET)],
        delivery_id="msg_1",
        challenge=CHALLENGE,
        now_ms=int(time.time() * 1000),
        timeout_s=timeout_s,
    )


async def test_an_endpoint_that_sends_the_signed_challenge_back_is_verified() -> None:
    async def handler(request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        assert judge([checker(SECRET)], headers, body, time.time()) is Signed.RIGHT
        event = orjson.loads(body)
        assert event["type"] == "subscription-verification"
        assert event["data"]["subscription"] == "sub_0123456789abcdef"
        return web.json_response({"challenge": event["data"]["challenge"], "more": 1}, status=201)

    assert await ask(handler) is None


def answering(**what: object) -> Handler:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(**what)  # type: ignore[arg-type]

    return handler


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (answering(text="ok"), "not JSON"),
        (answering(), "not JSON"),
        (answering(text="[]"), "does not hold the challenge"),
        (answering(text="{}"), "does not hold the challenge"),
        (answering(text='{"challenge": 1}'), "does not hold the challenge"),
        (answering(text='{"challenge": "c-0123456788"}'), "does not hold the challenge"),
        (answering(text='{"challenge": "\u00e4"}'), "does not hold the challenge"),
        (answering(text='{"challenge": "c-0123456789"}', status=404), "answered 404: expected 2xx"),
        (answering(status=307, headers={"Location": "/other"}), "answered 307: redirects are not followed"),
        (answering(body=b" " * 70_000), "larger than 65536 bytes"),
    ],
)
async def test_any_other_answer_is_a_reason(handler: Handler, says: str) -> None:
    assert says in (await ask(handler) or "")


async def test_a_silent_endpoint_is_given_up() -> None:
    ended = asyncio.Event()

    async def handler(_request: web.Request) -> web.Response:
        await ended.wait()
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", handler)
    async with TestServer(app) as server, webhook_client(LOCAL) as client:
        said = await _ask(client, str(server.make_url("/hook")), 0.05)
        ended.set()
    assert said == "no answer within 0.05 s"


async def test_the_guard_stands_before_the_endpoint() -> None:
    closed = AddressGuard(ports=LOCAL.ports, plain_http=True)
    assert NOT_ALLOWED in (await ask(answering(), guard=closed) or "")
    async with webhook_client(closed) as client:
        assert NOT_ALLOWED in (await _ask(client, "http://localhost:1/hook", 20.0) or "")
        assert NOT_ALLOWED in (await _ask(client, "http://localhost:1/hook", 20.0) or "")


async def test_nobody_there_is_a_reason(unused_tcp_port: int) -> None:
    async with webhook_client(LOCAL) as client:
        assert "Error" in (await _ask(client, f"http://127.0.0.1:{unused_tcp_port}/", 20.0) or "")
