"""Each command asks for exactly the code that it was given, whatever characters it has."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from sluice.cli.main import main
from tests.support.paths.odd_codes import CODES
from tests.support.paths.raw_http import raw_server
from tests.unit.sluice.cli.test_redrive import preview
from topics.paths.patterns import PathPattern

COMMANDS = [
    (["order", "--", "CODE"], "/api/orders/{code}/story"),
    (["orders", "resubmit", "--", "CODE"], "/api/orders/{code}/resubmit/preview"),
    (["deliveries", "retry", "--", "CODE", "e.0"], "/api/orders/{code}/deliveries/e.0/retry/preview"),
    (["inventory", "status", "--", "CODE"], "/api/inventory/status/{code}"),
    (["inventory", "pause", "--", "demo", "CODE"], "/api/inventory/preview/pause/demo/{code}"),
    (["inventory", "refused", "--", "demo", "CODE"], "/api/inventory/refused/demo/{code}"),
    (["inventory", "snapshots", "--", "demo", "CODE"], "/api/inventory/snapshots/demo/{code}"),
    (["subscriptions", "show", "--", "CODE"], "/api/subscriptions/{code}"),
    (["orders", "resubmit", "--", "CODE"], "/api/orders/{code}/resubmit/preview"),
    (["orders", "resubmit", "--stop=CODE"], "/api/resubmissions/{code}"),
    (["deliveries", "skip", "--", "CODE", "e.0"], "/api/orders/{code}/deliveries/e.0/skip/preview"),
    (["deliveries", "retry", "--", "O-1", "CODE"], "/api/orders/O-1/deliveries/{code}/retry/preview"),
    (["redrive", "--stop=CODE"], "/api/redrives/{code}"),
]


@pytest.mark.parametrize(("command", "path"), COMMANDS, ids=lambda value: value if isinstance(value, str) else value[0])
async def test_a_command_asks_for_the_code_that_it_was_given(
    command: list[str], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = PathPattern(path)
    async with raw_server(orjson.dumps(preview(token=None))) as gateway:
        monkeypatch.setenv("SLUICE_URL", gateway.url)

        def run(code: str) -> Any:
            return CliRunner().invoke(main, [word.replace("CODE", code) for word in command])

        for code in CODES:
            gateway.requests.clear()
            done = await asyncio.to_thread(run, code)
            assert gateway.requests, done.output
            target = gateway.requests[0][1].partition("?")[0]
            assert pattern.match(target) == {"code": code}, target
