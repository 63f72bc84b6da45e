"""Increff's sandbox answers as the contract says, and believes afterwards what Increff would believe."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from sluice.dev.sandbox.increff.sandbox import DEMO_CREDENTIALS, IncreffSandbox
from sluice.dev.sandbox.increff.sluice_client import SluiceClient
from sluice.dev.sandbox.server import make_app
from tests.support.paths.raw_http import listening
from tests.support.sandboxes import FarSide, sample, serving
from topics.contract.definition import Direction
from topics.contract.touchpoints import BY_NAME, TOUCHPOINTS
from topics.paths.patterns import PathPattern

ORDER = sample("create-outward-order")["orderCode"]
FIRST, SECOND = (item["orderItemCode"] for item in sample("create-outward-order")["orderItems"])
RETURN = sample("create-return-order")["returnOrderCode"]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def increff(clock: Clock) -> AsyncIterator[FarSide]:
    async with serving(IncreffSandbox(SluiceClient(), clock=clock)) as side:
        yield side


def cancel(quantity: int, *, item: str = FIRST, sku: str = "LAM-TEE-BLK-M", order: str = ORDER) -> dict[str, Any]:
    line = {"orderItemCode": item, "channelSkuCode": sku, "cancelledQuantity": quantity}
    return {"orderCode": order, "orderItems": [line]}


async def believed(side: FarSide, code: str = ORDER) -> dict[str, Any]:
    answer = await side.ask("GET", f"/_sandbox/orders/{code}")
    assert answer.status == 200, answer
    document: dict[str, Any] = answer.body
    return document


async def test_every_sample_is_taken(increff: FarSide) -> None:
    """Each touchpoint into Increff answers its own sample with 200."""
    for touchpoint in TOUCHPOINTS:
        if touchpoint.direction is Direction.TO_INCREFF:
            answer = await increff.call(touchpoint.name)
            assert answer.status == 200, (touchpoint.name, answer)
            assert (answer.body is None) == (touchpoint.response is None)


async def test_a_create_is_stored_as_it_came(increff: FarSide) -> None:
    await increff.call("create-outward-order")
    order = await believed(increff)
    assert order["state"] == "CREATED"
    assert order["created"] == sample("create-outward-order")
    assert [(line["orderItemCode"], line["open"]) for line in order["lines"]] == [(FIRST, 2), (SECOND, 1)]


async def test_a_changed_create_is_silently_dropped(increff: FarSide) -> None:
    """The trap of contract 0.3: 200, and nothing applied."""
    await increff.call("create-outward-order")
    unchanged = await increff.call("create-outward-order")
    changed = await increff.call("create-outward-order", {**sample("create-outward-order"), "paymentMethod": "COD"})
    assert (unchanged.status, changed.status, changed.body) == (200, 200, None)
    order = await believed(increff)
    assert order["created"]["paymentMethod"] == "NCOD"
    assert (order["unchangedRepeats"], order["changedRepeats"]) == (1, 1)


@pytest.mark.parametrize("missing", sorted(DEMO_CREDENTIALS))
async def test_each_header_of_the_triple_is_needed(increff: FarSide, missing: str) -> None:
    headers = {name: value for name, value in DEMO_CREDENTIALS.items() if name != missing}
    for wrong in (headers, {**headers, missing: "x"}):
        answer = await increff.call("create-outward-order", headers=wrong)
        assert answer.status == 401
        assert set(answer.body) == {"code", "message", "description"}
    assert (await increff.ask("GET", f"/_sandbox/orders/{ORDER}")).status == 404


BAD = [
    ("create-outward-order", {"orderItems": []}, "orderItems"),
    ("create-outward-order", {"onHold": None}, "onHold"),
    ("create-outward-order", {"orderCode": "x" * 256}, "orderCode"),
    ("create-outward-order", {"isSplitRequired": True}, "locationCode"),
    ("customer-cancellation", {"orderItems": [{"orderItemCode": FIRST, "cancelledQuantity": 1}]}, "channelSkuCode"),
    ("customer-cancellation", {"orderCode": "NOBODY"}, "orderCode"),
    ("customer-cancellation", cancel(1, item="NONE"), "orderItems[0].orderItemCode"),
    ("customer-cancellation", cancel(3), "orderItems[0].cancelledQuantity"),
    ("customer-cancellation", cancel(1, sku="OTHER"), "orderItems[0].channelSkuCode"),
    ("update-order-properties", {"orderCode": "NOBODY"}, "orderCode"),
    ("update-order-properties", {"onHold": "no"}, "onHold"),
    ("update-order-properties", {"orderStatus": "DELIVERED"}, "deliveredAt"),
    ("add-return-order-items", {"returnOrderCode": "NOBODY"}, "returnOrderCode"),
    ("update-returns", {"returnOrderCode": "NOBODY"}, "returnOrderCode"),
    ("cancel-return-order-items", {"returnOrderCode": "NOBODY"}, "returnOrderCode"),
    (
        "cancel-return-order-items",
        {"returnOrderItems": [{"returnOrderItemCode": "NONE", "channelSkuCode": "A"}]},
        "returnOrderItems[0].returnOrderItemCode",
    ),
    ("search-inventory-marketplace", {"channelSkuCodes": []}, "channelSkuCodes"),
]


@pytest.mark.parametrize(("name", "change", "member"), BAD, ids=[f"{name}-{member}" for name, _, member in BAD])
async def test_bad_data_names_the_member(increff: FarSide, name: str, change: dict[str, Any], member: str) -> None:
    await increff.call("create-outward-order")
    await increff.call("create-return-order")
    answer = await increff.call(name, {**sample(name), **change})
    assert answer.status == 400, answer
    assert answer.body["code"] == "BAD_DATA"
    assert answer.body["message"] == "Input validation failed"
    assert f"{member}: " in answer.body["description"]


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff"])
async def test_a_body_that_is_no_object_is_bad_data(increff: FarSide, raw: bytes) -> None:
    answer = await increff.call("create-outward-order", data=raw)
    assert (answer.status, answer.body["code"]) == (400, "BAD_DATA")


async def test_cancelled_quantities_are_absolute(increff: FarSide) -> None:
    """A repeat, or an older call that comes late, is success and changes nothing; all of it makes CANCELLED."""
    await increff.call("create-outward-order")
    for quantity, left in ((1, 1), (1, 1), (2, 0), (1, 0)):
        assert (await increff.call("customer-cancellation", cancel(quantity))).status == 200
        assert (await believed(increff))["lines"][0]["open"] == left
    await increff.call("customer-cancellation", cancel(1, item=SECOND, sku="LAM-JEAN-IND-32"))
    assert (await believed(increff))["state"] == "CANCELLED"


async def test_hold_and_release(increff: FarSide) -> None:
    await increff.call("create-outward-order", {**sample("create-outward-order"), "onHold": True})
    states = [(await believed(increff))["state"]]
    for on_hold in (False, True, False):
        changed = {**sample("update-order-properties"), "onHold": on_hold}
        assert (await increff.call("update-order-properties", changed)).status == 200
        states.append((await believed(increff))["state"])
    assert states == ["ONHOLD", "CREATED", "ONHOLD", "CREATED"]


async def test_a_return_loses_items_until_it_arrives(increff: FarSide) -> None:
    await increff.call("create-return-order")
    await increff.call(
        "create-return-order",
        {**sample("create-return-order"), "orderItems": [{"itemCode": "OTHER", "channelSkuCode": "A", "reason": "r"}]},
    )
    await increff.call("update-returns")
    assert (await increff.call("add-return-order-items")).status == 200
    assert (await increff.call("cancel-return-order-items")).status == 200
    returned = (await increff.ask("GET", f"/_sandbox/returns/{RETURN}")).body
    assert [item["itemCode"] for item in returned["items"]] == [f"{RETURN}-{n}" for n in (1, 2, 3)]
    assert returned["cancelled"] == [f"{RETURN}-3"]
    assert returned["properties"]["trackingCode"] == "GLXR5501982"


async def test_two_hundred_in_any_sixty_seconds(increff: FarSide, clock: Clock) -> None:
    """All endpoints share one pool; the window slides, it does not restart."""
    search = {"locationCode": "DXB-WH-01", "channelSkuCodes": ["A"]}
    for number in range(200):
        clock.now = 1000.0 + number * 0.1
        name = "search-inventory" if number % 2 else "search-inventory-marketplace"
        assert (await increff.call(name, search)).status == 200
    clock.now = 1059.9
    refused = await increff.call("search-inventory", search)
    assert refused.status == 429
    assert set(refused.body) == {"code", "message", "description"}
    clock.now = 1060.0
    assert [(await increff.call("search-inventory", search)).status for _ in range(2)] == [200, 429]
    assert len(await increff.seen()) == 203


async def test_unknown_path_and_method(increff: FarSide) -> None:
    for method, path in (("GET", "/assure-magic2/orders/outward"), ("POST", "/assure-magic2/nothing"), ("GET", "/")):
        answer = await increff.ask(method, path, headers=increff.headers)
        assert answer.status == 404
        assert set(answer.body) == {"code", "message", "description"}


@pytest.mark.parametrize("code", ["{a}", "outward", "a/b", "%2F", "..", "?", "é\n", "\x00"], ids=ascii)
async def test_an_order_with_any_code_is_found_by_its_path(code: str) -> None:
    sandbox = IncreffSandbox(SluiceClient())
    body = sample("update-order-properties")
    del body["orderCode"]
    async with listening(make_app(sandbox)) as client:
        created = orjson.dumps({**sample("create-outward-order"), "orderCode": code})
        assert (await client.ask("POST /assure-magic2/orders/outward", created, DEMO_CREDENTIALS)).status == 200
        path = PathPattern(BY_NAME["update-order-properties"].far_path).fill({"orderCode": code})
        answer = await client.ask(f"PUT /assure-magic2{path}", orjson.dumps(body), DEMO_CREDENTIALS)
        assert answer.status == 200, answer
        shown = await client.ask("GET " + PathPattern("/_sandbox/orders/{code}").fill({"code": code}))
        assert (shown.status, shown.body["created"]["orderCode"]) == (200, code)
