"""One order in its caller's own tracing: every step of Sluice below the caller's span, links where time passes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sluice.dev.local.ports import free_ports
from tests.e2e.signals.collector import Collector, SeenSpan, collector
from tests.e2e.stack import MARKETPLACE_HEADERS, Stack, create_order

Code = Callable[[], str]
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CREATE = "create-outward-order"


@pytest.fixture(scope="module")
def collector_port() -> int:
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, collector_port: int) -> Iterator[Stack]:
    environment = {"SLUICE_TRACES_URL": f"http://127.0.0.1:{collector_port}", "SLUICE_TRACES_RATIO": "0"}
    started = Stack(tmp_path_factory.mktemp("up") / "data", environment)
    started.start()
    yield started
    started.close()


def lines_of(stack: Stack, order: str) -> list[dict[str, object]]:
    logs: list[Path] = sorted((stack.data_dir / "logs").glob("*.log"))
    lines = [json.loads(line) for log in logs for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("subject") == order]


async def placed(stack: Stack, order: str, flags: str = "01") -> None:
    headers = {**MARKETPLACE_HEADERS, "traceparent": f"00-{TRACE}-{SPAN}-{flags}"}
    assert (await stack.as_marketplace("POST", "/orders/outward", create_order(order), headers=headers)).status == 200


def named(spans: list[SeenSpan], service: str, name: str) -> SeenSpan:
    found = [one for one in spans if (one.service, one.name) == (service, name)]
    assert found, [(one.service, one.name) for one in spans]
    return found[0]


async def test_an_order_is_in_one_trace_and_a_retry_is_linked(stack: Stack, code: Code, collector_port: int) -> None:
    order = code()
    async with collector(collector_port) as found:
        await stack.misbehave("increff", {"touchpoint": CREATE, "status": 503, "times": 1})
        await placed(stack, order)
        await stack.reaches(order, "SUBMITTED")

        async def is_whole() -> bool:
            retried = [one for one in found.spans if one.attributes.get("sluice.attempt") == 2]
            return bool(retried) and any(one.trace == retried[0].trace for one in found.spans if one.kind == 5)

        await stack.eventually(is_whole, lambda: f"{[(one.service, one.name) for one in found.spans]}")
    assert_is_whole(found, order)
    sent = [request["headers"] for request in await stack.seen("increff", CREATE, order)]
    attempts = [one for one in found.spans if one.service == "sluice-delivery" and one.kind == 3]
    assert [{name.lower(): value for name, value in one.items()}["traceparent"] for one in sent] == [
        f"00-{one.trace}-{one.id}-01" for one in sorted(attempts, key=lambda one: one.started)
    ]
    assert {line["trace_id"] for line in lines_of(stack, order) if line["touchpoint"] == CREATE} == {TRACE}


def assert_is_whole(found: Collector, order: str) -> None:
    spans = found.of_trace(TRACE)
    request = named(spans, "sluice-gateway", "POST /assure-magic2/orders/outward")
    decision = named(spans, "sluice-orders", "process sluice.orders.commands.v1")
    intake = named(spans, "sluice-delivery", "process sluice.deliveries.requests.v1")
    attempt = named(spans, "sluice-delivery", "POST /orders/outward")
    told = [one for one in spans if one.attributes.get("sluice.kind") == "sluice.command.delivery-outcome"]
    assert [request.parent, decision.parent, intake.parent, attempt.parent] == [
        *(SPAN, request.id, decision.id, decision.id)
    ]
    assert [one.parent for one in told] == [attempt.id]
    assert request.started <= decision.started <= attempt.started
    assert (request.attributes["http.response.status_code"], request.attributes["sluice.verdict"]) == (200, "APPLIED")
    assert {one.attributes["sluice.subject"] for one in spans} == {order}
    assert (attempt.attributes["http.response.status_code"], attempt.failed) == (503, True)
    assert attempt.attributes["server.address"] == "127.0.0.1"
    (retry,) = [one for one in found.spans if one.attributes.get("sluice.attempt") == 2]
    assert (retry.trace != TRACE, retry.parent, retry.links) == (True, "", (TRACE,))
    commits = [one for one in found.spans if one.name == "commit orders"]
    assert TRACE in {link for one in commits for link in one.links}
    assert {one.parent for one in commits} == {""}


async def test_a_caller_who_wants_no_spans_gets_none_and_his_trace_goes_on(
    stack: Stack, code: Code, collector_port: int
) -> None:
    order = code()
    await placed(stack, order, flags="00")
    await stack.reaches(order, "SUBMITTED")
    (request,) = await stack.seen("increff", CREATE, order)
    headers = {name.lower(): value for name, value in request["headers"].items()}
    assert headers["traceparent"] == f"00-{TRACE}-{SPAN}-00"


async def test_without_a_collector_orders_go_on_and_the_log_says_it_once(
    stack: Stack, code: Code, collector_port: int
) -> None:
    """The collector of the first test is gone. The spans of these orders are dropped, in each role."""

    def told(event: str) -> list[str]:
        logs = sorted((stack.data_dir / "logs").glob("*.log"))
        return [log.stem for log in logs for line in log.read_text().splitlines() if f'"event":"{event}"' in line]

    for _ in range(3):
        order = code()
        await placed(stack, order)
        await stack.reaches(order, "SUBMITTED")

    async def are_away() -> bool:
        return {"gateway", "orders", "delivery"} <= set(told("traces-away"))

    await stack.eventually(are_away, lambda: f"{told('traces-away')}")
    assert len(told("traces-away")) == len(set(told("traces-away")))
    async with collector(collector_port) as found:

        async def are_back() -> bool:
            await placed(stack, code())
            return {"gateway", "orders", "delivery"} <= set(told("traces-back")) and bool(found.spans)

        await stack.eventually(are_back, lambda: f"{told('traces-back')}", every_s=0.5)
    assert stack.stop() == 0
