"""`sluice inventory` shows what the gateway tells in short tables, and asks for what it is told to ask."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

import sluice.cli.steps.two_steps
import sluice.cli.stock.commands
from sluice.cli.main import main
from sluice.cli.render.stock import render_control
from tests.unit.sluice.cli.test_redrive import YES, preview
from topics.api.stock_operations import (
    AskDocument,
    ChannelStockDocument,
    ControlDocument,
    LocationDocument,
    ReconcileResult,
    RefusedSkuDocument,
    RefusedSkusDocument,
    StockStatusDocument,
)
from topics.stock.status import ResyncProgress

AT_MS = 1_764_100_000_000
Answers = dict[tuple[str, str], Any]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """By method and path."""
    told: Answers = {}

    def ask(_url: str, method: str, path: str, _body: Any = None, *, wait_s: int = 0) -> Any:
        return told[method, path]

    monkeypatch.setattr(sluice.cli.stock.commands, "ask", ask)
    monkeypatch.setattr(sluice.cli.steps.two_steps, "ask", ask)
    return told


def run(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["inventory", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def numbers(**changes: Any) -> dict[str, Any]:
    none = {"paused": False, "dirty": 0, "oldestAgeMs": None, "sentPerS": 0.0, "changes": 0, "sent": 0}
    return {**none, "conflation": None, "refused": 0, "resync": None, **changes}


def test_the_status_is_a_line_for_each_channel_and_location(answers: Answers) -> None:
    going = ResyncProgress(id="res_1", told=200, total=1_000)
    busy = LocationDocument(
        location="DXB-WH-01",
        atMs=AT_MS,
        **numbers(dirty=1_204, oldestAgeMs=2_340, sentPerS=35.04, conflation=3.1, refused=2, resync=going),
    )
    held = LocationDocument(location="~ALL", atMs=AT_MS, **numbers(paused=True, dirty=7, oldestAgeMs=7_200_000))
    demo = ChannelStockDocument(
        channel="demo",
        left=3,
        locations=[busy, held],
        **numbers(dirty=1_211, oldestAgeMs=600_000, sentPerS=35.04, conflation=3.1, refused=2, resync=going),
    )
    shop = ChannelStockDocument(channel="shop", left=0, locations=[], **numbers())
    answers["GET", "/api/inventory/status"] = StockStatusDocument(channels=[demo, shop]).model_dump()
    assert run("status").splitlines() == [
        "              dirty  oldest  sent/s  changes per send  refused",
        "demo           1211  10 min    35.0              3.10        2  resync 200 of 1000",
        "  DXB-WH-01    1204   2.3 s    35.0              3.10        2  resync 200 of 1000",
        "  ~ALL            7   2.0 h     0.0                 -        0  paused",
        "  and 3 more",
        "shop              0       -     0.0                 -        0",
    ]
    answers["GET", "/api/inventory/status/a%2Fb"] = {"channels": []}
    assert run("status", "a/b", "--json") == '{\n  "channels": []\n}\n'


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"endedMs": None}, "reconciling, 9 compared"),
        ({"failed": True}, "reconcile failed: the channel does not say what it has"),
        ({}, "reconciled: 9 as they should be"),
        ({"missing": 2, "stale": 1, "repaired": 3}, "reconciled: 2 missing, 1 stale of 9; 3 sent again"),
        ({"extra": 1, "persisting": 1}, "reconciled: 1 extra of 9; 0 sent again, 1 persist"),
    ],
)
def test_the_status_says_what_came_of_the_last_reconciliation(
    answers: Answers, changes: dict[str, Any], said: str
) -> None:
    counts = {"compared": 9, "missing": 0, "extra": 0, "stale": 0, "refused": 0, "repaired": 0, "persisting": 0}
    times = {"failed": False, "startedMs": 1, "endedMs": 2}
    result = ReconcileResult.model_validate({"id": "rec_1", **counts, **times, **changes})
    demo = ChannelStockDocument(channel="demo", left=0, locations=[], **numbers(reconcile=result))
    answers["GET", "/api/inventory/status"] = StockStatusDocument(channels=[demo]).model_dump()
    assert run("status").splitlines()[1].endswith(f"0  {said}")


def refusal(sku: str, status: int | None = 200) -> RefusedSkuDocument:
    reason = "failure-list" if status == 200 else "refused"
    return RefusedSkuDocument(
        location="L1", channelSkuCode=sku, reason=reason, status=status, sinceMs=AT_MS, failures=5
    )


def test_refused_skus_are_named_with_their_reason(answers: Answers) -> None:
    page = RefusedSkusDocument(channel="demo", total=3, refused=[refusal("A"), refusal("B-LONG", 400)], next="/next")
    answers["GET", "/api/inventory/refused/demo"] = page.model_dump()
    assert run("refused", "demo").splitlines() == [
        "location  SKU     reason               failures  since",
        "L1        A       in failureList, 200         5  2025-11-25 19:46:40Z",
        "L1        B-LONG  call refused, 400           5  2025-11-25 19:46:40Z",
        "2 of 3; --all shows all",
    ]
    last = RefusedSkusDocument(channel="demo", total=3, refused=[refusal("C", None)], next=None)
    answers["GET", "/api/inventory/refused/demo?limit=1000"] = page.model_dump()
    answers["GET", "/next"] = last.model_dump()
    assert run("refused", "demo", "--all").splitlines()[-1].split() == [
        *("L1", "C", "call", "refused", "5", "2025-11-25", "19:46:40Z")
    ]
    none = RefusedSkusDocument(channel="demo", total=0, refused=[], next=None)
    answers["GET", "/api/inventory/refused/demo/L%201"] = none.model_dump()
    assert run("refused", "demo", "L 1") == "demo refuses nothing\n"


@pytest.mark.parametrize(
    ("arguments", "paused", "said"),
    [
        (("pause", "demo"), True, "demo: paused; nothing is sent"),
        (("resume", "demo", "L1"), False, "demo L1: not paused"),
        (("resync", "demo"), False, "demo: resync res_1 asked for at 2025-11-25 19:46:40Z"),
        (
            ("reconcile", "demo", "L1"),
            True,
            "demo L1: reconcile rec_1 asked for at 2025-11-25 19:46:40Z; it waits, because it is paused",
        ),
    ],
)
def test_what_was_asked_is_said(answers: Answers, arguments: tuple[str, ...], paused: bool, said: str) -> None:
    _, channel, *location = arguments
    told = ControlDocument(
        channel=channel,
        location=location[0] if location else None,
        paused=paused,
        resync=AskDocument(id="res_1", atMs=AT_MS),
        reconcile=AskDocument(id="rec_1", atMs=AT_MS),
    )
    place = "/".join(arguments)
    answers["POST", f"/api/inventory/preview/{place}"] = preview()
    answers["POST", f"/api/inventory/{place}"] = told.model_dump()
    assert run(*arguments, *YES).splitlines()[-1] == said


@pytest.mark.parametrize(
    ("paused", "done", "said"),
    [
        (True, True, "paused; nothing is sent; done"),
        (True, False, "paused; not done yet: delivery has not said so"),
        (False, False, "not paused; not done yet: delivery has not said so"),
    ],
)
def test_a_pause_that_delivery_has_not_done_is_not_said_to_stop_stock(paused: bool, done: bool, said: str) -> None:
    told = ControlDocument(channel="demo", location=None, paused=paused, resync=None, reconcile=None, done=done)
    assert render_control("pause" if paused else "resume", told.model_dump()) == f"demo: {said}"


@pytest.mark.parametrize(("done", "code"), [(True, 0), (False, 1)])
def test_an_effect_that_was_waited_for_and_did_not_come_is_no_success(
    done: bool, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = ControlDocument(channel="demo", location=None, paused=True, resync=None, reconcile=None, done=done)
    given = [preview(), told.model_dump()]
    monkeypatch.setattr(sluice.cli.steps.two_steps, "ask", lambda *_asked, **_more: given.pop(0))
    assert CliRunner().invoke(main, ["inventory", "pause", "demo", "--wait", *YES]).exit_code == code


RESUME = "channel demo is paused: `sluice inventory resume demo`"


@pytest.mark.parametrize(
    ("action", "done", "said"),
    [
        ("resume", None, f"not paused itself; it waits, because {RESUME}"),
        ("resume", True, f"not paused itself; it waits, because {RESUME}"),
        (
            "resume",
            False,
            f"not paused itself; it waits, because {RESUME}; not done yet: delivery has not said so",
        ),
        ("resync", None, f"resync res_1 asked for at 2025-11-25 19:46:40Z; it waits, because {RESUME}"),
    ],
)
def test_a_location_of_a_paused_channel_is_not_said_to_go_on(action: str, done: bool | None, said: str) -> None:
    resync = AskDocument(id="res_1", atMs=AT_MS)
    told = ControlDocument(
        channel="demo", location="L1", paused=False, channelPaused=True, resync=resync, reconcile=None, done=done
    )
    assert render_control(action, told.model_dump()) == f"demo L1: {said}"


def test_the_group_says_how_the_role_of_its_name_starts() -> None:
    told = run("--help")
    assert "--admin-port" not in told
    assert "resync" in told
    assert "`sluice run inventory`" in " ".join(told.split())
