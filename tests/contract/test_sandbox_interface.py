"""`/_sandbox/*` of both sides: every request is recorded, misbehaviour is as ordered, and nothing is forgotten."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sluice.dev.sandbox.increff.sandbox import IncreffSandbox
from sluice.dev.sandbox.increff.sluice_client import SluiceClient
from sluice.dev.sandbox.marketplace import MarketplaceSandbox
from sluice.dev.sandbox.server import Sandbox
from tests.support.sandboxes import FarSide, sample, serving

ORDER = sample("create-outward-order")["orderCode"]


def make(side: str, state_file: Path | None = None) -> Sandbox:
    if side == "increff":
        return IncreffSandbox(SluiceClient(), state_file=state_file)
    return MarketplaceSandbox(state_file=state_file)


@pytest.fixture(params=["increff", "marketplace"])
async def side(request: pytest.FixtureRequest) -> AsyncIterator[FarSide]:
    async with serving(make(request.param)) as far_side:
        yield far_side


@pytest.fixture
async def increff() -> AsyncIterator[FarSide]:
    async with serving(make("increff")) as far_side:
        yield far_side


@pytest.fixture
async def marketplace() -> AsyncIterator[FarSide]:
    async with serving(make("marketplace")) as far_side:
        yield far_side


async def statuses(side: FarSide, name: str, times: int) -> list[int]:
    return [(await side.call(name)).status for _ in range(times)]


async def test_ready_and_unknown_routes(side: FarSide) -> None:
    assert (await side.ask("GET", "/_sandbox/ready")).status == 200
    for path in ("/_sandbox/nothing", "/_sandbox/orders/NONE"):
        answer = await side.ask("GET", path)
        assert (answer.status, list(answer.body)) == (404, ["error"])
    assert await side.seen() == []


async def test_a_request_is_recorded_as_it_came(increff: FarSide) -> None:
    before = time.time()
    await increff.call("create-outward-order")
    after = time.time()
    (seen,) = await increff.seen()
    assert before <= seen.pop("at") <= after
    headers = {name.lower(): value for name, value in seen.pop("headers").items()}
    assert headers["authusername"] == "sluice"
    assert seen == {
        "touchpoint": "create-outward-order",
        "orders": [ORDER],
        "method": "POST",
        "path": "/assure-magic2/orders/outward",
        "body": sample("create-outward-order"),
        "status": 200,
    }


async def test_the_body_of_a_get_is_its_query(marketplace: FarSide) -> None:
    await marketplace.call("get-invoice")
    (seen,) = await marketplace.seen()
    assert (seen["body"], seen["orders"], seen["status"]) == (sample("get-invoice"), [ORDER], 404)


async def test_a_refused_request_is_recorded_too(increff: FarSide) -> None:
    await increff.call("create-outward-order", headers={})
    await increff.call("create-outward-order", data=b"{broken")
    await increff.ask("POST", "/elsewhere", headers=increff.headers, json={"orderCode": "A"})
    seen = await increff.seen()
    assert [(one["touchpoint"], one["status"]) for one in seen] == [
        ("create-outward-order", 401),
        ("create-outward-order", 400),
        ("", 404),
    ]
    assert seen[1]["body"] == "{broken"


CODES: list[tuple[str, list[str]]] = [
    ("acknowledgement", [order["orderCode"] for order in sample("acknowledgement")["orders"]]),
    ("create-manifest", [item["orderCode"] for item in sample("create-manifest")["manifestItems"]]),
    ("handover-notification", [item["orderCode"] for item in sample("handover-notification")["handoverItems"]]),
    ("location-wise-atp-inventory", []),
    ("return-order-acknowledgement", [ORDER, sample("return-order-acknowledgement")["returnOrderCode"]]),
]


@pytest.mark.parametrize(("name", "codes"), CODES, ids=[name for name, _ in CODES])
async def test_requests_are_found_by_touchpoint_and_order(marketplace: FarSide, name: str, codes: list[str]) -> None:
    await marketplace.call(name)
    await marketplace.call("seller-cancellation")
    assert [one["orders"] for one in await marketplace.seen(touchpoint=name)] == [codes]
    for code in codes:
        assert [one["touchpoint"] for one in await marketplace.seen(order=code)] == [name]
        assert await marketplace.seen(order=code, touchpoint="pack-order") == []
    assert len(await marketplace.seen(touchpoint="", order="")) == 2
    await marketplace.ask("DELETE", "/_sandbox/requests")
    assert await marketplace.seen() == []


async def test_faults_are_used_up_in_order(increff: FarSide) -> None:
    """Done-when 4 of the outage: 500 twice, then 429 with Retry-After, then it works; other touchpoints are not hit."""
    put = await increff.misbehave(
        {"touchpoint": "create-outward-order", "status": 500, "times": 2},
        {"touchpoint": "create-outward-order", "status": 429, "times": 1, "retry_after": 5},
    )
    assert put.status == 200
    answers = [await increff.call("create-outward-order") for _ in range(3)]
    assert [answer.status for answer in answers] == [500, 500, 429]
    assert all(set(answer.body) == {"code", "message", "description"} for answer in answers)
    assert answers[2].headers["Retry-After"] == "5"
    assert (await increff.call("create-return-order")).status == 200
    assert (await increff.ask("GET", f"/_sandbox/orders/{ORDER}")).status == 404, "a faulted request has no effect"
    assert await statuses(increff, "create-outward-order", 2) == [200, 200]
    assert [one["status"] for one in await increff.seen(touchpoint="create-outward-order")] == [500, 500, 429, 200, 200]


@pytest.mark.parametrize("change", ["DELETE", "PUT"])
async def test_without_times_a_fault_lasts_until_changed(side: FarSide, change: str) -> None:
    name = "create-return-order" if side.sandbox.prefix else "pack-order"
    await side.misbehave({"touchpoint": name, "status": 503, "times": None})
    assert await statuses(side, name, 3) == [503, 503, 503]
    await side.ask(change, "/_sandbox/faults", json=[])
    assert await statuses(side, name, 1) == [200]


@pytest.mark.parametrize(
    ("body", "seen"),
    [({"hasError": True, "errorMessage": "no"}, {"hasError": True, "errorMessage": "no"}), ("<html>", "<html>")],
)
async def test_a_fault_says_what_it_was_told(marketplace: FarSide, body: Any, seen: Any) -> None:
    await marketplace.misbehave({"touchpoint": "handover-notification", "status": 200, "times": 1, "body": body})
    answer = await marketplace.call("handover-notification")
    assert (answer.status, answer.body) == (200, seen)
    assert (await marketplace.ask("GET", f"/_sandbox/orders/{ORDER}")).status == 404


async def test_only_a_delay_still_has_its_effect(increff: FarSide) -> None:
    await increff.misbehave({"touchpoint": "create-outward-order", "status": None, "times": 1, "delay_ms": 30})
    assert (await increff.call("create-outward-order")).status == 200
    assert (await increff.ask("GET", f"/_sandbox/orders/{ORDER}")).status == 200


@pytest.mark.parametrize(("apply", "known"), [(False, 404), (True, 200)])
async def test_an_answer_may_get_lost(increff: FarSide, apply: bool, known: int) -> None:
    """The connection ends without an answer, before the effect or after it."""
    await increff.misbehave({"touchpoint": "create-outward-order", "times": 1, "reset": True, "apply": apply})
    with pytest.raises(aiohttp.ClientError):
        await increff.call("create-outward-order")
    assert (await increff.ask("GET", f"/_sandbox/orders/{ORDER}")).status == known
    assert [one["status"] for one in await increff.seen()] == [None]


@pytest.mark.parametrize(
    "fault", [{"touchpoint": "pack-oder"}, {"status": 42}, {"times": -1}, {"delay": 5}, "500"], ids=str
)
async def test_a_misspelt_fault_is_refused(side: FarSide, fault: Any) -> None:
    answer = await side.misbehave(fault)
    assert (answer.status, list(answer.body)) == (400, ["error"])


async def test_a_sandbox_started_again_knows_what_it_knew(tmp_path: Path) -> None:
    """Orders, returns, stock, given numbers and requests are kept; faults are not."""
    calls = {
        "increff": ("create-outward-order", "customer-cancellation", "create-return-order"),
        "marketplace": ("pack-order", "create-manifest", "location-wise-atp-inventory", "consolidated-atp-inventory"),
    }
    for name, touchpoints in calls.items():
        state = tmp_path / name / "state.jsonl"
        async with serving(make(name, state)) as first:
            for touchpoint in touchpoints:
                assert (await first.call(touchpoint)).status == 200
            await first.misbehave({"touchpoint": touchpoints[0], "status": 500})
            known = await everything(first)
        async with serving(make(name, state)) as second:
            assert await everything(second) == known
            assert (await second.call(touchpoints[0])).status == 200


async def test_a_marketplace_that_lost_its_stock_has_lost_it(tmp_path: Path) -> None:
    """On demand, for who wants to see what a resync does; also after a restart."""
    none: dict[str, Any] = {"locations": {}, "consolidated": {}}
    state = tmp_path / "state.jsonl"
    async with serving(make("marketplace", state)) as first:
        for touchpoint in ("location-wise-atp-inventory", "consolidated-atp-inventory"):
            assert (await first.call(touchpoint)).status == 200
        assert (await first.ask("DELETE", "/_sandbox/stock")).body == none
    async with serving(make("marketplace", state)) as second:
        assert (await second.ask("GET", "/_sandbox/stock")).body == none


async def everything(side: FarSide) -> list[Any]:
    paths = (f"/_sandbox/orders/{ORDER}", "/_sandbox/stock", "/_sandbox/requests")
    return [(await side.ask("GET", path)).body for path in paths]


async def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    """A new shipment never gets a code that an earlier one has."""
    codes = []
    for shipment in (1, 2):
        async with serving(make("marketplace", tmp_path / "state.jsonl")) as side:
            answer = await side.call("pack-order", {**sample("pack-order"), "shipmentId": shipment})
            codes.append(answer.body["shipmentCode"])
    assert len(set(codes)) == 2
