"""A far side that fails, a broker that dies, roles that are killed: nothing accepted is lost or overtaken."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import aiohttp

from tests.e2e.stack import Stack, cancellation, create_order, most_in_any, pack

Code = Callable[[], str]
ShipmentId = Callable[[], int]

INCREFF_REQUESTS = 200
INCREFF_WINDOW_S = 60.0


async def test_increff_fails_then_throttles(stack: Stack, code: Code) -> None:
    """Five 500s, a 429 with Retry-After 5, then success: the order's calls wait in sequence, other orders pass during
    the 500s, and during the five seconds nothing at all goes to Increff."""
    order, other = code(), code()
    await stack.misbehave(
        "increff",
        {"touchpoint": "create-outward-order", "status": 500, "times": 5},
        {"touchpoint": "create-outward-order", "status": 429, "times": 1, "retry_after": 5},
    )
    assert (await stack.as_marketplace("POST", "/orders/outward", create_order(order))).status == 200
    properties = {
        "dispatchByTime": "2026-11-26T14:00:00.000Z",
        "startProcessingTime": "2026-11-24T14:00:00.000Z",
        "onHold": True,
    }
    assert (await stack.as_marketplace("PUT", f"/orders/{order}", properties)).status == 200

    async def throttled() -> bool:
        return any(r["status"] == 429 for r in await stack.seen("increff"))

    # A return of another order has a touchpoint of its own, so it takes none of the faults above.
    returned = {
        "forwardOrderCode": other,
        "returnOrderCode": f"R-{other}",
        "locationCode": "DXB-WH-01",
        "orderType": "CUSTOMER_RETURN",
        "orderItems": [{"itemCode": "1", "reason": "SIZE", "channelSkuCode": "SHIRT"}],
    }
    assert (await stack.as_marketplace("POST", "/return/return-orders", returned)).status == 200
    await stack.eventually(throttled, "the 429", timeout_s=60)
    # Demand during the gate: it must wait.
    for _ in range(3):
        assert (await stack.as_marketplace("POST", "/orders/outward", create_order(code()))).status == 200
    await stack.reaches(order, "HELD", timeout_s=60)

    async def updated() -> bool:
        return bool(await stack.seen("increff", "update-order-properties", order))

    await stack.eventually(updated, "the update follows its create", timeout_s=60)
    requests = await stack.seen("increff")
    creates = [r["status"] for r in requests if r["touchpoint"] == "create-outward-order" and r["orders"] == [order]]
    assert creates == [500] * 5 + [429, 200]
    gate = next(r["at"] for r in requests if r["status"] == 429)
    assert [r for r in requests if gate < r["at"] < gate + 5.0] == []
    of_the_return = next(r for r in requests if r["touchpoint"] == "create-return-order")
    assert of_the_return["at"] < gate
    lane = [(r["touchpoint"], r["status"]) for r in requests if r["orders"] == [order]]
    assert lane[-2:] == [("create-outward-order", 200), ("update-order-properties", 200)]


async def test_a_killed_role_loses_nothing_and_keeps_the_sequence(
    stack: Stack, code: Code, shipment_id: ShipmentId
) -> None:
    """kill -9 of each role in mid-flow: what was answered with 2xx arrives, per order in sequence."""
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    accepted: list[str] = []
    stock: dict[str, int] = {}

    async def trade(moments: int) -> None:
        for moment in range(moments):
            order = code()
            sku = f"KILL-{moment % 7}"
            try:
                created = await stack.as_marketplace("POST", "/orders/outward", create_order(order))
                if created.status != 200:
                    continue
                accepted.append(order)
                cancelled = await stack.as_marketplace("PUT", f"/orders/{order}/cancel", cancellation(order, 1))
                assert cancelled.status in {200, 503}, cancelled
                body = {"locationCode": "DXB-WH-01", "inventories": [{"channelSkuCode": sku, "quantity": moment}]}
                if (await stack.as_increff("PUT", "/inventory", body)).status == 200:
                    stock[sku] = moment
            except (OSError, aiohttp.ClientError):  # the gateway may die with the answer half sent
                continue

    for role in ("orders", "delivery", "inventory", "gateway"):
        flow = asyncio.gather(*(trade(3) for _ in range(3)))
        await asyncio.sleep(chance.uniform(0.01, 0.15))
        dead = stack.kill(role)
        await flow
        await stack.restarted(role, dead)
    assert len(accepted) > 8

    async def settled() -> bool:
        seen = await stack.seen("increff", "create-outward-order")
        arrived = {r["orders"][0] for r in seen if r["status"] == 200}
        believed = (await stack.call("GET", f"{stack.marketplace}/_sandbox/stock")).body
        return set(accepted) <= arrived and all(f'"{sku}"' in str(believed).replace("'", '"') for sku in stock)

    await stack.eventually(settled, "every accepted order and stock arrives", timeout_s=120)
    for order in accepted:
        document = await stack.order(order)
        lines = document["lines"]
        assert all(line["ordered"] == line["open"] + line["packed"] + line["cancelled"] for line in lines)
        names = [r["touchpoint"] for r in await stack.seen("increff", order=order)]
        assert names[0] == "create-outward-order", (order, names)
        first_cancel = names.index("customer-cancellation") if "customer-cancellation" in names else len(names)
        assert "create-outward-order" not in names[first_cancel:], (order, names)

    async def last_word() -> bool:
        answer = await stack.as_marketplace(
            "POST", "/inventories", {"locationCode": "DXB-WH-01", "channelSkuCodes": sorted(stock)}
        )
        return answer.status == 200

    await stack.eventually(last_word, "search answers again")
    times = [r["at"] for r in await stack.seen("increff")]
    assert most_in_any(INCREFF_WINDOW_S, times) <= INCREFF_REQUESTS


async def test_a_killed_broker_is_answered_with_503_and_everything_goes_on(
    stack: Stack, code: Code, shipment_id: ShipmentId
) -> None:
    """While the broker is gone callers get 503 with Retry-After in two seconds; then all goes on by itself."""
    before = [code() for _ in range(5)]
    for order in before:
        assert (await stack.as_marketplace("POST", "/orders/outward", create_order(order))).status == 200
    dead = stack.kill("kafka")
    began = time.monotonic()
    refused = await stack.as_marketplace("POST", "/orders/outward", create_order(code()))
    took = time.monotonic() - began
    if refused.status != 200:  # the supervisor may have brought the broker back within the produce time-out
        assert refused.status == 503, refused
        assert int(refused.headers["Retry-After"]) >= 1
        assert took < 3.0
    await stack.restarted("kafka", dead)
    order = code()

    async def accepted() -> bool:
        return (await stack.as_marketplace("POST", "/orders/outward", create_order(order))).status == 200

    await stack.eventually(accepted, "orders are accepted again", timeout_s=60)
    for earlier in [*before, order]:
        await stack.reaches(earlier, "SUBMITTED", timeout_s=90)
    shipment = shipment_id()

    async def packed() -> bool:
        return (await stack.as_increff("POST", "/orders/pack", pack(order, shipment))).status == 200

    await stack.eventually(packed, "a pack goes through", timeout_s=60)


async def test_restart_keeps_everything(new_stack: Stack, code: Code, shipment_id: ShipmentId) -> None:
    """Ctrl-C ends it in peace, and a second start knows every order and its recorded answers."""
    order, shipment = code(), shipment_id()
    new_stack.start()
    assert (await new_stack.as_marketplace("POST", "/orders/outward", create_order(order))).status == 200
    first = await new_stack.as_increff("POST", "/orders/pack", pack(order, shipment))
    assert first.status == 200, first
    assert new_stack.stop() == 0
    new_stack.start()
    again = await new_stack.as_increff("POST", "/orders/pack", pack(order, shipment))
    assert (again.status, again.body) == (200, first.body)
    assert (await new_stack.order(order))["state"] == "PACKED"
    assert len(await new_stack.seen("marketplace", "pack-order", order)) <= 1
