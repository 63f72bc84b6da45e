"""Where is order X? Every call that was refused says so, in the order's history and in the log, whoever asks."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.stack import MARKETPLACE_HEADERS, Answer, Stack, create_order, pack

Code = Callable[[], str]


async def refused_calls(stack: Stack, code: str, kind: str = "orders", *, calls: int = 1) -> tuple[Answer, list[Any]]:
    """What the API answers about a code, once so many refused calls are known of it."""
    found: list[Answer] = []

    async def known() -> bool:
        found[:] = [await stack.call("GET", f"{stack.admin_url}/api/{kind}/{code}", params={"channel": "demo"})]
        return sum(int(call["count"]) for call in found[0].body.get("refusedCalls") or ()) >= calls

    await stack.eventually(known, lambda: f"{calls} refused calls of {code}, but there is {found}")
    return found[0], found[0].body["refusedCalls"]


async def command(*arguments: str) -> tuple[int | None, str]:
    """The command `sluice`, as an operator types it: its exit code and what it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sluice", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


def log_lines(stack: Stack, subject: str) -> list[dict[str, Any]]:
    text = (stack.data_dir / "logs" / "gateway.log").read_text(errors="replace")
    lines = [json.loads(line) for line in text.splitlines() if '"event":"request"' in line]
    return [line for line in lines if line["subject"] == subject and not line["touchpoint"].startswith("api-")]


async def test_an_order_whose_create_was_refused_says_so_and_goes_on_as_any_other(stack: Stack, code: Code) -> None:
    order = code()
    for _ in range(3):
        answer = await stack.as_marketplace("POST", "/orders/outward", create_order(order, onHold="perhaps"))
        assert answer.status == 400, answer
    unknown, _ = await refused_calls(stack, order, calls=3)
    assert (unknown.status, unknown.body["code"]) == (404, "UNKNOWN")
    assert "its Create Outward Order was refused with 400 BAD_DATA at 20" in unknown.body["detail"]
    assert "onHold" in unknown.body["detail"]
    (call,) = unknown.body["refusedCalls"]
    assert (call["touchpoint"], call["source"], call["address"]) == ("create-outward-order", "/gateway", "127.0.0.1")
    assert call["reason"].endswith(answer.body["description"])

    async def written() -> bool:
        return len(log_lines(stack, order)) == 3

    await stack.eventually(written, "three lines in the log")
    lines = log_lines(stack, order)
    assert [(line["status"], line["code"], line["channel"], line["reason"]) for line in lines] == [
        (400, "BAD_DATA", "demo", call["reason"])
    ] * 3
    assert call["eventId"] == lines[-1]["event_id"]

    exit_code, said = await command("order", order, "--url", stack.admin_url)
    assert exit_code == 1
    assert f"no order or return {order}" in said
    assert "create-outward-order of 127.0.0.1: 400 BAD_DATA" in said
    assert "onHold" in said

    early = await stack.as_increff("POST", "/orders/pack", pack(order, 1))
    assert early.status == 404, early
    assert (await stack.as_marketplace("POST", "/orders/outward", create_order(order))).status == 200
    changed = await stack.as_marketplace("POST", "/orders/outward", create_order(order, quantity=3))
    assert (changed.status, changed.body["code"]) == (400, "CONFLICT")
    known, calls = await refused_calls(stack, order, calls=5)
    assert known.status == 200
    assert known.body["state"] in ("RECEIVED", "SUBMITTED")
    assert [(one["touchpoint"], one["status"], one["code"]) for one in calls] == [
        ("create-outward-order", 400, "BAD_DATA"),
        ("pack-order", 404, "ORDER_UNKNOWN"),
        ("create-outward-order", 400, "CONFLICT"),
    ]
    assert calls[-1]["reason"] == changed.body["message"]
    exit_code, said = await command("order", order, "--url", stack.admin_url)
    assert exit_code == 0
    assert "Refused calls" in said
    assert "400 CONFLICT" in said


@pytest.mark.parametrize(
    ("side", "method", "path", "body", "kind", "touchpoint"),
    [
        ("marketplace", "PUT", "/orders/CODE", {"onHold": {}}, "orders", "update-order-properties"),
        ("marketplace", "PUT", "/orders/CODE/cancel", b"no JSON", "orders", "customer-cancellation"),
        ("marketplace", "POST", "/return/return-orders", {"returnOrderCode": "CODE"}, "returns", "create-return-order"),
        ("increff", "POST", "/orders/pack", {"orderCode": "CODE", "shipmentId": "?"}, "orders", "pack-order"),
        ("increff", "POST", "/handover", {"handoverItems": [{"orderCode": "CODE"}]}, "orders", "handover-notification"),
        ("increff", "POST", "/manifest", {"manifestItems": [{"orderCode": "CODE"}]}, "orders", "create-manifest"),
    ],
)
async def test_a_refused_call_of_any_touchpoint_is_found_under_its_code(
    stack: Stack, code: Code, side: str, method: str, path: str, body: Any, kind: str, touchpoint: str
) -> None:
    order = code()
    raw = body if isinstance(body, bytes) else json.dumps(body).replace("CODE", order).encode()
    answer = await getattr(stack, f"as_{side}")(method, path.replace("CODE", order), raw=raw)
    assert answer.status == 400, answer
    _, (call,) = await refused_calls(stack, order, kind)
    assert (call["touchpoint"], call["status"], call["code"]) == (touchpoint, 400, "BAD_DATA")


async def test_a_stranger_leaves_no_trace_at_an_order(stack: Stack, code: Code) -> None:
    order, other = code(), code()
    wrong = {**MARKETPLACE_HEADERS, "authPassword": "wrong"}
    body = create_order(order, onHold="perhaps")
    assert (await stack.as_marketplace("POST", "/orders/outward", body, headers=wrong)).status == 401
    await stack.as_marketplace("POST", "/orders/outward", create_order(other, onHold="perhaps"))
    await refused_calls(stack, other)
    answer = await stack.call("GET", f"{stack.admin_url}/api/orders/{order}", params={"channel": "demo"})
    assert (answer.status, "refusedCalls" in answer.body) == (404, False)
    assert log_lines(stack, order) == []


async def test_refused_calls_outlive_the_process_that_noted_them(stack: Stack, code: Code) -> None:
    order = code()
    await stack.as_marketplace("POST", "/orders/outward", create_order(order, onHold="perhaps"))
    _, before = await refused_calls(stack, order)
    pid = stack.kill("orders")
    await stack.as_marketplace("POST", "/orders/outward", create_order(order, onHold="perhaps"))
    await stack.restarted("orders", pid)
    answer, (after,) = await refused_calls(stack, order, calls=2)
    assert answer.status == 404
    assert (after["count"], after["firstAtMs"]) == (2, before[0]["firstAtMs"])
