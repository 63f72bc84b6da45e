"""A far side that takes a call and cuts the connection, and refuses the repeat because it has the thing already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.orders.test_returns import return_of
from tests.e2e.stack import Stack, cancellation, create_order, pack

Code = Callable[[], str]
ShipmentId = Callable[[], int]

CREATE, RETURN, CANCEL, PACK = (
    "create-outward-order",
    "create-return-order",
    "customer-cancellation",
    "pack-order",
)
EXISTS = {"code": "BAD_DATA", "message": "Input validation failed", "description": "[Order already exists]"}


def lost(touchpoint: str) -> dict[str, Any]:
    """The call has its effect, and its answer is lost."""
    return {"touchpoint": touchpoint, "reset": True, "apply": True, "times": 1}


def refused(touchpoint: str, status: int, body: Any = None) -> dict[str, Any]:
    return {"touchpoint": touchpoint, "status": status, "body": body, "times": 1}


def facts_of(document: dict[str, Any]) -> list[str]:
    return [fact["name"] for fact in document["facts"]]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lost(CREATE), refused(CREATE, 409)),
        (lost(CREATE), refused(CREATE, 400, EXISTS)),
        ({"touchpoint": CREATE, "status": 502, "apply": True, "times": 1}, refused(CREATE, 409, "Conflict")),
        (lost(CREATE), refused(CREATE, 200, {"hasError": True, "errorMessage": "ORDER_ALREADY_EXISTS"})),
    ],
    ids=["cut off, then 409", "cut off, then 400", "502, then 409", "cut off, then hasError"],
)
async def test_an_order_whose_answer_was_lost_is_taken(
    stack: Stack, code: Code, shipment_id: ShipmentId, first: dict[str, Any], second: dict[str, Any]
) -> None:
    order = code()
    await stack.misbehave("increff", first, second)
    assert (await stack.as_marketplace("POST", "/orders/outward", create_order(order))).status == 200
    document = await stack.reaches(order, "SUBMITTED")
    assert facts_of(document) == ["order-created", "order-submitted"]
    assert (await stack.warehouse(order, "acknowledge")).status == 200
    assert (await stack.as_increff("POST", "/orders/pack", pack(order, shipment_id()))).status == 200
    attempts = document["deliveries"][0]["attempts"]
    assert [attempt["status"] for attempt in attempts] == [first.get("status"), second["status"]]
    assert "carried out before" in document["deliveries"][0]["message"]


async def test_a_return_whose_answer_was_lost_is_taken(stack: Stack, code: Code) -> None:
    returned = code()
    await stack.misbehave("increff", lost(RETURN), refused(RETURN, 409))
    assert (await stack.as_marketplace("POST", "/return/return-orders", return_of(code(), returned, 1))).status == 200

    async def taken() -> bool:
        return bool((await stack.call("GET", f"{stack.admin_url}/api/returns/{returned}")).body["state"] == "SUBMITTED")

    await stack.eventually(taken, "the return is taken")


async def test_a_cancellation_whose_answer_was_lost_is_a_success_to_its_caller(stack: Stack, code: Code) -> None:
    order = code()
    await stack.as_marketplace("POST", "/orders/outward", create_order(order))
    await stack.reaches(order, "SUBMITTED")
    said = {"code": "BAD_DATA", "message": "Order items are already cancelled"}
    await stack.misbehave("increff", lost(CANCEL), refused(CANCEL, 400, said))
    answer = await stack.as_marketplace("PUT", f"/orders/{order}/cancel", cancellation(order, 1))
    assert (answer.status, answer.body) == (200, None)
    assert (await stack.order(order))["lines"][0]["cancelled"] == 1


async def test_a_cancellation_that_came_too_late_stays_refused(stack: Stack, code: Code) -> None:
    """A 409 alone does not say that the units are cancelled."""
    order = code()
    await stack.as_marketplace("POST", "/orders/outward", create_order(order))
    await stack.reaches(order, "SUBMITTED")
    said = {"code": "BAD_DATA", "message": "The order is already packed and cannot be cancelled"}
    await stack.misbehave("increff", {"touchpoint": CANCEL, "reset": True, "times": 1}, refused(CANCEL, 409, said))
    answer = await stack.as_marketplace("PUT", f"/orders/{order}/cancel", cancellation(order, 1))
    assert answer.status == 409, answer
    assert (await stack.order(order))["lines"][0]["cancelled"] == 0


async def test_a_pack_whose_answer_was_lost_is_a_success_with_its_code(
    stack: Stack, code: Code, shipment_id: ShipmentId
) -> None:
    order, shipment = code(), shipment_id()
    await stack.as_marketplace("POST", "/orders/outward", create_order(order))
    await stack.reaches(order, "SUBMITTED")
    said = {"hasError": True, "errorMessage": "Shipment is already packed", "shipmentCode": "S-LOST"}
    await stack.misbehave("marketplace", lost(PACK), refused(PACK, 409, said))
    answer = await stack.as_increff("POST", "/orders/pack", pack(order, shipment))
    assert (answer.status, answer.body) == (200, {"shipmentCode": "S-LOST"})
    again = await stack.as_increff("POST", "/orders/pack", pack(order, shipment))
    assert (again.status, again.body) == (200, {"shipmentCode": "S-LOST"})


async def test_an_order_that_increff_refused_on_doubt_is_revived_by_what_increff_says(
    stack: Stack, code: Code, shipment_id: ShipmentId
) -> None:
    """The refusal does not say that the order exists."""
    order = code()
    await stack.misbehave("increff", lost(CREATE), refused(CREATE, 400))
    await stack.as_marketplace("POST", "/orders/outward", create_order(order))
    await stack.reaches(order, "REJECTED")
    assert (await stack.as_marketplace("POST", "/orders/outward", create_order(order))).status == 400
    assert (await stack.warehouse(order, "acknowledge")).status == 200
    document = await stack.reaches(order, "ACKNOWLEDGED")
    assert facts_of(document)[1:4] == ["order-rejected", "order-revived", "order-acknowledged"]
    assert (await stack.as_increff("POST", "/orders/pack", pack(order, shipment_id()))).status == 200
    assert (await stack.as_marketplace("POST", "/orders/outward", create_order(order))).status == 200


async def test_a_pack_revives_an_order_that_increff_refused(stack: Stack, code: Code, shipment_id: ShipmentId) -> None:
    order = code()
    await stack.misbehave("increff", {**refused(CREATE, 400), "apply": True})
    await stack.as_marketplace("POST", "/orders/outward", create_order(order))
    await stack.reaches(order, "REJECTED")
    assert (await stack.as_increff("POST", "/orders/pack", pack(order, shipment_id()))).status == 200
    await stack.reaches(order, "PACKED")


async def test_delivery_is_killed_between_the_call_and_its_record(stack: Stack, code: Code) -> None:
    """Nothing was recorded of the first attempt, so the next worker knows only that it may have been made."""
    order = code()
    slow = {"touchpoint": CREATE, "status": 200, "apply": True, "delay_ms": 2_000, "times": 1}
    await stack.misbehave("increff", slow, refused(CREATE, 409))
    await stack.as_marketplace("POST", "/orders/outward", create_order(order))

    async def arrived() -> bool:
        return bool(await stack.seen("increff", CREATE, order))

    await stack.eventually(arrived, "the Create is at Increff")
    await stack.restarted("delivery", stack.kill("delivery"))
    document = await stack.reaches(order, "SUBMITTED")
    assert [attempt["status"] for attempt in document["deliveries"][0]["attempts"]] == [409]
    assert "order-rejected" not in facts_of(document)
