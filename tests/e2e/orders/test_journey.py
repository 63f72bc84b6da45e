"""An order travels the whole way over HTTP, and each far side sees what the contract says, in sequence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.e2e.stack import MARKETPLACE_HEADERS, Stack, cancellation, create_order, pack
from tests.support.paths.raw_http import raw_client
from topics.configuration.settings import API_READS_MAX
from topics.paths.patterns import PathPattern

Code = Callable[[], str]
ShipmentId = Callable[[], int]


async def test_an_order_travels_to_handover(stack: Stack, code: Code, shipment_id: ShipmentId) -> None:
    """Create, acknowledge, pack, label, invoice, manifest, handover: each reaches its far side once and in sequence."""
    order, shipment = code(), shipment_id()
    body = create_order(order, customField={"kept": True})
    created = await stack.as_marketplace("POST", "/orders/outward", body)
    assert (created.status, created.body) == (200, None)
    assert created.headers["Sluice-Event-Id"]
    assert created.headers["Sluice-Position"].count("/") == 2
    await stack.reaches(order, "SUBMITTED")
    assert [r["body"] for r in await stack.seen("increff", "create-outward-order", order)] == [body]

    acknowledged = await stack.as_increff(
        "PUT", "/orders/acknowledgement", {"orders": [{"orderCode": order, "locationCode": "DXB-WH-01"}]}
    )
    assert acknowledged.status == 200
    assert acknowledged.body == {"successOrders": [{"orderCode": order, "locationCode": "DXB-WH-01"}]}

    packed = await stack.as_increff("POST", "/orders/pack", pack(order, shipment))
    assert packed.status == 200, packed
    shipment_code = packed.body["shipmentCode"]
    query = {"orderCode": order, "shipmentCode": shipment_code, "shipmentId": str(shipment)}
    label = await stack.as_increff("GET", "/shipping-label", params=query)
    assert label.status == 200, label
    assert label.body["awbNumber"]
    invoice = await stack.as_increff("GET", "/invoice", params={"orderCode": order, "shipmentCode": shipment_code})
    assert invoice.status == 200, invoice
    assert invoice.body["invoiceCode"]
    shipped = {"orderCode": order, "shipmentCode": shipment_code, "awbNumber": label.body["awbNumber"]}
    manifest = {"transporter": "GULF", "locationCode": "DXB-WH-01", "manifestId": shipment, "manifestItems": [shipped]}
    manifested = await stack.as_increff("POST", "/manifest", manifest)
    assert manifested.status == 200, manifested
    assert manifested.body["manifestCode"]
    handed = {"locationCode": "DXB-WH-01", "handoverItems": [{"orderCode": order, "shipmentCode": shipment_code}]}
    handover = await stack.as_increff("POST", "/handover", handed)
    assert handover.status == 200, handover
    assert handover.body["hasError"] is False

    document = await stack.reaches(order, "HANDED_OVER")
    assert [line["packed"] for line in document["lines"]] == [2, 1]
    assert [fact["sequence"] for fact in document["facts"]] == list(range(1, len(document["facts"]) + 1))

    async def arrived() -> bool:
        return bool(await stack.seen("marketplace", "handover-notification", order))

    await stack.eventually(arrived, "the handover is at the marketplace")
    lane = [r["touchpoint"] for r in await stack.seen("marketplace", order=order)]
    assert [name for name in lane if name in {"acknowledgement", "pack-order", "handover-notification"}] == [
        "acknowledgement",
        "pack-order",
        "handover-notification",
    ]
    assert len(lane) == 6


async def test_hold_release_hold_are_three_changes(stack: Stack, code: Code) -> None:
    """Each hold and release reaches Increff once, in order; an unchanged repeat of the last one does not."""
    order = code()
    assert (await stack.as_marketplace("POST", "/orders/outward", create_order(order))).status == 200
    properties = {"dispatchByTime": "2026-11-26T14:00:00.000Z", "startProcessingTime": "2026-11-24T14:00:00.000Z"}
    for held in (True, False, True, True):
        answer = await stack.as_marketplace("PUT", f"/orders/{order}", {**properties, "onHold": held})
        assert answer.status == 200, answer

    async def three() -> bool:
        return len(await stack.seen("increff", "update-order-properties", order)) >= 3

    await stack.eventually(three, "three updates at Increff")
    document = await stack.reaches(order, "HELD")
    sent = [r["body"]["onHold"] for r in await stack.seen("increff", "update-order-properties", order)]
    assert sent == [True, False, True], document


async def test_cancellations_from_both_sides_add_up(stack: Stack, code: Code) -> None:
    """Absolute quantities: a customer's and a seller's cancellation of a line are both kept; repeats change nothing."""
    order = code()
    assert (await stack.as_marketplace("POST", "/orders/outward", create_order(order, quantity=4))).status == 200
    for _ in range(2):
        customer = await stack.as_marketplace("PUT", f"/orders/{order}/cancel", cancellation(order, 1))
        assert customer.status == 200, customer
    assert len(await stack.seen("increff", "customer-cancellation", order)) == 1
    line = {
        "channelSkuCode": "SHIRT",
        "orderItemCode": f"{order}-1",
        "cancelledQuantity": 3,
        "customerCancelledQty": 1,
        "sellerCancelledQty": 2,
    }
    for _ in range(2):
        seller = await stack.as_increff("PUT", "/orders/cancel", {"orderCode": order, "orderItems": [line]})
        assert (seller.status, seller.body["hasError"]) == (200, False)

    async def told() -> bool:
        return bool(await stack.seen("marketplace", "seller-cancellation", order))

    await stack.eventually(told, "the marketplace learns the seller's cancellation")
    first = (await stack.order(order))["lines"][0]
    assert (first["ordered"], first["open"], first["packed"], first["cancelled"]) == (4, 1, 0, 3)
    assert len(await stack.seen("marketplace", "seller-cancellation", order)) == 1
    too_many = await stack.as_marketplace("PUT", f"/orders/{order}/cancel", cancellation(order, 4))
    assert too_many.status == 400
    assert f"{order}-1" in too_many.body["message"] + too_many.body["description"]


async def test_stock_flows_to_the_marketplace_and_into_search(stack: Stack) -> None:
    """Accepted stock reaches the marketplace, a first quantity of zero too, and searches answer from it."""
    stock = {
        "locationCode": "DXB-WH-01",
        "inventories": [
            {"channelSkuCode": "STOCK-A", "quantity": 5, "minExpiry": "2027-01-31"},
            {"channelSkuCode": "STOCK-B", "quantity": 0},
            {"channelSkuCode": "STOCK-C", "quantity": -1},
        ],
    }
    pushed = await stack.as_increff("PUT", "/inventory", stock)
    assert pushed.status == 200, pushed
    assert sorted(pushed.body["successList"]) == ["STOCK-A", "STOCK-B"]
    assert pushed.body["failureList"] == ["STOCK-C"]
    consolidated = {
        "channelSkuCode": "STOCK-A",
        "listingId": 7120,
        "consolidatedQuantity": 9,
        "quantity": 5,
        "locationCode": "DXB-WH-01",
        "consolidationType": "ALL",
    }
    whole = await stack.as_increff(
        "PUT", "/inventory/consolidated", {"consolidationType": "ALL", "inventories": [consolidated]}
    )
    assert whole.status == 200, whole
    assert [item["channelSkuCode"] for item in whole.body["successList"]] == ["STOCK-A"]

    async def arrived() -> bool:
        sent = [
            item["channelSkuCode"]
            for r in await stack.seen("marketplace", "location-wise-atp-inventory")
            for item in r["body"]["inventories"]
        ]
        return {"STOCK-A", "STOCK-B"} <= set(sent) and bool(
            await stack.seen("marketplace", "consolidated-atp-inventory")
        )

    await stack.eventually(arrived, "both positions and the consolidated one are at the marketplace")

    async def found() -> bool:
        search = await stack.as_marketplace(
            "POST", "/inventories", {"locationCode": "DXB-WH-01", "channelSkuCodes": ["STOCK-A", "STOCK-B"]}
        )
        return search.status == 200 and {
            item["channelSkuCode"]: item["qcPassAvailableQuantity"] for item in search.body["inventories"]
        } == {"STOCK-A": 5, "STOCK-B": 0}

    await stack.eventually(found, "the search answers what was accepted")
    by_sku = await stack.as_marketplace(
        "POST", "/inventories/search-sku", {"channelSkuCodes": ["STOCK-A", "NEVER-SEEN"]}
    )
    assert by_sku.status == 200
    assert by_sku.body["failureList"] == ["NEVER-SEEN"]
    assert by_sku.body["successList"][0]["totalQuantity"] == 5
    assert by_sku.body["successList"][0]["inventories"][0]["locationType"] == "Warehouse"


async def test_get_credential_needs_its_bootstrap_header(stack: Stack) -> None:
    """Get Credential answers a flat map of header names to values, and only to its own bootstrap header."""
    answer = await stack.as_increff("GET", "/credentials", headers={"X-Bootstrap-Key": "demo-bootstrap"})
    assert (answer.status, answer.body) == (200, {"X-Api-Key": "demo-increff"})
    assert (await stack.as_increff("GET", "/credentials")).status == 401


async def test_batches_answer_for_each_order(stack: Stack, code: Code, shipment_id: ShipmentId) -> None:
    """An unknown order in an acknowledgement is left out; one in a handover is named while the others are taken."""
    order, shipment = code(), shipment_id()
    await stack.as_marketplace("POST", "/orders/outward", create_order(order))
    unknown = code()
    batch = {"orders": [{"orderCode": order, "locationCode": "DXB-WH-01"}, {"orderCode": unknown}]}
    acknowledged = await stack.as_increff("PUT", "/orders/acknowledgement", batch)
    assert acknowledged.status == 200
    assert [o["orderCode"] for o in acknowledged.body["successOrders"]] == [order]
    packed = await stack.as_increff("POST", "/orders/pack", pack(order, shipment))
    items = [
        {"orderCode": order, "shipmentCode": packed.body["shipmentCode"]},
        {"orderCode": unknown, "shipmentCode": "NO-SUCH"},
    ]
    handover = await stack.as_increff("POST", "/handover", {"locationCode": "DXB-WH-01", "handoverItems": items})
    assert handover.status >= 400
    assert handover.body["hasError"] is True
    assert unknown in handover.body["errorMessage"]
    assert order not in handover.body["errorMessage"]
    await stack.reaches(order, "HANDED_OVER")


async def test_a_large_order_passes_end_to_end(stack: Stack, code: Code) -> None:
    """2,500 items, the contract's limit, arrive whole at Increff."""
    order = code()
    items = [
        {
            "channelSkuCode": f"SKU-{n:04d}",
            "orderItemCode": f"{order}-{n}",
            "quantity": 1,
            "sellingPricePerUnit": 10.0,
            "orderItemCustomAttributes": {"attribute1": "x" * 200},
        }
        for n in range(2500)
    ]
    answer = await stack.as_marketplace("POST", "/orders/outward", create_order(order, orderItems=items))
    assert answer.status == 200, answer
    await stack.reaches(order, "SUBMITTED")
    (arrived,) = await stack.seen("increff", "create-outward-order", order)
    assert arrived["body"]["orderItems"] == items


async def test_many_callers_at_once_each_get_their_own_answer(stack: Stack, code: Code) -> None:
    """A hundred concurrent reads of different orders, as many at once as a gateway takes, never mix their answers."""
    orders = [code() for _ in range(10)]
    created = await asyncio.gather(*(stack.as_marketplace("POST", "/orders/outward", create_order(o)) for o in orders))
    assert [a.status for a in created] == [200] * 10
    room = asyncio.Semaphore(API_READS_MAX)

    async def read(order: str) -> dict[str, Any]:
        async with room:
            return await stack.order(order)

    documents = await asyncio.gather(*(read(o) for o in orders * 10))
    assert [d["orderCode"] for d in documents] == orders * 10


@pytest.mark.parametrize("code", ["outward", "{orderCode}", "..", "a/%2F?b#c;d+e é\n\x00{"], ids=ascii)
async def test_an_order_is_changed_and_found_whatever_its_code(stack: Stack, code: str) -> None:
    created = await stack.as_marketplace("POST", "/orders/outward", create_order(code))
    assert created.status == 200, created
    times = {name: create_order(code)[name] for name in ("dispatchByTime", "startProcessingTime")}
    line = {"orderItemCode": f"{code}-1", "channelSkuCode": "SHIRT", "cancelledQuantity": 1}
    async with raw_client("127.0.0.1", stack.port) as client, raw_client("127.0.0.1", stack.admin_port) as admin:
        for path, body in (
            ("/orders/{code}", {"onHold": True, **times}),
            ("/orders/{code}/cancel", {"orderItems": [line]}),
        ):
            target = "/assure-magic2" + PathPattern(path).fill({"code": code})
            answer = await client.ask(f"PUT {target}", orjson.dumps(body), MARKETPLACE_HEADERS)
            assert answer.status == 200, answer
        shown = await admin.ask(f"GET {PathPattern('/api/orders/{code}').fill({'code': code})}")
    assert (shown.status, shown.body["orderCode"], shown.body["onHold"]) == (200, code, True)

    async def all_there() -> bool:
        requests = await stack.seen("increff", order=code)
        return {one["touchpoint"] for one in requests} == {
            *("create-outward-order", "update-order-properties", "customer-cancellation")
        }

    await stack.eventually(all_there, "the order's calls at Increff, under its code")
