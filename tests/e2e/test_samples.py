"""Every call of the contract with the contract's own sample: it is answered as documented and arrives as documented."""

from __future__ import annotations

from typing import Any

from tests.e2e.stack import Answer, Stack
from topics.contract.definition import Direction, Mode
from topics.contract.sample_files import sample
from topics.contract.touchpoints import BY_NAME, TOUCHPOINTS

SAMPLE_ORDERS = ("MKT-250614-000381", "MKT-250614-000386", "MKT-250614-000412")
"""The orders that the samples speak of: each must exist before its acknowledgement, pack or cancellation comes."""


def members(name: str) -> dict[str, Any]:
    return sample(name).members


async def send(stack: Stack, name: str, body: dict[str, Any], path: str | None = None) -> Answer:
    touchpoint = BY_NAME[name]
    call = stack.as_marketplace if touchpoint.direction is Direction.TO_INCREFF else stack.as_increff
    where = path or touchpoint.path
    if touchpoint.query:
        params = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in body.items()}
        return await call(touchpoint.method, where, params=params)
    return await call(touchpoint.method, where, body)


async def arrived(stack: Stack, name: str, count: int = 1) -> list[dict[str, Any]]:
    side = "increff" if BY_NAME[name].direction is Direction.TO_INCREFF else "marketplace"

    async def enough() -> bool:
        return len(await stack.seen(side, name)) >= count

    await stack.eventually(enough, f"{count} x {name} at {side}")
    return [request["body"] for request in await stack.seen(side, name)]


async def test_every_sample_is_taken_and_arrives(stack: Stack) -> None:
    """All touchpoints in the order of an order's life, each with the body that the contract shows."""
    walked: set[str] = set()

    async def walk(name: str, body: dict[str, Any] | None = None, path: str | None = None) -> Answer:
        answer = await send(stack, name, members(name) if body is None else body, path)
        assert answer.status == 200, (name, answer)
        walked.add(name)
        return answer

    create = members("create-outward-order")
    lines = {SAMPLE_ORDERS[2]: [{**create["orderItems"][0], "orderItemCode": f"{SAMPLE_ORDERS[2]}-1", "quantity": 3}]}
    for order in SAMPLE_ORDERS:
        body = {**create, "orderCode": order, "orderItems": lines.get(order, create["orderItems"])}
        answer = await walk("create-outward-order", body)
        assert answer.body is None
    # Three orders are three lanes: which is first at Increff is open.
    assert create in await arrived(stack, "create-outward-order", 3)

    answer = await walk("acknowledgement")
    assert answer.body == sample("acknowledgement").answer
    told = await arrived(stack, "acknowledgement", 2)
    assert sorted(o["orderCode"] for body in told for o in body["orders"]) == sorted(SAMPLE_ORDERS[:2])
    assert all(body["consolidationType"] == "NONE" for body in told)

    update = {k: v for k, v in members("update-order-properties").items() if k != "orderCode"}
    await walk("update-order-properties", update, f"/orders/{SAMPLE_ORDERS[0]}")

    pack = members("pack-order")
    packed = {SAMPLE_ORDERS[0]: await walk("pack-order", pack)}
    other = {**pack, "orderCode": SAMPLE_ORDERS[1], "shipmentId": pack["shipmentId"] + 1}
    packed[SAMPLE_ORDERS[1]] = await walk("pack-order", other)
    assert (await arrived(stack, "pack-order", 2))[0] == pack
    code = {order: answer.body["shipmentCode"] for order, answer in packed.items()}

    label = await walk("get-shipping-label", {**members("get-shipping-label"), "shipmentCode": code[SAMPLE_ORDERS[0]]})
    assert label.body["awbNumber"]
    assert label.body["transporter"]
    asked = (await arrived(stack, "get-shipping-label"))[0]
    assert str(asked["shipmentId"]) == str(pack["shipmentId"])
    invoice = await walk("get-invoice", {**members("get-invoice"), "shipmentCode": code[SAMPLE_ORDERS[0]]})
    assert invoice.body["invoiceCode"]

    manifest = members("create-manifest")
    manifest["manifestItems"] = [{**i, "shipmentCode": code[i["orderCode"]]} for i in manifest["manifestItems"]]
    answer = await walk("create-manifest", manifest)
    assert answer.body["manifestCode"]
    assert await arrived(stack, "create-manifest") == [manifest]
    handover = members("handover-notification")
    handover["handoverItems"] = [{**i, "shipmentCode": code[i["orderCode"]]} for i in handover["handoverItems"]]
    answer = await walk("handover-notification", handover)
    assert answer.body == sample("handover-notification").answer
    taken = await arrived(stack, "handover-notification", 2)
    assert sorted(str(i) for body in taken for i in body["handoverItems"]) == sorted(
        str(i) for i in handover["handoverItems"]
    )

    cancellation = {k: v for k, v in members("customer-cancellation").items() if k != "orderCode"}
    line = {**cancellation["orderItems"][0], "orderItemCode": f"{SAMPLE_ORDERS[2]}-1"}
    answer = await walk(
        "customer-cancellation", {**cancellation, "orderItems": [line]}, f"/orders/{SAMPLE_ORDERS[2]}/cancel"
    )
    assert answer.body is None
    answer = await walk("seller-cancellation")
    assert answer.body == sample("seller-cancellation").answer
    assert await arrived(stack, "seller-cancellation") == [members("seller-cancellation")]
    assert (await stack.order(SAMPLE_ORDERS[2]))["state"] == "CANCELLED"

    for name in (
        "create-return-order",
        "add-return-order-items",
        "update-returns",
        "cancel-return-order-items",
        "return-order-acknowledgement",
    ):
        answer = await walk(name)
        assert answer.body is None
        assert await arrived(stack, name) == [members(name)]

    answer = await walk("location-wise-atp-inventory")
    assert answer.body["failureList"] == []
    (stock,) = await arrived(stack, "location-wise-atp-inventory")
    by_sku = {item["channelSkuCode"]: item for item in members("location-wise-atp-inventory")["inventories"]}
    assert {item["channelSkuCode"]: item for item in stock["inventories"]} == by_sku
    answer = await walk("consolidated-atp-inventory")
    assert answer.body == sample("consolidated-atp-inventory").answer
    assert await arrived(stack, "consolidated-atp-inventory") == [members("consolidated-atp-inventory")]

    async def searchable() -> bool:
        found = await send(stack, "search-inventory", members("search-inventory"))
        return bool(found.body == sample("search-inventory").answer)

    await stack.eventually(searchable, "the search knows the stock")
    await walk("search-inventory")
    found = await walk("search-inventory-marketplace")
    assert found.body["failureList"] == ["LAM-CAP-OLD-01"]
    assert found.body["successList"][0]["totalQuantity"] == 146
    credentials = await stack.as_increff("GET", "/credentials", headers={"X-Bootstrap-Key": "demo-bootstrap"})
    assert credentials.status == 200
    walked.add("get-credential")
    assert walked == {touchpoint.name for touchpoint in TOUCHPOINTS}
    assert all(BY_NAME[name].mode is Mode.ANSWER for name in walked if "search" in name)
