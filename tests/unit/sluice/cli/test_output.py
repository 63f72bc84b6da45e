"""Times are in UTC, with `Z`, in every command; with `--local` in the zone of the machine, with its offset."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import click
import pytest
from click.testing import CliRunner

import sluice.cli.lists.order
import sluice.cli.steps.two_steps
from sluice.cli.main import main
from sluice.cli.output import moment
from tests.unit.sluice.cli.test_redrive import YES, preview
from topics.api.stock_operations import AskDocument, ControlDocument

AT_MS = 1_764_100_000_123


@pytest.fixture
def _kolkata(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def _order(url: str, code: str, channel: str | None) -> dict[str, Any]:
    return {
        "orderCode": code,
        "channel": channel or url,
        "state": "CREATED",
        "createdAtMs": AT_MS,
        "updatedAtMs": AT_MS,
    }


def _control(_url: str, _method: str, path: str, *_more: Any, **_named: Any) -> Any:
    return preview() if "/preview/" in path else _controlled()


def _controlled() -> Any:
    ask = AskDocument(id="res_1", atMs=AT_MS)
    return json.loads(
        ControlDocument(channel="demo", location=None, paused=False, resync=ask, reconcile=ask).model_dump_json()
    )


@pytest.mark.usefixtures("_kolkata")
@pytest.mark.parametrize(
    ("command", "utc", "local"),
    [
        (["order", "A"], "received 2025-11-25 19:46:40.123Z", "received 2025-11-26 01:16:40.123+05:30"),
        (["inventory", "resync", "demo", *YES], "at 2025-11-25 19:46:40Z", "at 2025-11-26 01:16:40+05:30"),
    ],
    ids=["order", "inventory"],
)
def test_times_are_in_utc_or_local_on_request(
    command: list[str], utc: str, local: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sluice.cli.lists.order, "fetch", _order)
    monkeypatch.setattr(sluice.cli.steps.two_steps, "ask", _control)
    assert utc in CliRunner().invoke(main, command).output
    assert local in CliRunner().invoke(main, [*command, "--local"]).output
    assert utc in CliRunner().invoke(main, command).output


def test_a_time_outside_of_a_command_is_in_utc() -> None:
    assert moment(AT_MS) == "2025-11-25 19:46:40Z"
    assert moment(AT_MS, exact=True) == "2025-11-25 19:46:40.123Z"


def test_every_command_that_asks_a_gateway_may_show_local_times() -> None:
    def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
        for name, one in group.commands.items():
            if isinstance(one, click.Group):
                yield from commands(one, f"{path} {name}")
            else:
                yield f"{path} {name}".strip(), one

    def has(one: click.Command, name: str) -> bool:
        return any(name in each.opts for each in one.params)

    asking = {path for path, one in commands(main) if has(one, "--url") and has(one, "--json")} - {"doctor"}
    assert {"order", "redrive", "inventory status", "subscriptions list"} <= asking
    assert {path for path, one in commands(main) if has(one, "--local")} == asking
