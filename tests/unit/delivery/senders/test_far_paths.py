"""The path that a far side gets decodes to exactly the code; members have the names, and the place, that the channel
configures. Read as bytes from the socket."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

import orjson
import pytest

from streams.delivery.ports import Call
from streams.delivery.senders.http import HttpSender
from tests.fakes.delivery import channels_for
from tests.support.paths.odd_codes import CODES
from tests.support.paths.raw_http import raw_server
from topics.configuration.errors import ConfigurationError
from topics.contract.touchpoints import BY_NAME
from topics.records.keys import INCREFF

FORMER = b'{"returnOrderCode":"R","returnLineItems":[{"channelReturnItemCode":"I","channelSkuCode":"A","mine":2e3}]}'
PRESENT = {
    "returnOrderCode": "R",
    "returnOrderItems": [{"returnOrderItemCode": "I", "channelSkuCode": "A", "mine": 2e3}],
}


async def sent(calls: list[Call], **far_side: Any) -> list[tuple[str, str, bytes]]:
    """Method, target and body of each call. `far_side`: settings of both."""
    async with raw_server() as far:
        url = far.url + far_side.pop("below", "/base")
        sender = HttpSender(channels_for(increff={**far_side, "url": url}, marketplace={**far_side, "url": url}))
        await sender.start()
        for call in calls:
            assert (await sender.send(call)).status == 200
        await sender.stop()
        return far.requests


def call_of(name: str, members: dict[str, Any] | bytes) -> Call:
    touchpoint = BY_NAME[name]
    destination = INCREFF if touchpoint.far_side == "increff" else "channel:demo"
    body = members if isinstance(members, bytes) else orjson.dumps(members)
    return Call(touchpoint=touchpoint, destination=destination, channel="demo", body=memoryview(body))


@pytest.mark.parametrize(
    ("name", "before", "behind"),
    [("update-order-properties", "/base/orders/", ""), ("customer-cancellation", "/base/orders/", "/cancel")],
)
async def test_the_path_has_the_code_as_one_part(name: str, before: str, behind: str) -> None:
    requests = await sent([call_of(name, {"orderCode": code, "onHold": True}) for code in CODES])
    for code, (_method, target, body) in zip(CODES, requests, strict=True):
        part = target.removeprefix(before).removesuffix(behind)
        assert target == before + part + behind
        assert unquote_to_bytes(part) == code.encode()
        assert not set(part) & set("/?#"), target
        assert part not in (".", ".."), target
        assert orjson.loads(body) == {"onHold": True}


async def test_a_query_has_the_code_as_one_value() -> None:
    requests = await sent([call_of("get-invoice", {"orderCode": code, "shipmentCode": code}) for code in CODES])
    for code, (_method, target, _body) in zip(CODES, requests, strict=True):
        path, _, query = target.partition("?")
        assert path == "/base/invoice"
        assert parse_qsl(query, keep_blank_values=True, strict_parsing=True) == [
            ("orderCode", code),
            ("shipmentCode", code),
        ]
        assert "#" not in target


@pytest.mark.parametrize(
    ("settings", "target", "body"),
    [
        ({}, "/base/orders/%7Ba%7D/cancel", {"n": 1}),
        ({"far_paths": {"customer-cancellation": "/v2/{orderCode}/x"}}, "/base/v2/%7Ba%7D/x", {"n": 1}),
        (
            {"far_paths": {"customer-cancellation": "/cancel.php?do=it"}},
            "/base/cancel.php?do=it",
            {"orderCode": "{a}", "n": 1},
        ),
        ({"far_members": {"customer-cancellation": {"n": "count"}}}, "/base/orders/%7Ba%7D/cancel", {"count": 1}),
        ({"below": "/{orderCode}"}, "/{orderCode}/orders/%7Ba%7D/cancel", {"n": 1}),
    ],
    ids=["contract", "another path", "no place", "another member", "base"],
)
async def test_the_code_is_where_the_channel_says(settings: dict[str, Any], target: str, body: dict[str, Any]) -> None:
    [request] = await sent([call_of("customer-cancellation", {"orderCode": "{a}", "n": 1})], **settings)
    assert (request[1], orjson.loads(request[2])) == (target, body)


@pytest.mark.parametrize(
    ("settings", "target"),
    [
        ({"far_members": {"get-invoice": {"shipmentCode": "ref"}}}, "/base/invoice?ref=S&orderCode=O"),
        ({"far_paths": {"get-invoice": "/go.php?to=invoice"}}, "/base/go.php?to=invoice&shipmentCode=S&orderCode=O"),
    ],
    ids=["another member", "a path with a query"],
)
async def test_a_query_is_as_the_channel_says(settings: dict[str, Any], target: str) -> None:
    [request] = await sent([call_of("get-invoice", {"shipmentCode": "S", "orderCode": "O"})], **settings)
    assert request[1] == target


NAMES_OF_BEFORE = {"returnOrderItems": "returnLineItems", "returnOrderItemCode": "channelReturnItemCode"}


@pytest.mark.parametrize("body", [FORMER, orjson.dumps(PRESENT)], ids=["an earlier version's", "present"])
@pytest.mark.parametrize(
    ("settings", "path", "told"),
    [
        ({}, "/return/cancel-items", PRESENT),
        (
            {
                "far_paths": {"cancel-return-order-items": "/return/cancel-return-order/item"},
                "far_members": {"cancel-return-order-items": NAMES_OF_BEFORE},
            },
            "/return/cancel-return-order/item",
            orjson.loads(FORMER),
        ),
    ],
    ids=["contract", "configured"],
)
async def test_items_of_a_return_are_cancelled_in_the_form_that_is_configured(
    body: bytes, settings: dict[str, Any], path: str, told: dict[str, Any]
) -> None:
    [request] = await sent([call_of("cancel-return-order-items", body)], **settings)
    assert (request[0], request[1], orjson.loads(request[2])) == ("PUT", "/base" + path, told)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"far_paths": {"customer-cancellation": "/orders/{code}/cancel"}},
            "may have {orderCode} in it, and not {code}",
        ),
        ({"far_paths": {"pack-order": "/pack/{orderCode}"}}, "may have no place in it, and not {orderCode}"),
        ({"far_members": {"cancel-returns": {"a": "b"}}}, "cancel-returns is not a touchpoint"),
    ],
)
def test_a_place_that_is_no_member_of_the_path_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        channels_for(increff=settings)
    assert said in str(caught.value)
