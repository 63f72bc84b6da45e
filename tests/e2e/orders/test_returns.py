"""A return travels both ways over HTTP, and never brings back more than left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.e2e.stack import Answer, Stack, create_order, pack

Code = Callable[[], str]
ShipmentId = Callable[[], int]


def return_of(order: str, returned: str, units: int, first: int = 1) -> dict[str, Any]:
    items = [
        {"itemCode": f"{returned}-{n}", "reason": "SIZE", "channelSkuCode": "SHIRT"}
        for n in range(first, first + units)
    ]
    return {
        "forwardOrderCode": order,
        "returnOrderCode": returned,
        "locationCode": "DXB-WH-01",
        "orderType": "CUSTOMER_RETURN",
        "awbNumber": "FIRST",
        "orderItems": items,
    }


def items_of(order: str, returned: str, *items: tuple[int, str]) -> dict[str, Any]:
    lines = [{"channelReturnItemCode": f"{returned}-{n}", "channelSkuCode": sku} for n, sku in items]
    return {"returnOrderCode": returned, "orderCode": order, "locationCode": "DXB-WH-01", "returnLineItems": lines}


def cancellation_of(order: str, returned: str, *items: tuple[int, str]) -> dict[str, Any]:
    lines = [{"channelSkuCode": sku, "returnOrderItemCode": f"{returned}-{n}"} for n, sku in items]
    return {"returnOrderCode": returned, "orderCode": order, "locationCode": "DXB-WH-01", "returnOrderItems": lines}


def inspection_of(order: str, returned: str, **verdicts: str) -> dict[str, Any]:
    items = [
        {"itemCode": f"{returned}-{name[1:]}", "channelSkuCode": "SHIRT", "qcStatus": verdict}
        for name, verdict in verdicts.items()
    ]
    return {"returnOrderCode": returned, "forwardOrderCode": order, "locationCode": "DXB-WH-01", "orderItems": items}


async def test_a_return_travels_both_ways_and_never_brings_back_more_than_left(
    stack: Stack, code: Code, shipment_id: ShipmentId
) -> None:
    """Created in parts, items added and cancelled, inspected in two calls; each reaches its far side in sequence."""
    order, returned = code(), code()

    async def create(body: dict[str, Any]) -> Answer:
        return await stack.as_marketplace("POST", "/return/return-orders", body)

    async def told() -> Any:
        return (await stack.call("GET", f"{stack.admin_url}/api/returns/{returned}")).body

    assert (await stack.as_marketplace("POST", "/orders/outward", create_order(order))).status == 200
    early = await create(return_of(order, returned, 1))
    assert (early.status, "0 shipped" in early.body["message"]) == (400, True), "nothing was packed"
    assert (await told())["state"] == "REFUSED"
    assert (await stack.as_increff("POST", "/orders/pack", pack(order, shipment_id()))).status == 200
    over = await create(return_of(order, returned, 3))
    assert (over.status, "3 of SHIRT cannot be returned: 2 shipped" in over.body["message"]) == (400, True)
    twice = return_of(order, returned, 1)
    twice["orderItems"] *= 2
    assert "each itemCode may appear once" in (await create(twice)).body["description"]
    assert await stack.seen("increff", "create-return-order", order) == []

    first = return_of(order, returned, 1)
    assert (await create(first)).status == 200
    assert (await create(first)).status == 200
    add = items_of(order, returned, (2, "SHIRT"), (3, "JEANS"))
    update = {"returnOrderCode": returned, "locationCode": "DXB-WH-01", "trackingCode": "SECOND", "transporter": "GULF"}
    cancel = cancellation_of(order, returned, (3, "JEANS"))
    for method, path, body in (
        ("PUT", "/return/update-return-order/item", add),
        ("POST", "/return/update-return-order", update),
        ("PUT", "/return/cancel-items", cancel),
    ):
        answer = await stack.as_marketplace(method, path, body)
        assert answer.status == 200, answer
    too_many = await stack.as_marketplace(
        "PUT", "/return/update-return-order/item", items_of(order, returned, (4, "SHIRT"))
    )
    assert (too_many.status, "2 shipped" in too_many.body["message"]) == (400, True)
    other = await create(return_of(order, code(), 1))
    assert (other.status, "2 in other returns" in other.body["message"]) == (400, True)

    async def all_there() -> bool:
        return len(await stack.seen("increff", order=returned)) >= 4

    await stack.eventually(all_there, "the return's calls at Increff")
    sequence = [(r["touchpoint"], r["body"]) for r in await stack.seen("increff", order=returned)]
    assert sequence == [
        ("create-return-order", first),
        ("add-return-order-items", add),
        ("update-returns", update),
        ("cancel-return-order-items", cancel),
    ]

    async def given_back() -> bool:
        listed = (await stack.order(order))["returns"]
        held = next(one["items"] for one in listed if one["returnOrderCode"] == returned)
        return bool(held == [{"channelSkuCode": "SHIRT", "quantity": 2}])

    await stack.eventually(given_back, "the forward order has the cancelled unit back")

    inspected = await stack.as_increff("PUT", "/returns/acknowledgement", inspection_of(order, returned, i1="PASS"))
    assert inspected.status == 200, inspected
    assert (await told())["state"] == "ACKNOWLEDGED"
    unknown = await stack.as_increff("PUT", "/returns/acknowledgement", inspection_of(order, returned, i9="PASS"))
    assert (unknown.status, f"{returned}-9" in unknown.body["errorMessage"]) == (400, True)
    cancelled = await stack.as_increff("PUT", "/returns/acknowledgement", inspection_of(order, returned, i3="PASS"))
    assert (cancelled.status, f"{returned}-3" in cancelled.body["errorMessage"]) == (400, True)
    late = await stack.as_marketplace(
        "PUT", "/return/cancel-return-order/item", items_of(order, returned, (1, "SHIRT"))
    )
    assert (late.status, "has received item" in late.body["message"]) == (400, True)
    assert (
        await stack.as_increff("PUT", "/returns/acknowledgement", inspection_of(order, returned, i1="PASS", i2="FAIL"))
    ).status == 200
    document = await told()
    assert document["state"] == "COMPLETED"
    assert document["quantities"] == {"expected": 0, "cancelled": 1, "passed": 1, "failed": 1}
    assert (document["trackingCode"], document["transporter"]) == ("SECOND", "GULF")

    async def both_told() -> bool:
        return len(await stack.seen("marketplace", "return-order-acknowledgement", returned)) >= 2

    await stack.eventually(both_told, "both inspections at the marketplace")


async def test_a_return_of_an_order_that_sluice_does_not_know_goes_on(stack: Stack, code: Code) -> None:
    """A cut-over loses no return: it is delivered, and its document says that its order is not known."""
    order, returned = code(), code()
    body = return_of(order, returned, 2)
    assert (await stack.as_marketplace("POST", "/return/return-orders", body)).status == 200

    async def arrived() -> bool:
        return bool(await stack.seen("increff", "create-return-order", returned))

    await stack.eventually(arrived, "the return at Increff")
    document = (await stack.call("GET", f"{stack.admin_url}/api/returns/{returned}")).body
    assert document["forwardKnown"] is False
