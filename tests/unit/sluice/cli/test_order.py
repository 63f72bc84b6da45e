"""`sluice order` tells a person where an order is: state, lines, shipments, facts, deliveries with every attempt."""

from __future__ import annotations

import json
import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import click
import pytest
from click.testing import CliRunner

from sluice.cli.main import main
from sluice.cli.render.order import render

ORDER: dict[str, Any] = {
    "channel": "demo",
    "orderCode": "A-1",
    "state": "PACKED",
    "createdAtMs": 1_700_000_000_000,
    "updatedAtMs": 1_700_000_005_000,
    "lines": [
        {"orderItemCode": "A-1-1", "channelSkuCode": "SHIRT", "ordered": 3, "open": 0, "packed": 2, "cancelled": 1}
    ],
    "shipments": [
        {
            "shipmentId": 48,
            "shipmentCode": "S-1",
            "locationCode": "DXB-WH-01",
            "state": "PACKED",
            "awbNumber": "AWB-9",
            "transporter": "Swift",
            "items": [],
        }
    ],
    "facts": [{"sequence": 1, "name": "order.received", "atMs": 1_700_000_000_000, "orderType": "SO"}],
    "deliveries": [
        {
            "id": "e1.0",
            "touchpoint": "create-outward-order",
            "destination": "increff",
            "status": "retrying",
            "nextAtMs": 1_700_000_009_000,
            "message": None,
            "attempts": [
                {"number": 1, "atMs": 1_700_000_001_000, "tookMs": 12, "status": 500, "error": "server error"},
                {"number": 2, "atMs": 1_700_000_002_000, "tookMs": 3, "status": None, "error": "connection refused"},
            ],
        }
    ],
    "returns": [
        {"returnOrderCode": "R-1", "items": [{"channelSkuCode": "SHIRT", "quantity": 2}], "reason": None},
        {"returnOrderCode": "R-2", "items": [], "reason": "1 of SHIRT cannot be returned"},
    ],
    "reason": None,
}


@contextmanager
def gateway(status: int, body: Any, asked: list[str], kind: str) -> Iterator[str]:
    """A gateway that gives one answer."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class names it
            """Silent: a test's output is its result."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(status: int, body: Any, *arguments: str, kind: str = "application/problem+json") -> tuple[int, str, list[str]]:
    asked: list[str] = []
    with gateway(status, body, asked, kind) as url:
        result = CliRunner().invoke(main, ["order", "--url", url, *arguments])
    return result.exit_code, result.output, [path for path in asked if "/story" not in path]


def test_the_timeline_shows_everything() -> None:
    code, output, asked = run(200, ORDER, "A-1")
    assert code == 0
    assert asked == ["/api/orders/A-1"]
    for part in (
        "Order A-1 of demo: PACKED",
        "A-1-1  SHIRT  3 ordered: 2 packed, 1 cancelled",
        "48 (S-1)  PACKED  from DXB-WH-01",
        "with Swift, AWB AWB-9",
        "order.received  orderType=SO",
        "create-outward-order to increff: retrying, next attempt",
        "500 in 12 ms  server error",
        "connection refused in 3 ms",
        "R-1  2 SHIRT",
        "R-2  no units  (refused: 1 of SHIRT cannot be returned)",
    ):
        assert part in output


def test_what_is_only_expected_shows_what_came_early() -> None:
    parked = {"event": "acknowledge", "eventId": "e1", "untilMs": 1_750_086_400_000}
    document = {"channel": "demo", "orderCode": "A-1", "state": "EXPECTED", "adopted": False, "parked": [parked]}
    _, output, _ = run(200, document, "A-1")
    for part in ("Order A-1 of demo: EXPECTED", "Came early", "acknowledge  kept until 2025-06-1"):
        assert part in output


def test_json_is_the_document() -> None:
    code, output, _ = run(200, ORDER, "A-1", "--json")
    assert code == 0
    assert json.loads(output) == ORDER


def test_codes_are_escaped() -> None:
    _, _, asked = run(200, ORDER, "A/1 x", "--channel", "de mo")
    assert asked == ["/api/orders/A%2F1%20x?channel=de+mo"]


def test_an_unknown_order_is_no_error_of_use() -> None:
    code, output, asked = run(404, {"status": 404, "code": "UNKNOWN"}, "A-2", "--channel", "demo")
    assert code == 1
    assert output == "no order or return A-2 of demo\n"
    assert asked == ["/api/orders/A-2?channel=demo", "/api/returns/A-2?channel=demo"]


REFUSED_CALLS = [
    {
        "touchpoint": "create-outward-order",
        "status": 400,
        "code": "BAD_DATA",
        "reason": "Input validation failed:\n[onHold: must be true or false]",
        "count": 3,
        "firstAtMs": 1_750_000_000_000,
        "lastAtMs": 1_750_000_001_000,
        "eventId": "e1",
        "source": "/gateway",
        "address": "10.0.0.1",
    },
    {
        "touchpoint": "pack-order",
        "status": None,
        "code": "ORDER_UNKNOWN",
        "reason": "",
        "count": 1,
        "firstAtMs": 1_750_000_002_000,
        "lastAtMs": 1_750_000_002_000,
        "eventId": "e2",
        "source": "/wms\x1b[2J",
        "address": None,
    },
    {
        "touchpoint": "create-outward-order",
        "status": 400,
        "code": "CONFLICT",
        "reason": "",
        "count": 1,
        "firstAtMs": 1_750_000_003_000,
        "lastAtMs": 1_750_000_003_000,
        "eventId": "e3",
        "source": "/gateway",
        "address": None,
    },
]
REFUSED_SHOWN = (
    "Refused calls",
    "create-outward-order of 10.0.0.1: 400 BAD_DATA, 3 times since 2025-06-1",
    "(e1)\n    Input validation failed: [onHold: must be true or false]\n",
    "pack-order of /wms?[2J: ORDER_UNKNOWN  (e2)",
    "create-outward-order over HTTP: 400 CONFLICT  (e3)",
)


def test_an_unknown_order_shows_its_refused_calls() -> None:
    refusal = {"status": 404, "code": "UNKNOWN", "detail": "no", "refusedCalls": REFUSED_CALLS}
    code, output, asked = run(404, refusal, "A-2")
    assert (code, len(asked)) == (1, 2)
    for part in ("no order or return A-2\n", *REFUSED_SHOWN):
        assert part in output
    code, output, _ = run(404, refusal, "A-2", "--json")
    assert (code, json.loads(output.partition("\n")[2])) == (1, {"refusedCalls": REFUSED_CALLS})


def test_an_order_shows_its_refused_calls() -> None:
    code, output, _ = run(200, {**ORDER, "refusedCalls": REFUSED_CALLS}, "A-1")
    assert code == 0
    for part in REFUSED_SHOWN:
        assert part in output


def test_another_server_is_not_taken_for_sluice() -> None:
    code, output, _ = run(404, {"error": "not found"}, "A-2", kind="application/json")
    assert code == 2
    assert "is not Sluice; give --url" in output


def test_an_unknown_channel_is_told() -> None:
    refusal = {"status": 404, "code": "CHANNEL_UNKNOWN", "detail": "There is no such channel: x"}
    code, output, _ = run(404, refusal, "A-2", "--channel", "x")
    assert code == 2
    assert "There is no such channel: x" in output


def test_a_return_is_shown() -> None:
    item = {"itemCode": "R-1-1", "channelSkuCode": "SHIRT", "cancelled": False, "qcStatus": "PASS"}
    document = {
        "channel": "demo",
        "returnOrderCode": "R-1",
        "forwardOrderCode": "A-1",
        "state": "ACKNOWLEDGED",
        "trackingCode": "AWB-7",
        "transporter": "Swift",
        "quantities": {"expected": 1, "cancelled": 0, "passed": 1, "failed": 0},
        "items": [item],
    }
    _, output, _ = run(200, document, "R-1")
    for part in (
        "Return R-1 of demo: ACKNOWLEDGED",
        "with Swift, AWB AWB-7",
        "1 expected, 1 passed",
        "R-1-1  SHIRT  PASS",
    ):
        assert part in output


def test_a_refusal_is_told_in_the_gateways_words() -> None:
    code, output, _ = run(400, {"title": "Bad Request", "detail": "which channel?"}, "A-1")
    assert code == 2
    assert "answered 400: which channel?" in output


def test_facts_that_are_easily_misread_are_shown_in_words() -> None:
    noted = {"touchpoint": "acknowledgement", "by": "pack-order", "verdict": "REFUSED", "reason": "it is CANCELLED"}
    names = ("hold-crossed", "notice-overtaken", "call-not-applied")
    shown = render({"facts": [{"sequence": n, "name": name, "atMs": 0, **noted} for n, name in enumerate(names, 1)]})
    assert "hold-crossed  Increff may have the hold" in shown
    assert "notice-overtaken  pack-order was sent before acknowledgement, which keeps failing" in shown
    assert "acknowledgement was answered as taken and was not applied: REFUSED, it is CANCELLED" in shown


HOLDS = (
    "it holds its lane; to try it again: sluice deliveries retry --channel=demo --wait A-1 e1.0",
    "to go on without it: sluice deliveries skip --channel=demo --wait A-1 e1.0",
)
RESUBMIT = "to send it again: sluice orders resubmit --channel=demo --delivery=e1.0 A-1"


@pytest.mark.parametrize(
    ("touchpoint", "status", "commands"),
    [
        ("seller-cancellation", "dead", HOLDS),
        ("of-a-later-version", "dead", HOLDS),
        ("create-outward-order", "refused", (RESUBMIT,)),
        ("seller-cancellation", "refused", (RESUBMIT,)),
        ("acknowledgement", "dead", ("to send it again: sluice redrive --channel=demo --order=A-1",)),
        ("pack-order", "refused", ()),
        ("seller-cancellation", "delivered", ()),
        ("seller-cancellation", "retrying", ()),
        ("create-outward-order", "resubmitted", ()),
    ],
)
def test_a_delivery_shows_the_commands_that_decide_about_it(
    touchpoint: str, status: str, commands: tuple[str, ...]
) -> None:
    delivery = {**ORDER["deliveries"][0], "touchpoint": touchpoint, "status": status, "nextAtMs": None}
    shown = render({**ORDER, "deliveries": [delivery]}).splitlines()
    assert tuple(line.strip() for line in shown if "sluice " in line) == commands
    for command in commands:
        typed = shlex.split(command.partition("sluice ")[2])
        assert takes(main, ["sluice", *typed]), "the command line takes it as it is"


def takes(command: click.Command, typed: list[str]) -> bool:
    """Whether the command line takes these words. Raises UsageError."""
    name, *arguments = typed
    context = click.Context(command, info_name=name)
    if not isinstance(command, click.Group):
        return command.make_context(name, arguments, resilient_parsing=False) is not None
    within = command.get_command(context, arguments[0])
    return within is not None and takes(within, arguments)


def test_a_code_of_any_characters_is_typed_so_that_a_shell_takes_it() -> None:
    delivery = {**ORDER["deliveries"][0], "touchpoint": "seller-cancellation", "status": "dead"}
    shown = render({**ORDER, "orderCode": "-O 1;rm", "channel": "de mo", "deliveries": [delivery]})
    assert "sluice deliveries retry '--channel=de mo' --wait -- '-O 1;rm' e1.0\n" in shown
    returned = {"returnOrderCode": "R-1", "forwardOrderCode": "A-1", "channel": "demo", "deliveries": [delivery]}
    assert "sluice deliveries skip --channel=demo --wait R-1 e1.0" in render(returned)
