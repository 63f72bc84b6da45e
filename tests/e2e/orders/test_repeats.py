"""Repeats: the same answer without a second request; a change under a known identity is never dropped silently."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable

from tests.e2e.stack import Stack, create_order, pack

Code = Callable[[], str]
ShipmentId = Callable[[], int]
UNMAPPED = {"code": "BAD_DATA", "message": "Input validation failed", "description": "[channelSkuCode: not mapped]"}


async def test_an_unchanged_create_is_answered_again_and_not_sent_again(stack: Stack, code: Code) -> None:
    order = code()
    for _ in range(3):
        answer = await stack.as_marketplace("POST", "/orders/outward", create_order(order))
        assert (answer.status, answer.body) == (200, None)
    await stack.reaches(order, "SUBMITTED")
    assert len(await stack.seen("increff", "create-outward-order", order)) == 1


async def test_a_changed_create_is_refused_and_never_reaches_increff(stack: Stack, code: Code) -> None:
    order = code()
    await stack.as_marketplace("POST", "/orders/outward", create_order(order))
    changed = await stack.as_marketplace("POST", "/orders/outward", create_order(order, quantity=3))
    assert changed.status == 400, changed
    assert set(changed.body) == {"code", "message", "description"}
    assert order in changed.body["message"] + changed.body["description"]
    await stack.reaches(order, "SUBMITTED")
    assert [r["body"]["orderItems"][0]["quantity"] for r in await stack.seen("increff", "", order)] == [2]


async def test_a_changed_create_is_refused_when_the_orders_role_was_down(stack: Stack, code: Code) -> None:
    """The verdict comes late (503 with a receipt), the record is stored, and the change still never reaches Increff."""
    order = code()
    await stack.as_marketplace("POST", "/orders/outward", create_order(order))
    await stack.reaches(order, "SUBMITTED")
    go_on = stack.pause("orders")
    try:
        late = await stack.as_marketplace("POST", "/orders/outward", create_order(order, quantity=3))
    finally:
        go_on()
    assert late.status == 503, late
    assert int(late.headers["Retry-After"]) >= 1
    assert late.headers["Sluice-Event-Id"]
    repeated = await stack.as_marketplace("POST", "/orders/outward", create_order(order, quantity=3))
    assert repeated.status == 400, repeated
    same = await stack.as_marketplace("POST", "/orders/outward", create_order(order))
    assert same.status == 200, same
    assert len(await stack.seen("increff", "create-outward-order", order)) == 1


async def test_a_corrected_create_goes_through_after_increffs_400(stack: Stack, code: Code) -> None:
    order = code()
    refusal = {"code": "BAD_DATA", "message": "Input validation failed", "description": "[paymentMethod: not enabled]"}
    await stack.misbehave("increff", {"touchpoint": "create-outward-order", "status": 400, "times": 1, "body": refusal})
    assert (await stack.as_marketplace("POST", "/orders/outward", create_order(order))).status == 200
    document = await stack.reaches(order, "REJECTED")
    assert "paymentMethod" in document["reason"]
    again = await stack.as_marketplace("POST", "/orders/outward", create_order(order))
    assert again.status == 400, again
    assert "paymentMethod" in again.body["message"] + again.body["description"]
    corrected = create_order(order, paymentMethod="COD")
    assert (await stack.as_marketplace("POST", "/orders/outward", corrected)).status == 200
    await stack.reaches(order, "SUBMITTED")
    arrived = await stack.seen("increff", "create-outward-order", order)
    assert [r["body"]["paymentMethod"] for r in arrived] == ["NCOD", "COD"]


async def test_a_repeated_pack_gets_the_same_body_with_one_request(
    stack: Stack, code: Code, shipment_id: ShipmentId
) -> None:
    order, shipment = code(), shipment_id()
    await stack.as_marketplace("POST", "/orders/outward", create_order(order))
    first = await stack.as_increff("POST", "/orders/pack", pack(order, shipment))
    assert first.status == 200, first
    for body in (pack(order, shipment), pack(order, shipment, weight=12.5)):
        again = await stack.as_increff("POST", "/orders/pack", body)
        assert (again.status, again.body) == (200, first.body)
    assert len(await stack.seen("marketplace", "pack-order", order)) == 1


async def test_a_refusal_of_the_marketplace_reaches_the_warehouse_user(
    stack: Stack, code: Code, shipment_id: ShipmentId
) -> None:
    """The channel's own message comes back on Pack, and a later Pack of the same shipment is a new attempt."""
    order, shipment = code(), shipment_id()
    await stack.as_marketplace("POST", "/orders/outward", create_order(order))
    refusal = {"hasError": True, "errorMessage": "Address is being changed"}
    await stack.misbehave("marketplace", {"touchpoint": "pack-order", "status": 400, "times": 1, "body": refusal})
    refused = await stack.as_increff("POST", "/orders/pack", pack(order, shipment))
    assert refused.status == 400, refused
    assert refused.body["hasError"] is True
    assert "Address is being changed" in refused.body["errorMessage"]
    taken = await stack.as_increff("POST", "/orders/pack", pack(order, shipment))
    assert taken.status == 200, taken


# An operator pushes on what was refused


async def sluice(stack: Stack, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sluice",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "SLUICE_URL": stack.admin_url},
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_an_order_whose_sku_was_not_mapped_is_pushed_on(stack: Stack, code: Code) -> None:
    order = code()
    fault = {"touchpoint": "create-outward-order", "status": 400, "times": 1, "body": UNMAPPED}
    await stack.misbehave("increff", fault)
    await stack.as_marketplace("POST", "/orders/outward", create_order(order))
    document = await stack.reaches(order, "REJECTED")
    refused = document["deliveries"][0]["id"]

    status, output = await sluice(stack, "deliveries", "retry", order, refused, "--yes", "--reason", "mapped")
    assert (status, "`sluice orders resubmit" in output) == (2, True), output
    status, output = await sluice(stack, "redrive", "--order", order)
    assert "redrive: 0" in output
    status, output = await sluice(stack, "orders", "resubmit", order)
    assert (status, "would be sent" in output, "not mapped" in output) == (0, True, True), output
    assert len(await stack.seen("increff", "create-outward-order", order)) == 1

    status, output = await sluice(stack, "orders", "resubmit", order, "--yes", "--reason", "mapped", "--wait")
    assert (status, ": delivered" in output) == (0, True), output
    document = await stack.reaches(order, "SUBMITTED")
    arrived = await stack.seen("increff", "create-outward-order", order)
    assert arrived[0]["body"] == arrived[1]["body"]
    names = [fact["name"] for fact in document["facts"]]
    assert [name for name in names if name not in ("order-stuck", "order-unstuck")] == [  # a tick may see it wait
        "order-created",
        "order-rejected",
        "order-created",
        "request-resubmitted",
        "order-submitted",
    ]
    status, output = await sluice(stack, "orders", "resubmit", order, "--yes", "--reason", "once more")
    assert (status, "has no refused delivery" in output) == (2, True), output
    skipped = ("deliveries", "skip", order, document["deliveries"][-1]["id"], "--yes", "--reason", "once more")
    status, output = await sluice(stack, *skipped)
    assert (status, "it was delivered at" in output) == (2, True), output


async def test_a_channels_refused_orders_are_pushed_on_together(stack: Stack, code: Code) -> None:
    orders = [code() for _ in range(5)]
    fault = {"touchpoint": "create-outward-order", "status": 400, "times": 5, "body": UNMAPPED}
    await stack.misbehave("increff", fault)
    for order in orders:
        await stack.as_marketplace("POST", "/orders/outward", create_order(order))
    for order in orders:
        await stack.reaches(order, "REJECTED")
    named = [word for order in orders for word in ("--order", order)]
    status, output = await sluice(stack, "orders", "resubmit", "--channel", "demo", *named)
    assert (status, "resubmit-many: 5" in output) == (0, True), output
    given = ("--yes", "--reason", "mapped")
    status, output = await sluice(stack, "orders", "resubmit", "--channel", "demo", *named, *given)
    assert (status, "5 delivered, 0 refused again" in output) == (0, True), output
    status, output = await sluice(stack, "orders", "resubmit", "--channel", "demo", *named, *given)
    assert "resubmit-many: 0\n" in output
    for order in orders:
        await stack.reaches(order, "SUBMITTED")
        assert len(await stack.seen("increff", "create-outward-order", order)) == 2


async def test_the_same_order_in_other_words_is_a_repeat(stack: Stack, code: Code) -> None:
    """Written by hand, as other languages print it. What Increff got stays as it came first."""
    order = code()
    assert (await stack.as_marketplace("POST", "/orders/outward", create_order(order))).status == 200
    address = '"shippingAddress":{"name":"A Customer","line1":"1 Street","line2":"","city":"Dubai","country":"UAE"}'
    jeans = f'{{"channelSkuCode":"JEANS","orderItemCode":"{order}-2","quantity":1.0,"sellingPricePerUnit":"199.50"}}'
    shirt = (
        f'{{"orderItemCode":"{order}-1","channelSkuCode":"SHIRT","quantity":"2","sellingPricePerUnit":89.2500,'
        '"channelDiscountPerUnit":"","shippingChargePerUnit":0,"giftOptions":null}'
    )

    def written(dispatch: str) -> bytes:
        return (
            f'{{"orderItems":[{jeans},{shirt}],{address},"gift":"false","isSplitRequired":false,"onHold":"false",'
            f'"orderCode":"{order}","locationCode":"DXB-WH-01","orderTime":"2026-11-24T05:12:41Z","orderType":"SO",'
            f'"dispatchByTime":"{dispatch}","startProcessingTime":"2026-11-24T11:00:00+05:30[Asia/Kolkata]",'
            f'"paymentMethod":"NCOD","taxBreakupForms":[],"packType":null,"orderCustomAttributes":{{}}}}'
        ).encode()

    same = await stack.as_marketplace("POST", "/orders/outward", raw=written("2026-11-26T10:00:00Z"))
    assert (same.status, same.body) == (200, None)
    later = await stack.as_marketplace("POST", "/orders/outward", raw=written("2026-11-26T10:00:00.001Z"))
    assert later.status == 400, later
    update = {"dispatchByTime": "2026-11-26T10:00:00Z", "startProcessingTime": "2026-11-24T05:30:00Z", "onHold": False}
    assert (await stack.as_marketplace("PUT", f"/orders/{order}", update)).status == 200
    await stack.reaches(order, "SUBMITTED")
    assert [request["touchpoint"] for request in await stack.seen("increff", "", order)] == ["create-outward-order"]
