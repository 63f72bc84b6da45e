"""Increff's warehouse makes the contract's calls: on demand one by one, on its own the whole way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from sluice.dev.sandbox.increff.sandbox import IncreffSandbox
from sluice.dev.sandbox.increff.sluice_client import SluiceClient
from sluice.dev.sandbox.increff.warehouse import WarehouseSettings
from sluice.dev.sandbox.marketplace import MarketplaceSandbox
from tests.support.eventually import eventually
from tests.support.sandboxes import FarSide, sample, serving, short_circuit

ORDER = sample("create-outward-order")["orderCode"]
FIRST = sample("create-outward-order")["orderItems"][0]["orderItemCode"]
WAY = ("acknowledge", "pack", "label", "invoice", "manifest", "handover")


@pytest.fixture
def marketplace() -> MarketplaceSandbox:
    return MarketplaceSandbox()


@pytest.fixture
async def increff(marketplace: MarketplaceSandbox) -> AsyncIterator[FarSide]:
    """Increff with one order, and a marketplace that it reaches directly."""
    async with short_circuit(marketplace) as url:
        sandbox = IncreffSandbox(SluiceClient(url), warehouse=WarehouseSettings(step_delay_s=0.0))
        async with serving(sandbox) as side:
            await side.call("create-outward-order")
            yield side


async def step(side: FarSide, name: str, body: Any = None, code: str = ORDER) -> dict[str, Any]:
    answer = await side.ask("POST", f"/_sandbox/orders/{code}/{name}", json=body)
    assert answer.status == 200, answer
    told: dict[str, Any] = answer.body
    return told


def believed(marketplace: MarketplaceSandbox, code: str = ORDER) -> dict[str, Any]:
    return marketplace.show_order(code) or {}


async def state(side: FarSide) -> str:
    return str((await side.ask("GET", f"/_sandbox/orders/{ORDER}")).body["state"])


async def test_each_step_on_demand(increff: FarSide, marketplace: MarketplaceSandbox) -> None:
    """Every step is taken, and Increff's own stage follows."""
    stages = []
    for name in WAY:
        assert (await step(increff, name))["status"] == 200
        stages.append(await state(increff))
    assert stages == ["FULFILLABLE", "PACKED", "PACKED", "PACKED", "READY_TO_DISPATCH", "COMPLETED"]
    order = believed(marketplace)
    (shipment,) = order["shipments"]
    assert (order["acknowledged"], order["handedOver"], shipment["announced"]) == (True, True, True)
    assert shipment["awbNumber"]
    assert shipment["invoiceCode"]
    assert shipment["manifestCode"]
    assert {item["channelSkuCode"]: item["quantityToPack"] for item in shipment["items"]} == {
        "LAM-TEE-BLK-M": 2,
        "LAM-JEAN-IND-32": 1,
    }


async def test_nothing_moves_on_its_own(increff: FarSide, marketplace: MarketplaceSandbox) -> None:
    assert (await increff.ask("GET", "/_sandbox/autopilot")).body == {"on": False}
    assert await state(increff) == "CREATED"
    assert believed(marketplace) == {}


async def test_steps_repeat_as_they_were(increff: FarSide, marketplace: MarketplaceSandbox) -> None:
    """Increff sends again what it is not sure of: the same shipment, the same manifest."""
    for name in WAY:
        first = await step(increff, name)
        assert await step(increff, name) == first
    assert len(believed(marketplace)["shipments"]) == 1


async def test_a_body_is_merged_over_the_call(increff: FarSide, marketplace: MarketplaceSandbox) -> None:
    """Two parcels: the first as told, the second what is left."""
    part = {"shipmentId": 7, "shipmentItems": [{"channelSkuCode": "LAM-TEE-BLK-M", "quantityToPack": 1}]}
    await step(increff, "pack", part)
    assert await state(increff) == "PROCESSING"
    await step(increff, "pack")
    first, second = believed(marketplace)["shipments"]
    assert first["shipmentId"] == 7
    assert [item["quantityToPack"] for item in second["items"]] == [1, 1]
    assert second["shipmentId"] != 7
    labels = [await step(increff, "label") for _ in range(2)]
    assert len({label["body"]["awbNumber"] for label in labels}) == 2
    named = await step(increff, "label", {"shipmentCode": "NONE"})
    assert named["status"] == 404


async def test_a_manifest_of_several_orders(increff: FarSide, marketplace: MarketplaceSandbox) -> None:
    """Every order a batch names has moved, not only the one that was asked for."""
    await increff.call("create-outward-order", {**sample("create-outward-order"), "orderCode": "SECOND"})
    both = [{"orderCode": code, "locationCode": "DXB-WH-01"} for code in (ORDER, "SECOND")]
    assert (await step(increff, "acknowledge", {"orders": both}))["body"]["successOrders"] == both
    shipments = [(code, (await step(increff, "pack", code=code))["body"]["shipmentCode"]) for code in (ORDER, "SECOND")]
    items = [{"orderCode": code, "shipmentCode": shipment, "awbNumber": "A"} for code, shipment in shipments]
    await step(increff, "manifest", {"manifestItems": items})
    await step(increff, "handover", {"handoverItems": items})
    for code in (ORDER, "SECOND"):
        order = (await increff.ask("GET", f"/_sandbox/orders/{code}")).body
        assert (order["acknowledged"], order["state"]) == (True, "COMPLETED")
        assert believed(marketplace, code)["handedOver"] is True


async def test_after_packing_a_customer_cannot_cancel(increff: FarSide) -> None:
    cancelled = {"orderItems": [{"channelSkuCode": "LAM-TEE-BLK-M", "orderItemCode": FIRST, "cancelledQuantity": 1}]}
    assert (await increff.call("customer-cancellation", {"orderCode": ORDER, **cancelled})).status == 200
    await step(increff, "pack")
    assert (await increff.call("customer-cancellation", {"orderCode": ORDER, **cancelled})).status == 200
    cancelled["orderItems"][0]["cancelledQuantity"] = 2
    late = await increff.call("customer-cancellation", {"orderCode": ORDER, **cancelled})
    assert (late.status, late.body["code"]) == (400, "BAD_DATA")


async def test_the_seller_cancels(increff: FarSide, marketplace: MarketplaceSandbox) -> None:
    """Part of a line with what the order knows filled in, then everything."""
    await step(increff, "seller-cancel", {"orderItems": [{"orderItemCode": FIRST, "cancelledQuantity": 1}]})
    assert believed(marketplace)["cancelled"][FIRST] == {
        "channelSkuCode": "LAM-TEE-BLK-M",
        "cancelledQuantity": 1,
        "customerCancelledQty": 0,
        "sellerCancelledQty": 1,
    }
    assert (await step(increff, "seller-cancel"))["status"] == 200
    assert await state(increff) == "CANCELLED"
    assert believed(marketplace)["cancelled"][FIRST]["cancelledQuantity"] == 2


async def test_a_refused_step_changes_nothing_and_keeps_its_shipment(
    increff: FarSide, marketplace: MarketplaceSandbox
) -> None:
    refused = await step(increff, "pack", {"shipmentItems": "none"})
    assert (refused["status"], refused["body"]["hasError"]) == (400, True)
    order = (await increff.ask("GET", f"/_sandbox/orders/{ORDER}")).body
    assert (order["state"], order["lines"][0]["open"]) == ("CREATED", 2)
    assert (await step(increff, "pack"))["status"] == 200
    assert [s["shipmentId"] for s in believed(marketplace)["shipments"]] == [order["shipments"][0]["shipmentId"]]


async def test_an_order_increff_does_not_know_makes_a_call_all_the_same(
    increff: FarSide, marketplace: MarketplaceSandbox
) -> None:
    assert (await step(increff, "acknowledge", code="UNKNOWN"))["status"] == 200
    assert believed(marketplace, "UNKNOWN")["acknowledged"] is True
    assert (await increff.ask("GET", "/_sandbox/orders/UNKNOWN")).status == 404


@pytest.mark.parametrize("raw", [b"{", b"[]", b"3"])
async def test_a_body_that_is_no_object(increff: FarSide, raw: bytes) -> None:
    for method, path in (("POST", f"/_sandbox/orders/{ORDER}/pack"), ("PUT", "/_sandbox/stock")):
        assert (await increff.ask(method, path, data=raw)).status == 400


async def test_stock_is_pushed_in_batches_of_200(increff: FarSide, marketplace: MarketplaceSandbox) -> None:
    items = [{"channelSkuCode": f"S{number}", "quantity": number} for number in range(450)]
    answer = await increff.ask("PUT", "/_sandbox/stock", json={"locationCode": "L", "inventories": items})
    assert (answer.status, answer.body["status"]) == (200, 200)
    assert [len(batch["body"]["successList"]) for batch in answer.body["batches"]] == [200, 200, 50]
    assert len(answer.body["body"]["successList"]) == 450
    assert marketplace.show_stock()["locations"]["L"]["S449"]["quantity"] == 449
    searched = await increff.call("search-inventory-marketplace", {"channelSkuCodes": ["S7", "NONE"]})
    assert searched.body["failureList"] == ["NONE"]
    assert [(sku["channelSkuCode"], sku["totalQuantity"]) for sku in searched.body["successList"]] == [("S7", 7)]
    searched = await increff.call("search-inventory", {"locationCode": "L", "channelSkuCodes": ["S7", "NONE"]})
    assert searched.body == {"inventories": [{"channelSkuCode": "S7", "qcPassAvailableQuantity": 7}]}


async def test_consolidated_stock_has_its_own_call(increff: FarSide, marketplace: MarketplaceSandbox) -> None:
    body = sample("consolidated-atp-inventory")
    answer = await increff.ask("PUT", "/_sandbox/stock", json=body)
    assert answer.body["body"]["successList"] == body["inventories"]
    assert list(marketplace.show_stock()["consolidated"]["ALL"]) == [body["inventories"][0]["channelSkuCode"]]


async def test_the_autopilot_brings_an_order_the_whole_way(increff: FarSide, marketplace: MarketplaceSandbox) -> None:
    """A held order waits for its release, a return is inspected, and reserved stock is no longer promised."""
    stock = {"locationCode": "DXB-WH-01", "inventories": [{"channelSkuCode": "LAM-TEE-BLK-M", "quantity": 10}]}
    await increff.ask("PUT", "/_sandbox/stock", json=stock)
    await increff.call("create-outward-order", {**sample("create-outward-order"), "orderCode": "HELD", "onHold": True})
    await increff.call("create-return-order")
    assert (await increff.ask("PUT", "/_sandbox/autopilot", json={"on": True})).body == {"on": True}
    await eventually(lambda: believed(marketplace).get("handedOver"))
    await eventually(lambda: marketplace.show_return(sample("create-return-order")["returnOrderCode"]))
    assert believed(marketplace, "HELD") == {}
    assert marketplace.show_stock()["locations"]["DXB-WH-01"]["LAM-TEE-BLK-M"]["quantity"] == 8
    await increff.call("update-order-properties", {**sample("update-order-properties"), "orderCode": "HELD"})
    await eventually(lambda: believed(marketplace, "HELD").get("handedOver"))


async def test_no_answer_is_told_as_such() -> None:
    """Not in time is 504, no connection is 0; both with the reason."""
    gone = asyncio.Event()

    async def never(_: web.Request) -> web.Response:
        await gone.wait()
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", never)
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        async with serving(IncreffSandbox(SluiceClient(url, timeout_s=0.05))) as side:
            late = await step(side, "acknowledge")
        gone.set()
    assert (late["status"], late["body"]) == (504, None)
    assert late["error"]
    async with serving(IncreffSandbox(SluiceClient(url))) as side:
        nobody = await step(side, "acknowledge")
    assert (nobody["status"], nobody["body"]) == (0, None)
    assert nobody["error"]


async def test_refused_credentials_are_refreshed_once() -> None:
    """A 401 makes Increff call Get Credential and go on with what it got (contract 0.2, mode b)."""
    calls: list[str] = []

    async def call(request: web.Request) -> web.Response:
        calls.append(request.path.rsplit("/", 1)[1])
        if request.path.endswith("/credentials"):
            assert request.headers["X-Bootstrap-Key"] == "demo-bootstrap"
            return web.json_response({"X-Api-Key": "fresh"})
        return web.json_response({}, status=200 if request.headers["X-Api-Key"] == "fresh" else 401)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", call)
    async with TestServer(app) as server:
        client = SluiceClient(str(server.make_url("")).rstrip("/"))
        async with serving(IncreffSandbox(client)) as side:
            assert [(await step(side, "acknowledge"))["status"] for _ in range(2)] == [200, 200]
    assert calls == ["acknowledgement", "credentials", "acknowledgement", "acknowledgement"]
