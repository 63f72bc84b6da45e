"""`sluice redrive` shows what it would send, waits for the end, and stops what it began when it is interrupted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

import sluice.cli.redrive
import sluice.cli.steps.two_steps
from sluice.cli.main import main
from sluice.cli.steps.two_steps import HOW_TO
from topics.api.actions import PreviewDocument, PreviewGroup, PreviewSample
from topics.api.redrives import RedriveAsked, RedriveDocument, RedriveGroup

Asked = list[tuple[str, str, Any]]
YES = ("--yes", "--reason", "mended")


def preview(count: int = 1, **more: Any) -> dict[str, Any]:
    document = {
        "action": "redrive",
        "count": count,
        "farSide": "the same once more",
        "before": {},
        "after": {},
        "groups": [PreviewGroup(name="increff 503", count=count)],
        "samples": [PreviewSample(id="e1.0", code="O-1", touchpoint="pack-order", what="cannot pack")],
        "token": "t",
        "untilMs": 1_750_000_000_000,
        **more,
    }
    return PreviewDocument.model_validate(document).model_dump(mode="json")


def told(state: str, **counts: Any) -> dict[str, Any]:
    numbers = {"found": 3, "left": 0, "more": False, "sent": 0, "delivered": 0, "deadAgain": 0, "notTaken": 0}
    asked = RedriveAsked()
    group = RedriveGroup(destination="increff", reason="503", count=3)
    document = {"id": "rdv_1", "state": state, "asked": asked, "createdMs": 1, "groups": [group], "onTheirWay": 0}
    made = RedriveDocument.model_validate({**document, **numbers, "message": "", **counts})
    return made.model_dump(mode="json")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The calls of the API; each answers what follows in `answers`."""
    calls: Asked = []
    answers = [told("searching"), told("sending"), told("done", sent=3, delivered=2, deadAgain=1)]

    def ask(_url: str, method: str, path: str, body: Any = None, **_more: Any) -> Any:
        calls.append((method, path, body))
        if path.endswith("/preview"):
            return preview(count=3, left=2)
        return told("stopped", sent=1, onTheirWay=1) if method == "DELETE" else answers.pop(0)

    for module in (sluice.cli.redrive, sluice.cli.gateway_client, sluice.cli.steps.two_steps):
        monkeypatch.setattr(module, "ask", ask)
    monkeypatch.setattr(sluice.cli.gateway_client, "POLL_S", 0)
    return calls


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["redrive", *arguments])
    return done.exit_code, done.output


PREVIEW_LINES = [
    "       3  increff 503",
    "redrive: 3, and 2 that cannot be done",
    "    O-1  pack-order  e1.0  cannot pack",
    "the far side: the same once more",
    "holds until 2025-06-15 15:06:40Z",
]


def test_without_yes_it_shows_and_does_nothing(asked: Asked) -> None:
    code, output = run("--order", "A", "--order", "B", "--failure", "503")
    assert (code, output.splitlines()) == (0, [*PREVIEW_LINES, HOW_TO])
    assert asked == [("POST", "/api/redrives/preview", {"orders": ("A", "B"), "failure": "503"})]


def test_with_yes_it_acts_on_what_it_showed_and_waits_for_the_end(asked: Asked) -> None:
    code, output = run(*YES, "--destination", "increff")
    assert (code, output.splitlines()[-1]) == (0, "rdv_1 done: 3 sent, 2 delivered, 1 dead again, 0 not taken")
    assert output.splitlines()[:5] == PREVIEW_LINES
    assert asked == [
        ("POST", "/api/redrives/preview", {"destination": "increff"}),
        ("POST", "/api/redrives", {"token": "t", "reason": "mended"}),
        ("GET", "/api/redrives/rdv_1", None),
        ("GET", "/api/redrives/rdv_1", None),
    ]


@pytest.mark.parametrize(("typed", "acts"), [("y\nmended\n", True), ("n\n", False)])
def test_on_a_terminal_it_asks_and_asks_why(
    asked: Asked, typed: str, acts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sluice.cli.steps.two_steps, "is_terminal", lambda: True)
    done = CliRunner().invoke(main, ["redrive", "--order", "A"], input=typed)
    assert (done.exit_code == 0) is acts
    assert (("POST", "/api/redrives", {"token": "t", "reason": "mended"}) in asked) is acts


def test_json_is_the_preview_or_the_answer_alone(asked: Asked) -> None:
    shown = CliRunner().invoke(main, ["redrive", "--order", "A", "--json"])
    assert json.loads(shown.stdout) == preview(count=3, left=2)
    done = CliRunner().invoke(main, ["redrive", "--order", "A", "--json", *YES])
    assert json.loads(done.stdout)["state"] == "done"


def test_an_interrupt_stops_it(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupted)
    _, output = run(*YES, "--order", "A")
    assert asked[-1] == ("DELETE", "/api/redrives/rdv_1", None)
    assert output.splitlines()[-1].endswith("1 sent, 0 delivered, 0 dead again, 0 not taken, 1 still on their way")


def test_a_redrive_is_stopped_by_its_id(asked: Asked) -> None:
    run("--stop", "rdv_7")
    assert asked == [("DELETE", "/api/redrives/rdv_7", None)]


@pytest.mark.parametrize("option", ["--channel", "--order", "--destination", "--since", "--until", "--failure"])
def test_an_empty_choice_is_no_choice_of_all(asked: Asked, option: str) -> None:
    code, output = run(*YES, option, "")
    assert (code, asked) == (2, [])
    assert f"{option} is empty" in output


def test_yes_and_dry_run_are_not_both(asked: Asked) -> None:
    code, output = run(*YES, "--dry-run", "--order", "A")
    assert (code, asked) == (2, [])
    assert "give only one of them" in output


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        ({"sent": 3, "deadAgain": 3}, 1),
        ({"sent": 3, "deadAgain": 2, "delivered": 1}, 0),
        ({"sent": 3, "deadAgain": 2, "onTheirWay": 1}, 0),
        ({"sent": 3, "notTaken": 3}, 0),
        ({"found": 0}, 0),
    ],
)
def test_a_redrive_of_which_nothing_came_right_is_no_success(
    counts: dict[str, Any], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [preview(count=3), told("done", **counts)]
    monkeypatch.setattr(sluice.cli.steps.two_steps, "ask", lambda *_asked, **_more: answers.pop(0))
    assert run(*YES, "--order", "A")[0] == code


def test_with_nothing_to_send_nothing_says_how_to_send(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sluice.cli.steps.two_steps, "ask", lambda *_asked, **_more: preview(count=0, token=None))
    code, output = run(*YES, "--order", "A")
    assert (code, HOW_TO in output) == (0, False)


def test_a_redrive_of_nothing_in_particular_is_refused(asked: Asked) -> None:
    code, output = run(*YES)
    assert (code, asked) == (2, [])
    assert "name what to send" in output
