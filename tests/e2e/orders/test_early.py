"""Calls that come early, orders of several locations, one shipment or unknown origin, through `sluice up`.

Property: what comes before its forerunner reaches the far side once, when the forerunner came; the order, both far
sides and the facts say the same in the end.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stack import INCREFF_HEADERS, Answer, Stack, create_order, pack

Code = Callable[[], str]
ShipmentId = Callable[[], int]

CHANNEL = """
[channels.{name}]
unknown_orders = "{policy}"
increff_headers = {{ X-Api-Key = "demo-increff" }}
marketplace_headers = {{ X-Channel-Key = "demo-channel" }}
credentials = {{ username = "{name}", password = "demo-secret", domain = "demo" }}
increff_credentials = {{ username = "sluice", password = "sluice-secret", domain = "demo" }}
marketplace = {{ url = "{marketplace}" }}
"""
CUTOVER = "cutover"
CUTOVER_HEADERS = {"authUsername": CUTOVER, "authPassword": "demo-secret", "authDomainName": "demo"}


def sandbox(side: str, port: int, url: str, data_dir: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "sluice", "sandbox", side, "--port", str(port), "--url", url]
    return subprocess.Popen([*command, "--data-dir", str(data_dir)], stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two channels of the same sandboxes: `demo` parks events of unknown orders, `cutover` takes the orders on."""
    directory = tmp_path_factory.mktemp("early")
    started = Stack(directory / "data")
    channels = directory / "channels.toml"
    text = f'[increff]\nurl = "{started.increff}/assure-magic2"\n'
    for name, policy in (("demo", "park"), (CUTOVER, "adopt")):
        text += CHANNEL.format(name=name, policy=policy, marketplace=started.marketplace)
    channels.write_text(text)
    sandboxes = [
        sandbox("increff", started.increff_port, started.url, directory / "increff"),
        sandbox("marketplace", started.marketplace_port, started.url, directory / "marketplace"),
    ]
    started.start("--channels", str(channels))
    yield started
    started.close()
    for process in sandboxes:
        process.terminate()
        process.wait(timeout=20)


async def cutover(stack: Stack, method: str, path: str, body: Any = None) -> Answer:
    return await stack.call(method, f"{stack.url}/channels/{CUTOVER}{path}", body=body, headers=INCREFF_HEADERS)


async def submitted(stack: Stack, order: str, **changes: Any) -> None:
    answer = await stack.as_marketplace("POST", "/orders/outward", create_order(order, **changes))
    assert answer.status == 200, answer
    await stack.reaches(order, "SUBMITTED")


async def times_seen(stack: Stack, touchpoint: str, order: str, times: int) -> list[dict[str, Any]]:
    async def so_often() -> bool:
        return len(await stack.seen("marketplace", touchpoint, order)) >= times

    await stack.eventually(so_often, f"{touchpoint} of {order} at the marketplace")
    seen = await stack.seen("marketplace", touchpoint, order)
    assert len(seen) == times
    return seen


def handover(order: str, shipment: str, location: str = "DXB-WH-01") -> dict[str, Any]:
    return {"locationCode": location, "handoverItems": [{"orderCode": order, "shipmentCode": shipment}]}


def numbers(document: dict[str, Any]) -> list[int]:
    return [fact["sequence"] for fact in document["facts"]]


async def test_a_handover_before_its_pack_is_applied_when_the_pack_comes(
    stack: Stack, code: Code, shipment_id: ShipmentId
) -> None:
    first, order, number = code(), code(), shipment_id()
    await submitted(stack, first)
    known = await stack.as_increff("POST", "/orders/pack", pack(first, shipment_id()))
    # The sandbox numbers its shipments, so the next one's code is known before it is packed.
    prefix, _, last = known.body["shipmentCode"].rpartition("-")
    shipment = f"{prefix}-{int(last) + 1}"
    await submitted(stack, order)
    for _ in range(2):
        early = await stack.as_increff("POST", "/handover", handover(order, shipment))
        assert (early.status, early.body["hasError"]) == (404, True)
        assert "kept until" in early.body["errorMessage"]
    packed = await stack.as_increff("POST", "/orders/pack", pack(order, number))
    assert packed.body["shipmentCode"] == shipment
    document = await stack.reaches(order, "HANDED_OVER")
    assert numbers(document) == list(range(1, len(document["facts"]) + 1))
    assert [fact["name"] for fact in document["facts"]].count("event-parked") == 1
    again = await stack.as_increff("POST", "/handover", handover(order, shipment))
    assert (again.status, again.body["hasError"]) == (200, False)
    await times_seen(stack, "handover-notification", order, 1)


async def test_an_acknowledgement_before_its_create_is_applied_with_it(stack: Stack, code: Code) -> None:
    order = code()
    body = {"orders": [{"orderCode": order, "locationCode": "DXB-WH-01"}]}
    early = await stack.as_increff("PUT", "/orders/acknowledgement", body)
    assert (early.status, early.body) == (200, {"successOrders": []})
    expected = await stack.order(order)
    assert (expected["state"], [one["event"] for one in expected["parked"]]) == ("EXPECTED", ["acknowledge"])
    assert (await stack.as_marketplace("POST", "/orders/outward", create_order(order))).status == 200
    document = await stack.reaches(order, "ACKNOWLEDGED")
    assert document["parked"] == []
    assert [fact["name"] for fact in document["facts"]][:3] == ["event-parked", "order-created", "order-acknowledged"]
    again = await stack.as_increff("PUT", "/orders/acknowledgement", body)
    assert again.body == {"successOrders": body["orders"]}
    await times_seen(stack, "acknowledgement", order, 1)


async def test_a_split_order_is_packed_at_two_locations(stack: Stack, code: Code) -> None:
    """As Increff's warehouse does it: acknowledged for both, a shipment of each, handed over one after the other."""
    order = code()
    await submitted(stack, order, isSplitRequired=True, locationCode=None)
    acknowledged = await stack.warehouse(order, "acknowledge")
    assert [one["locationCode"] for one in acknowledged.body["successOrders"]] == ["DXB-WH-01", "AUH-ST-04"]
    for step in ("pack", "pack", "label", "label", "manifest", "manifest", "handover", "handover"):
        answer = await stack.warehouse(order, step)
        assert answer.status == 200, (step, answer)
    document = await stack.reaches(order, "HANDED_OVER")
    assert [one["locationCode"] for one in document["shipments"]] == ["DXB-WH-01", "AUH-ST-04"]
    assert [one["packed"] for one in document["lines"]] == [2, 1]
    seen = await times_seen(stack, "handover-notification", order, 2)
    assert [one["body"]["locationCode"] for one in seen] == ["DXB-WH-01", "AUH-ST-04"]


async def test_a_second_location_of_an_order_that_is_not_split_is_refused_with_the_reason(
    stack: Stack, code: Code, shipment_id: ShipmentId
) -> None:
    order = code()
    await submitted(stack, order)
    refused = await stack.as_increff("POST", "/orders/pack", pack(order, shipment_id(), locationCode="AUH-ST-04"))
    assert (refused.status, refused.body["hasError"]) == (400, True)
    assert "AUH-ST-04" in refused.body["errorMessage"]
    assert await stack.seen("marketplace", "pack-order", order) == []
    both = create_order(code(), isSplitRequired=True)
    bad = await stack.as_marketplace("POST", "/orders/outward", both)
    assert (bad.status, bad.body["code"]) == (400, "BAD_DATA")
    assert "locationCode" in bad.body["description"]


async def test_the_rest_of_an_order_with_one_shipment_is_cancelled_on_both_sides(stack: Stack, code: Code) -> None:
    order = code()
    await submitted(stack, order)
    items = [{"channelSkuCode": "SHIRT", "quantityToPack": 1}]
    packed = await stack.warehouse(
        order, "pack", {"shipmentItems": items, "fulfillmentType": "SINGLE_SHIPMENT_PARTIAL"}
    )
    assert packed.status == 200, packed
    (told,) = await times_seen(stack, "seller-cancellation", order, 1)
    assert {i["orderItemCode"]: i["cancelledQuantity"] for i in told["body"]["orderItems"]} == {
        f"{order}-1": 1,
        f"{order}-2": 1,
    }
    own = await stack.warehouse(order, "seller-cancel")
    assert own.status == 200, own
    assert (await stack.warehouse(order, "handover")).status == 200
    document = await stack.reaches(order, "HANDED_OVER")
    assert [(one["open"], one["sellerCancelled"]) for one in document["lines"]] == [(0, 1), (0, 1)]
    increff = await stack.call("GET", f"{stack.increff}/_sandbox/orders/{order}")
    assert [(one["open"], one["sellerCancelled"]) for one in increff.body["lines"]] == [(0, 1), (0, 1)]
    await times_seen(stack, "seller-cancellation", order, 1)


async def test_an_order_met_midway_is_taken_on_where_the_channel_wants_it(
    stack: Stack, code: Code, shipment_id: ShipmentId
) -> None:
    """The old integration created and packed it; Sluice sees the handover, another Pack, and at last the Create."""
    order = code()
    taken = await cutover(stack, "POST", "/handover", handover(order, "OLD-1"))
    assert (taken.status, taken.body["hasError"]) == (200, False)
    packed = await cutover(stack, "POST", "/orders/pack", pack(order, shipment_id(), shirts=1, jeans=0))
    assert packed.status == 200, packed

    async def document() -> dict[str, Any]:
        params = {"channel": CUTOVER}
        body: dict[str, Any] = (await stack.call("GET", f"{stack.admin_url}/api/orders/{order}", params=params)).body
        return body

    found = await document()
    assert (found["adopted"], found["state"]) == (True, "MANIFESTED")
    assert [fact["name"] for fact in found["facts"]][:3] == [
        "order-adopted",
        "shipment-adopted",
        "shipment-handed-over",
    ]
    created = await stack.call(
        "POST",
        f"{stack.url}/assure-magic2/orders/outward",
        body=create_order(order),
        headers=CUTOVER_HEADERS,
    )
    assert created.status == 200, created
    found = await document()
    assert [(one["orderItemCode"], one["ordered"], one["packed"]) for one in found["lines"]] == [
        (f"{order}-1", 2, 1),
        (f"{order}-2", 1, 0),
    ]
    assert numbers(found) == list(range(1, len(found["facts"]) + 1))

    async def at_increff() -> bool:
        return len(await stack.seen("increff", "create-outward-order", order)) == 1

    await stack.eventually(at_increff, "the Create reaches Increff, where it changes nothing")
