"""Each call arrives as the contract says, and whatever comes back is an answer, never an exception."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from streams.delivery.attempts.classify import classify
from streams.delivery.ports import Answer, Call, ResponseClass
from streams.delivery.senders import http as sender_module
from streams.delivery.senders.http import HttpSender, far_url
from tests.fakes.delivery import channels_for
from topics.contract.touchpoints import BY_NAME
from topics.records.keys import INCREFF


class FarSide:
    """Answers every request by `answer`; keeps what it got."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.answer: Any = lambda _request: web.Response()
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._take)
        self.server = TestServer(app)

    async def _take(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(
            {
                "method": request.method,
                "path": request.raw_path,
                "headers": dict(request.headers),
                "body": await request.read(),
            }
        )
        answer = self.answer(request)
        if asyncio.iscoroutine(answer):
            answer = await answer
        assert isinstance(answer, web.StreamResponse)
        return answer


@pytest.fixture
async def far() -> AsyncIterator[FarSide]:
    side = FarSide()
    await side.server.start_server()
    yield side
    await side.server.close()


@pytest.fixture
async def sender(far: FarSide) -> AsyncIterator[HttpSender]:
    base = str(far.server.make_url("")).rstrip("/")
    made = HttpSender(
        channels_for(
            increff={
                "url": base + "/assure-magic2",
                "timeout_s": 5,
                "far_methods": {"cancel-return-order-items": "POST"},
            },
            marketplace={"url": base + "/mp", "far_paths": {"pack-order": "/v2/pack"}},
        )
    )
    await made.start()
    yield made
    await made.stop()


def call(name: str, members: dict[str, Any] | None = None, **more: Any) -> Call:
    touchpoint = BY_NAME[name]
    destination = INCREFF if touchpoint.far_side == "increff" else "channel:demo"
    return Call(touchpoint=touchpoint, destination=destination, channel="demo", members=members, **more)


@pytest.mark.parametrize(
    ("name", "members", "method", "path", "body"),
    [
        (
            "create-outward-order",
            {"orderCode": "A", "unknown": [1]},
            "POST",
            "/assure-magic2/orders/outward",
            b'{"orderCode":"A","unknown":[1]}',
        ),
        (
            "customer-cancellation",
            {"orderCode": "A/ä ?#%|", "orderItems": []},
            "PUT",
            "/assure-magic2/orders/A%2F%C3%A4%20%3F%23%25%7C/cancel",
            b'{"orderItems":[]}',
        ),
        ("update-order-properties", {"orderCode": ".."}, "PUT", "/assure-magic2/orders/%2E%2E", b"{}"),
        ("pack-order", {"orderCode": "A"}, "POST", "/mp/v2/pack", b'{"orderCode":"A"}'),
        (
            "cancel-return-order-items",
            {"orderCode": "A"},
            "POST",
            "/assure-magic2/return/cancel-items",
            b'{"orderCode":"A"}',
        ),
        (
            "get-invoice",
            {"shipmentCode": "S 1&x=y", "reprint": True, "count": 3, "gone": None},
            "GET",
            "/mp/invoice?shipmentCode=S%201%26x%3Dy&reprint=true&count=3",
            b"",
        ),
        ("get-shipping-label", {}, "GET", "/mp/shipping-label", b""),
    ],
)
async def test_a_call_is_written_as_the_contract_says(
    far: FarSide, sender: HttpSender, name: str, members: dict[str, Any], method: str, path: str, body: bytes
) -> None:
    answer = await sender.send(call(name, members))
    [request] = far.requests
    assert answer.status == 200
    assert (request["method"], request["path"], request["body"]) == (method, path, body)
    assert request["headers"].get("Content-Type") == ("application/json" if body else None)


async def test_increff_gets_the_header_triple_and_the_delivery_id(far: FarSide, sender: HttpSender) -> None:
    await sender.send(call("create-outward-order", {}, delivery_id="e.0", attempt=3))
    headers = far.requests[0]["headers"]
    assert {name: headers[name] for name in ("authUsername", "authPassword", "authDomainName")} == {
        "authUsername": "sluice",
        "authPassword": "sluice-secret",
        "authDomainName": "demo",
    }
    assert (headers["Sluice-Delivery-Id"], headers["Sluice-Attempt"]) == ("e.0", "3")
    assert "X-Channel-Key" not in headers
    assert "Sluice-Redrive" not in headers


async def test_what_an_operator_sends_again_says_so(far: FarSide, sender: HttpSender) -> None:
    await sender.send(call("create-outward-order", {}, delivery_id="e.0", redrive="rdv_1"))
    assert far.requests[0]["headers"]["Sluice-Redrive"] == "rdv_1"


async def test_a_marketplace_gets_its_own_headers_only(far: FarSide, sender: HttpSender) -> None:
    await sender.send(call("acknowledgement", {}))
    headers = far.requests[0]["headers"]
    assert headers["X-Channel-Key"] == "demo-channel"
    assert "authPassword" not in headers


async def test_a_redirect_is_an_answer_and_is_not_followed(far: FarSide, sender: HttpSender) -> None:
    far.answer = lambda _request: web.Response(status=307, headers={"Location": "/elsewhere"})
    assert (await sender.send(call("pack-order", {}))).status == 307
    assert len(far.requests) == 1


async def test_cookies_are_not_kept(far: FarSide, sender: HttpSender) -> None:
    far.answer = lambda _request: web.Response(headers={"Set-Cookie": "a=b"})
    await sender.send(call("pack-order", {}))
    await sender.send(call("pack-order", {}))
    assert "Cookie" not in far.requests[1]["headers"]


async def test_no_answer_in_time_is_no_status(far: FarSide, sender: HttpSender) -> None:
    release = asyncio.Event()

    async def late(_request: web.Request) -> web.Response:
        await release.wait()
        return web.Response()

    far.answer = late
    answer = await sender.send(call("pack-order", {}, timeout_s=0.1))
    release.set()
    assert answer.status is None
    assert "0.1 s" in answer.error


async def test_nobody_there_is_no_status(sender: HttpSender, far: FarSide) -> None:
    await far.server.close()
    answer = await sender.send(call("pack-order", {}))
    assert answer.status is None
    assert answer.error


async def test_an_answer_cut_off_keeps_its_status(far: FarSide, sender: HttpSender) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"half')
        assert request.transport is not None
        request.transport.close()
        return response

    far.answer = cut
    answer = await sender.send(call("pack-order", {}))
    assert answer == Answer(status=200, headers=answer.headers, body=b'{"half', error=answer.error)
    assert "cut off" in answer.error


@pytest.mark.parametrize("compressed", [False, True])
async def test_an_answer_is_read_up_to_the_limit(
    far: FarSide, sender: HttpSender, compressed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "RESPONSE_BYTES_MAX", 100_000)
    body = b" " * 100_001
    headers = {"Content-Encoding": "deflate"} if compressed else {}
    far.answer = lambda _request: web.Response(body=zlib.compress(body) if compressed else body, headers=headers)
    answer = await sender.send(call("pack-order", {}))
    assert (answer.status, answer.body) == (200, b"")
    assert "larger" in answer.error


@pytest.mark.parametrize("delivery_id", ["a\nb", "a\r\nX: y", "a\x00b", "a\x1fb", "a\x7f"])
async def test_an_id_that_no_header_can_carry_is_refused_and_never_sent(
    far: FarSide, sender: HttpSender, delivery_id: str
) -> None:
    answer = await sender.send(call("create-outward-order", {"orderCode": "A"}, delivery_id=delivery_id))
    assert answer.unsendable
    verdict = classify(BY_NAME["create-outward-order"], None, answer, 0)
    assert verdict.kind is ResponseClass.REFUSED
    assert "control character" in verdict.message
    assert far.requests == []


def test_control_characters_in_a_path_are_quoted() -> None:
    url = far_url("http://far", "/orders/{orderCode}", BY_NAME["update-order-properties"], {"orderCode": "a\r\nb"})
    assert str(url) == "http://far/orders/a%0D%0Ab"
