"""Each streams role dies between effects, state and offset: what was accepted arrives, and nothing inverts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.stack import Answer, Stack, cancellation, create_order, pack
from tests.support.roles import crash_environment

Code = Callable[[], str]
ShipmentId = Callable[[], int]

STEPS = ("before_effects", "between_effects_and_state", "between_state_and_offsets")
CRASHES = [(role, step) for role in ("orders", "delivery", "inventory") for step in STEPS]


@pytest.fixture(scope="module")
def armed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that says who dies next; see tests/support/crash_points/sitecustomize.py."""
    return tmp_path_factory.mktemp("crash") / "armed"


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory, armed: Path) -> Iterator[Stack]:
    """A Sluice whose roles can be told to die."""
    stack = Stack(tmp_path_factory.mktemp("up") / "data", environment=crash_environment(armed))
    stack.start()
    yield stack
    stack.close()


async def until_taken(stack: Stack, call: Callable[[], object]) -> Answer:
    """A caller that repeats on 503 and on a lost connection, as the contract tells both sides to."""
    taken: list[Answer] = []

    async def succeeded() -> bool:
        try:
            answer = await call()  # type: ignore[misc]
        except OSError:
            return False
        assert answer.status in {200, 503}, answer
        if answer.status == 200:
            taken.append(answer)
        return bool(taken)

    await stack.eventually(succeeded, "the call is taken", timeout_s=60)
    return taken[0]


@pytest.mark.parametrize(("role", "step"), CRASHES)
async def test_a_role_dies_at_a_step_of_its_commit(
    mortal: Stack, armed: Path, code: Code, shipment_id: ShipmentId, role: str, step: str
) -> None:
    """Callers repeat what was not answered; everything happens once, in sequence, and adds up."""
    order, shipment, sku = code(), shipment_id(), f"SKU-{role}-{step}"
    dead = mortal.status()["roles"][role]["pid"]
    armed.write_text(f"{role} {step} 2")
    body = create_order(order, quantity=3)
    await until_taken(mortal, lambda: mortal.as_marketplace("POST", "/orders/outward", body))
    for quantity in (7, 4, 0):
        stock = {"locationCode": "DXB-WH-01", "inventories": [{"channelSkuCode": sku, "quantity": quantity}]}
        await until_taken(mortal, lambda stock=stock: mortal.as_increff("PUT", "/inventory", stock))  # type: ignore[misc]
    cancel = cancellation(order, 1)
    await until_taken(mortal, lambda: mortal.as_marketplace("PUT", f"/orders/{order}/cancel", cancel))
    packing = pack(order, shipment)
    packed = await until_taken(mortal, lambda: mortal.as_increff("POST", "/orders/pack", packing))
    handover = {
        "locationCode": "DXB-WH-01",
        "handoverItems": [{"orderCode": order, "shipmentCode": packed.body["shipmentCode"]}],
    }
    await until_taken(mortal, lambda: mortal.as_increff("POST", "/handover", handover))

    async def died() -> bool:
        return not armed.exists()

    await mortal.eventually(died, f"{role} dies {step}")
    await mortal.restarted(role, dead)

    document = await mortal.reaches(order, "HANDED_OVER")
    lines = [(line["ordered"], line["open"], line["packed"], line["cancelled"]) for line in document["lines"]]
    assert lines == [(3, 0, 2, 1), (1, 0, 1, 0)]
    sequences = [fact["sequence"] for fact in document["facts"]]
    assert sequences == list(range(1, len(sequences) + 1))

    async def arrived() -> bool:
        believed = (await mortal.call("GET", f"{mortal.marketplace}/_sandbox/stock")).body["locations"]
        handed = await mortal.seen("marketplace", "handover-notification", order)
        return bool(handed) and believed.get("DXB-WH-01", {}).get(sku, {}).get("quantity") == 0

    await mortal.eventually(arrived, "the handover and the last stock are at the marketplace", timeout_s=60)
    for side in ("increff", "marketplace"):
        names = [r["touchpoint"] for r in await mortal.seen(side, order=order)]
        once = list(dict.fromkeys(names))
        assert names == sorted(names, key=once.index), (side, names)
    quantities = [
        item["quantity"]
        for request in await mortal.seen("marketplace", "location-wise-atp-inventory")
        for item in request["body"]["inventories"]
        if item["channelSkuCode"] == sku
    ]
    assert quantities == sorted(quantities, reverse=True), "old stock followed new"
    bodies = [r["body"] for r in await mortal.seen("marketplace", "pack-order", order)]
    assert all(body == packing for body in bodies)
