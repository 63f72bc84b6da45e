"""Calls that cross on their way: each word arrives at last, and where the sides differ, a fact says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.e2e.stack import Stack, cancellation, create_order, pack

Code = Callable[[], str]
ShipmentId = Callable[[], int]
PROPERTIES = {"dispatchByTime": "2026-11-26T14:00:00.000Z", "startProcessingTime": "2026-11-24T14:00:00.000Z"}


def acknowledgement(order: str) -> dict[str, Any]:
    return {"orders": [{"orderCode": order, "locationCode": "DXB-WH-01"}]}


def facts(document: dict[str, Any]) -> list[str]:
    return [fact["name"] for fact in document["facts"]]


async def test_a_release_reaches_increff_after_an_acknowledgement_that_crossed_the_hold(
    stack: Stack, code: Code
) -> None:
    """Increff sends its acknowledgement while the hold is still on its way to it."""
    order = code()
    await stack.as_marketplace("POST", "/orders/outward", create_order(order))
    await stack.reaches(order, "SUBMITTED")
    go_on = stack.pause("delivery")
    try:
        hold = await stack.as_marketplace("PUT", f"/orders/{order}", {**PROPERTIES, "onHold": True})
        crossed = await stack.as_increff("PUT", "/orders/acknowledgement", acknowledgement(order))
    finally:
        go_on()
    assert (hold.status, crossed.body["successOrders"]) == (200, acknowledgement(order)["orders"])
    release = await stack.as_marketplace("PUT", f"/orders/{order}", {**PROPERTIES, "onHold": False})
    assert release.status == 200

    async def released() -> bool:
        seen = await stack.seen("increff", "update-order-properties", order)
        return [one["body"]["onHold"] for one in seen] == [True, False]

    await stack.eventually(released, "the hold and its release are at Increff")
    named = facts(await stack.order(order))
    assert named[named.index("order-acknowledged") :] == ["order-acknowledged", "hold-crossed", "order-released"]


async def test_a_pack_that_passes_its_failing_acknowledgement_is_a_fact(
    stack: Stack, code: Code, shipment_id: ShipmentId
) -> None:
    order = code()
    await stack.as_marketplace("POST", "/orders/outward", create_order(order))
    await stack.reaches(order, "SUBMITTED")
    await stack.misbehave("marketplace", {"touchpoint": "acknowledgement", "status": 500})
    try:
        assert (await stack.as_increff("PUT", "/orders/acknowledgement", acknowledgement(order))).status == 200
        packed = await stack.as_increff("POST", "/orders/pack", pack(order, shipment_id()))
    finally:
        await stack.behave("marketplace")
    assert packed.status == 200, packed

    async def both_arrived() -> bool:
        status = {one["touchpoint"]: one["status"] for one in (await stack.order(order))["deliveries"]}
        return (status.get("acknowledgement"), status.get("pack-order")) == ("delivered", "delivered")

    await stack.eventually(both_arrived, "the Pack and its acknowledgement are at the marketplace", timeout_s=60)
    document = await stack.order(order)
    [overtaken] = [fact for fact in document["facts"] if fact["name"] == "notice-overtaken"]
    assert (overtaken["touchpoint"], overtaken["by"]) == ("acknowledgement", "pack-order")
    assert facts(document).index("notice-overtaken") < facts(document).index("shipment-packed")


async def test_calls_that_were_answered_late_are_repeated_once_the_order_is_cancelled(stack: Stack, code: Code) -> None:
    """The update was taken, so its repeat is a success. The acknowledgement was not, though answered so: a fact."""
    order = code()
    await stack.as_marketplace("POST", "/orders/outward", create_order(order))
    await stack.reaches(order, "SUBMITTED")
    update = {**PROPERTIES, "onHold": True}
    lines = cancellation(order, 2)["orderItems"] + cancellation(order, 1, item=2)["orderItems"]
    cancelled = {"orderCode": order, "locationCode": "DXB-WH-01", "orderItems": lines}
    go_on = stack.pause("orders")
    try:
        late = await stack.as_marketplace("PUT", f"/orders/{order}", update)
        cancelling = await stack.as_increff("PUT", "/orders/cancel", cancelled)
        acknowledged = await stack.as_increff("PUT", "/orders/acknowledgement", acknowledgement(order))
    finally:
        go_on()
    assert (late.status, cancelling.status) == (503, 503)
    assert acknowledged.body["successOrders"] == acknowledgement(order)["orders"]
    await stack.reaches(order, "CANCELLED")
    assert (await stack.as_marketplace("PUT", f"/orders/{order}", update)).status == 200
    assert (await stack.as_increff("PUT", "/orders/cancel", cancelled)).status == 200
    again = await stack.as_increff("PUT", "/orders/acknowledgement", acknowledgement(order))
    assert again.body["successOrders"] == []
    released = await stack.as_marketplace("PUT", f"/orders/{order}", {**PROPERTIES, "onHold": False})
    assert released.status == 400, "this one was never taken"
    document = await stack.order(order)
    [lost] = [fact for fact in document["facts"] if fact["name"] == "call-not-applied"]
    assert (lost["touchpoint"], lost["verdict"]) == ("acknowledgement", "REFUSED")
    assert "CANCELLED" in lost["reason"]
