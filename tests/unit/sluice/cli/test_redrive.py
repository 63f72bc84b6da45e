"""`sluice redrive` counts unless told to send, waits for the end, and stops what it began when it is interrupted."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

import sluice.cli.redrive
from sluice.cli.main import main
from topics.api.redrives import RedriveAsked, RedriveDocument, RedriveGroup

Asked = list[tuple[str, str, Any]]


def told(state: str, *, dry: bool = False, **counts: Any) -> dict[str, Any]:
    numbers = {"found": 3, "left": 0, "more": False, "sent": 0, "delivered": 0, "deadAgain": 0, "notTaken": 0}
    asked = RedriveAsked(dryRun=dry)
    group = RedriveGroup(destination="increff", reason="503", count=3)
    document = {"id": "rdv_1", "state": state, "asked": asked, "createdMs": 1, "groups": [group], "onTheirWay": 0}
    made = RedriveDocument.model_validate({**document, **numbers, "message": "", **counts})
    return made.model_dump(mode="json")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The calls of the API; each answers what follows in `answers`."""
    calls: Asked = []
    answers = [told("searching"), told("sending"), told("done", sent=3, delivered=2, deadAgain=1)]

    def ask(_url: str, method: str, path: str, body: Any = None) -> Any:
        calls.append((method, path, body))
        if body is not None and body["dryRun"]:
            return told("done", dry=True, left=2)
        return told("stopped", sent=1, onTheirWay=1) if method == "DELETE" else answers[len(calls) - 1]

    monkeypatch.setattr(sluice.cli.redrive, "ask", ask)
    monkeypatch.setattr(sluice.cli.gateway_client, "ask", ask)
    monkeypatch.setattr(sluice.cli.gateway_client, "POLL_S", 0)
    return calls


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["redrive", *arguments])
    return done.exit_code, done.output


def test_without_yes_it_counts(asked: Asked) -> None:
    assert run("--order", "A", "--order", "B", "--reason", "503") == (
        0,
        "       3  increff  503\n3 to send, 2 cannot be sent\nnothing was sent; --yes sends\n",
    )
    assert asked == [("POST", "/api/redrives", {"orders": ("A", "B"), "reason": "503", "dryRun": True})]


def test_with_yes_it_waits_for_the_end(asked: Asked) -> None:
    code, output = run("--yes", "--destination", "increff")
    assert (code, output.splitlines()[-1]) == (0, "rdv_1 done: 3 sent, 2 delivered, 1 dead again, 0 not taken")
    assert asked == [
        ("POST", "/api/redrives", {"destination": "increff", "dryRun": False}),
        ("GET", "/api/redrives/rdv_1", None),
        ("GET", "/api/redrives/rdv_1", None),
    ]


def test_an_interrupt_stops_it(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupted)
    _, output = run("--yes")
    assert asked[-1] == ("DELETE", "/api/redrives/rdv_1", None)
    assert output.splitlines()[-1].endswith("1 sent, 0 delivered, 0 dead again, 0 not taken, 1 still on their way")


def test_a_redrive_is_stopped_by_its_id(asked: Asked) -> None:
    run("--stop", "rdv_7")
    assert asked == [("DELETE", "/api/redrives/rdv_7", None)]


@pytest.mark.parametrize("option", ["--channel", "--order", "--destination", "--since", "--until", "--reason"])
def test_an_empty_choice_is_no_choice_of_all(asked: Asked, option: str) -> None:
    code, output = run("--yes", option, "")
    assert (code, asked) == (2, [])
    assert f"{option} is empty" in output


def test_yes_and_dry_run_are_not_both(asked: Asked) -> None:
    code, output = run("--yes", "--dry-run")
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
    monkeypatch.setattr(sluice.cli.redrive, "ask", lambda *_asked: told("done", **counts))
    assert run("--yes")[0] == code


def test_with_nothing_to_send_nothing_says_how_to_send(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sluice.cli.redrive, "ask", lambda *_asked: told("done", dry=True, found=0, groups=[]))
    assert run() == (0, "0 to send\n")
