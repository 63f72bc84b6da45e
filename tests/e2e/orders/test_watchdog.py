"""A channel of little patience, through `sluice up`: what gets stuck is said, over a restart, and withdrawn.

Property: an order that waits longer than its channel allows is shown as stuck, by one fact, whoever owns it meanwhile;
it is withdrawn when the order moves, and an order that moved in time is never shown.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stack import Stack, create_order, pack

Code = Callable[[], str]
ShipmentId = Callable[[], int]
CHANNELS = """
[increff]
url = "{increff}/assure-magic2"

[channels.demo]
credentials = {{ username = "demo", password = "demo-secret", domain = "demo" }}
increff_credentials = {{ username = "sluice", password = "sluice-secret", domain = "demo" }}
increff_headers = {{ X-Api-Key = "demo-increff" }}
marketplace_headers = {{ X-Channel-Key = "demo-channel" }}
marketplace = {{ url = "{marketplace}" }}
sla = {{ submit_s = 60, acknowledge_s = 4, pack_s = 4, handover_s = 4, dispatch_near_s = 0 }}
"""


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path / "data", environment={"SLUICE_TICK_S": "0.5"})
    channels = tmp_path / "channels.toml"
    channels.write_text(CHANNELS.format(increff=stack.increff, marketplace=stack.marketplace))
    sides = [
        subprocess.Popen([sys.executable, "-m", "sluice", "sandbox", side, "--port", str(port), "--url", stack.url])
        for side, port in (("increff", stack.increff_port), ("marketplace", stack.marketplace_port))
    ]
    try:
        stack.start("--channels", str(channels))
        yield stack
    finally:
        stack.close()
        for side in sides:
            side.terminate()
            side.wait(timeout=20)


async def stuck_in(stack: Stack, order: str, *steps: str) -> dict[str, Any]:
    """Waits until the order is shown as stuck in these steps; a shipment's step carries its id."""
    found: dict[str, Any] = {}

    async def there() -> bool:
        found.clear()
        found.update(await stack.order(order))
        return [one["step"] for one in found.get("stuck", [])] == list(steps)

    await stack.eventually(there, lambda: f"{order} is stuck in {steps}, but it is {found}", timeout_s=40)
    return found


def told(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (fact["name"], fact["step"]) for fact in document["facts"] if fact["name"] in ("order-stuck", "order-unstuck")
    ]


async def test_an_order_gets_stuck_over_a_restart_and_moves_on(
    impatient: Stack, code: Code, shipment_id: ShipmentId
) -> None:
    stack, order, shipment, good = impatient, code(), shipment_id(), code()
    for one in (order, good):
        assert (await stack.as_marketplace("POST", "/orders/outward", create_order(one))).status == 200

    async def acknowledge(one: str) -> None:
        body = {"orders": [{"orderCode": one, "locationCode": "DXB-WH-01"}], "consolidationType": "NONE"}
        assert (await stack.as_increff("PUT", "/orders/acknowledgement", body)).status == 200

    await acknowledge(good)
    everything = [
        {"channelSkuCode": sku, "orderItemCode": f"{good}-{item}", "cancelledQuantity": units}
        for item, sku, units in ((1, "SHIRT", 2), (2, "JEANS", 1))
    ]
    cancel = {"orderCode": good, "locationCode": "DXB-WH-01", "orderItems": everything}
    assert (await stack.as_increff("PUT", "/orders/cancel", cancel)).status == 200

    await stuck_in(stack, order, "acknowledge")
    shown = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "sluice", "order", order, "--url", stack.admin_url],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "stuck: acknowledge" in shown.stdout
    pid = stack.kill("orders")
    await stack.restarted("orders", pid)
    assert told(await stuck_in(stack, order, "acknowledge")) == [("order-stuck", "acknowledge")]

    await acknowledge(order)
    await stuck_in(stack, order)
    await stuck_in(stack, order, "pack")
    packed = await stack.as_increff("POST", "/orders/pack", pack(order, shipment))
    assert packed.status == 200, packed
    await stuck_in(stack, order, f"hand-over {shipment}")
    handover = {
        "locationCode": "DXB-WH-01",
        "handoverItems": [{"orderCode": order, "shipmentCode": packed.body["shipmentCode"]}],
    }
    assert (await stack.as_increff("POST", "/handover", handover)).status == 200
    document = await stuck_in(stack, order)
    assert document["state"] == "HANDED_OVER"
    steps = ("acknowledge", "pack", "hand-over")
    assert told(document) == [(name, step) for step in steps for name in ("order-stuck", "order-unstuck")]
    assert [fact["sequence"] for fact in document["facts"]] == list(range(1, len(document["facts"]) + 1))
    assert told(await stack.order(good)) == []
