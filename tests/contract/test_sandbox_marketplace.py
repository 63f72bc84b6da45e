"""The marketplace's sandbox answers as the contract says, and believes afterwards what it was told."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sluice.dev.sandbox.marketplace import DEMO_BOOTSTRAP, DEMO_HEADERS, MarketplaceSandbox
from tests.support.sandboxes import FarSide, sample, serving

ORDER = sample("pack-order")["orderCode"]


@pytest.fixture
async def marketplace() -> AsyncIterator[FarSide]:
    async with serving(MarketplaceSandbox()) as side:
        yield side


async def packed(side: FarSide) -> dict[str, Any]:
    """Packs the sample; returns the members that ask for its documents."""
    answer = await side.call("pack-order")
    assert answer.status == 200, answer
    return {"orderCode": ORDER, "shipmentCode": answer.body["shipmentCode"], "shipmentId": 4810023}


async def believed(side: FarSide, code: str = ORDER) -> dict[str, Any]:
    answer = await side.ask("GET", f"/_sandbox/orders/{code}")
    assert answer.status == 200, answer
    document: dict[str, Any] = answer.body
    return document


async def test_a_wrong_key_is_refused(marketplace: FarSide) -> None:
    for headers in ({}, {"X-Channel-Key": "other"}):
        answer = await marketplace.call("pack-order", headers=headers)
        assert (answer.status, answer.body["hasError"]) == (401, True)
    assert (await marketplace.ask("GET", f"/_sandbox/orders/{ORDER}")).status == 404


async def test_get_credential_wants_its_own_header(marketplace: FarSide) -> None:
    assert (await marketplace.call("get-credential")).status == 401
    answer = await marketplace.call("get-credential", headers=DEMO_BOOTSTRAP)
    assert (answer.status, answer.body) == (200, DEMO_HEADERS)


async def test_every_acknowledged_order_is_listed(marketplace: FarSide) -> None:
    answer = await marketplace.call("acknowledgement")
    assert answer.body == {"successOrders": sample("acknowledgement")["orders"]}
    assert (await believed(marketplace))["acknowledged"] is True


async def test_pack_is_idempotent_on_the_shipment_id(marketplace: FarSide) -> None:
    first = await marketplace.call("pack-order")
    again = await marketplace.call("pack-order", {**sample("pack-order"), "weight": 1.0})
    other = await marketplace.call("pack-order", {**sample("pack-order"), "shipmentId": 4810024})
    assert (again.status, again.body) == (200, first.body)
    assert other.body["shipmentCode"] != first.body["shipmentCode"]
    assert [shipment["shipmentId"] for shipment in (await believed(marketplace))["shipments"]] == [4810023, 4810024]


async def test_label_and_invoice_are_documents(marketplace: FarSide) -> None:
    """PDF files that end where their table says, and a repeat has the same AWB and invoice number."""
    query = await packed(marketplace)
    label, invoice = await marketplace.call("get-shipping-label", query), await marketplace.call("get-invoice", query)
    assert label.body["awbNumber"]
    assert label.body["transporter"]
    assert invoice.body["invoiceCode"]
    for text in (label.body["shippingLabel"], invoice.body["invoice"]):
        pdf = base64.b64decode(text, validate=True)
        assert pdf.startswith(b"%PDF-1.")
        table = int(pdf.split(b"startxref\n")[1].split(b"\n")[0])
        assert pdf[table:].startswith(b"xref")
    assert (await marketplace.call("get-shipping-label", query)).body == label.body
    assert (await marketplace.call("get-invoice", query)).body == invoice.body


@pytest.mark.parametrize("name", ["get-shipping-label", "get-invoice"])
async def test_documents_of_an_unknown_shipment(marketplace: FarSide, name: str) -> None:
    await packed(marketplace)
    answer = await marketplace.call(name, {"orderCode": ORDER, "shipmentCode": "NONE"})
    assert answer.status == 404
    assert answer.body == {
        "hasError": True,
        "errorMessage": f"Shipment NONE is not known for order {ORDER}",
    }


async def test_manifest_is_idempotent_and_handover_repeats(marketplace: FarSide) -> None:
    query = await packed(marketplace)
    item = {"orderCode": ORDER, "shipmentCode": query["shipmentCode"], "awbNumber": "A"}
    manifest = {**sample("create-manifest"), "manifestItems": [item]}
    first = await marketplace.call("create-manifest", manifest)
    assert first.body["manifestItems"] == [{"orderCode": ORDER, "shipmentCode": query["shipmentCode"]}]
    assert (await marketplace.call("create-manifest", manifest)).body == first.body
    other = await marketplace.call("create-manifest", {**manifest, "manifestId": 1})
    assert other.body["manifestCode"] != first.body["manifestCode"]
    assert (await believed(marketplace))["handedOver"] is False
    handover = {"locationCode": "DXB-WH-01", "handoverItems": [item]}
    for _ in range(2):
        answer = await marketplace.call("handover-notification", handover)
        assert (answer.status, answer.body) == (200, {"hasError": False, "errorMessage": None})
    assert (await believed(marketplace))["handedOver"] is True


async def test_a_shipment_nobody_packed_is_marked(marketplace: FarSide) -> None:
    await marketplace.call("handover-notification")
    assert [shipment["announced"] for shipment in (await believed(marketplace))["shipments"]] == [False]


async def test_cancelled_quantities_never_go_back(marketplace: FarSide) -> None:
    body = sample("seller-cancellation")
    item = body["orderItems"][0]
    for quantity in (3, 1):
        answer = await marketplace.call(
            "seller-cancellation", {**body, "orderItems": [{**item, "cancelledQuantity": quantity}]}
        )
        assert answer.body == {"hasError": False, "errorMessage": None}
    cancelled = (await believed(marketplace, body["orderCode"]))["cancelled"]
    assert cancelled[item["orderItemCode"]]["cancelledQuantity"] == 3


async def test_stock_is_taken_item_by_item(marketplace: FarSide) -> None:
    """A bad item is in failureList, its neighbours are believed; zero is a quantity."""
    good = {"channelSkuCode": "A", "quantity": 0}
    bad = {"channelSkuCode": "B", "quantity": "many"}
    body = {"locationCode": "L", "inventories": [good, bad]}
    answer = await marketplace.call("location-wise-atp-inventory", body)
    assert answer.body == {"successList": ["A"], "failureList": ["B"]}
    item = sample("consolidated-atp-inventory")["inventories"][0]
    answer = await marketplace.call("consolidated-atp-inventory")
    assert answer.body == {"successList": [item], "failureList": []}
    believed_stock = (await marketplace.ask("GET", "/_sandbox/stock")).body
    assert believed_stock == {
        "locations": {"L": {"A": good}},
        "consolidated": {"ALL": {item["channelSkuCode"]: item}},
    }


async def test_a_return_is_acknowledged_in_parts(marketplace: FarSide) -> None:
    body = sample("return-order-acknowledgement")
    for item in body["orderItems"]:
        answer = await marketplace.call("return-order-acknowledgement", {**body, "orderItems": [item]})
        assert (answer.status, answer.body) == (200, None)
    items = (await marketplace.ask("GET", f"/_sandbox/returns/{body['returnOrderCode']}")).body["items"]
    assert [item["qcStatus"] for item in items.values()] == ["PASS", "FAIL"]


BAD = [
    ("pack-order", {"shipmentId": "x"}, "shipmentId"),
    ("pack-order", {"shipmentItems": []}, "shipmentItems"),
    ("acknowledgement", {"orders": None}, "orders"),
    ("create-manifest", {"transporter": None}, "transporter"),
    ("handover-notification", {"handoverItems": [{"orderCode": "A"}]}, "handoverItems[0].shipmentCode"),
    ("location-wise-atp-inventory", {"locationCode": None}, "locationCode"),
    ("return-order-acknowledgement", {"orderItems": []}, "orderItems"),
]


@pytest.mark.parametrize(("name", "change", "member"), BAD, ids=[name for name, _, _ in BAD])
async def test_errors_have_the_channels_shape(
    marketplace: FarSide, name: str, change: dict[str, Any], member: str
) -> None:
    answer = await marketplace.call(name, {**sample(name), **change})
    assert answer.status == 400
    assert set(answer.body) == {"hasError", "errorMessage"}
    assert member in answer.body["errorMessage"]
