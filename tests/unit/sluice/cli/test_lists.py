"""The commands that list print what a gateway's /api answers, as text that fits, or as its document."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

import sluice.cli.gateway_client
import sluice.cli.lists.commands
import sluice.cli.lists.pages
from sluice.cli.lists.commands import GROUPS, KINDS, OUTCOMES, STATES
from sluice.cli.lists.pages import PAGE_MAX
from sluice.cli.main import main
from sluice.cli.render.tables import age, table
from sluice.errors import StartError
from tests.fakes.gateway import FakeGroups, gateway
from tests.support.journal.database import file_url, played_journal
from tests.support.journal.records import BEGIN_MS
from tests.unit.gateway.api.journal.test_status import GROUPS as ROLES
from topics.api.journal.list_routes import DELIVERY_STATES, DUE_GROUPS, LIST_ROUTES
from topics.api.journal.list_routes import KINDS as API_KINDS
from topics.api.query_parameters import PAGE_LIMIT
from topics.documents.openapi import document as openapi
from topics.records.facts.operators import OUTCOMES as API_OUTCOMES

Answers = dict[str, Any]

COMMANDS = {
    "status": ("status",),
    "deliveries": ("deliveries", "--attempts", "--bodies", "--limit", "5"),
    "deliveries-waiting": ("deliveries", "--state", "waiting", "--destination", "increff"),
    "dead-letters": ("dead-letters", "--limit", "3", "--bodies"),
    "dead-letters-all": ("dead-letters", "--all"),
    "dead-letters-grouped": ("dead-letters", "--group"),
    "rejected": ("rejected", "--bodies"),
    "rejected-grouped": ("rejected", "--group"),
    "destinations": ("destinations",),
    "due": ("due",),
    "audit": ("audit",),
}
ROUTE_NAMES = {
    "status": "get-status",
    "deliveries": "list-deliveries",
    "deliveries-waiting": "list-deliveries",
    "dead-letters": "list-dead-letters",
    "dead-letters-all": "list-dead-letters",
    "dead-letters-grouped": "group-dead-letters",
    "rejected": "list-rejected",
    "rejected-grouped": "group-rejected",
    "destinations": "list-destinations",
    "due": "list-due",
    "audit": "list-actions",
}
ROWS = ("deliveries", "deadLetters", "rejected", "groups", "destinations", "orders", "actions")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def answers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Answers]:
    """What a gateway with a played journal answers to each command's questions, by their path."""
    directory: Path = tmp_path_factory.mktemp("journal")
    made: Answers = {}
    asked: list[str] = []

    def note(_url: str, _method: str, path: str, _body: Any = None) -> Any:
        asked.append(path)
        raise StartError("noted")

    with pytest.MonkeyPatch.context() as patch:
        for module in (sluice.cli.lists.commands, sluice.cli.lists.pages):
            patch.setattr(module, "ask", note)
        for arguments in COMMANDS.values():
            CliRunner().invoke(main, arguments)
    settings: dict[str, Any] = {"journal_url": file_url(directory), "api_reads_per_s": 10_000}
    async with (
        played_journal(directory, orders=40),
        gateway(groups=FakeGroups(ROLES), now_ms=BEGIN_MS + 300_000, **settings) as at,
    ):
        while asked:
            path = asked.pop()
            response = await at.client.get(path)
            made[path] = await response.json()
            assert response.status == 200, made[path]
            if made[path].get("next"):
                asked.append(made[path]["next"])
        yield made


@pytest.fixture(autouse=True)
def _answered(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(_url: str, _method: str, path: str, _body: Any = None) -> Any:
        return answers[path]

    for module in (sluice.cli.lists.commands, sluice.cli.lists.pages):
        monkeypatch.setattr(module, "ask", ask)


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(main, [*arguments], catch_exceptions=False)
    assert done.exit_code in (0, 1), done.output
    return done


@pytest.mark.parametrize("name", COMMANDS)
def test_json_is_the_document_of_the_api(name: str) -> None:
    document = json.loads(run(*COMMANDS[name], "--json").output)
    route = next(one for one in LIST_ROUTES if one.name == ROUTE_NAMES[name])
    schemas = openapi()["components"]["schemas"]
    assert route.document is not None
    schema = {**schemas[route.document.__name__], "components": {"schemas": schemas}}
    jsonschema.Draft202012Validator(schema).validate(document)


@pytest.mark.parametrize("name", COMMANDS)
def test_text_has_a_line_for_each_row(name: str) -> None:
    lines = run(*COMMANDS[name]).output.splitlines()
    document = json.loads(run(*COMMANDS[name], "--json").output)
    rows: list[Any] = next((value for member, value in document.items() if member in ROWS), [])
    assert len(lines) > len(rows)
    assert "CANARY" not in "\n".join(lines)


def test_the_status_names_what_is_wrong_and_ends_with_1() -> None:
    done = run("status")
    assert done.exit_code == 1
    assert "! no worker of delivery runs: start one with `sluice run delivery`" in done.output
    assert "orders-a" in done.output


def test_a_group_lists_unless_one_of_its_commands_is_named() -> None:
    assert "created" in run("deliveries", "--limit", "5", "--attempts", "--bodies").output
    help_ = CliRunner().invoke(main, ["deliveries", "retry", "--help"])
    assert "CODE ID" in help_.output
    misplaced = CliRunner().invoke(main, ["deliveries", "--channel", "demo", "retry", "A", "B"])
    assert misplaced.exit_code == 2
    assert "--channel belongs behind retry" in misplaced.output


@pytest.mark.parametrize(
    ("typed", "meant"),
    [(["deliverys"], "deliveries"), (["dead-leters"], "dead-letters"), (["deliveries", "retri"], "retry")],
)
def test_a_mistyped_command_is_told_what_is_like_it(typed: list[str], meant: str) -> None:
    done = CliRunner().invoke(main, typed)
    assert done.exit_code == 2
    assert f"Did you mean {meant}" in done.output


def test_a_mistyped_option_is_told_what_is_like_it() -> None:
    assert "--destination" in CliRunner().invoke(main, ["deliveries", "--destinaton", "x"]).output


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (["--since", "soon"], "expected a time as 2026-11-25T08:00:00Z, or how long ago"),
        (["--since", "9999999999d"], "so long ago was nothing"),
        (["--channel", ""], "--channel is empty"),
        (["--limit", "0"], "x>=1"),
    ],
)
def test_a_wrong_option_is_explained(option: list[str], says: str) -> None:
    done = CliRunner().invoke(main, ["deliveries", *option])
    assert done.exit_code == 2
    assert says in done.output


def test_a_table_fits_the_terminal_and_a_row_is_one_line() -> None:
    rows = [("code", "words"), ("A-1", "a\x1b[31m long\ntext that goes on and on"), ("A-22", "short")]
    lines = [*table(rows, "lL", width=20)]
    assert lines == ["code  words", "A-1   a?[31m long t…", "A-22  short"]
    assert [*table(rows, "lL")][1] == "A-1   a?[31m long text that goes on and on"


@pytest.mark.parametrize(
    ("age_ms", "said"),
    [(None, "-"), (1_500, "1.5 s"), (300_000, "5 min"), (3 * 3_600_000, "3.0 h"), (72 * 3_600_000, "3.0 d")],
)
def test_an_age_has_one_unit(age_ms: int | None, said: str) -> None:
    assert age(age_ms) == said


def test_choices_are_those_of_the_api() -> None:
    assert (STATES, KINDS, GROUPS, OUTCOMES) == (DELIVERY_STATES, API_KINDS, DUE_GROUPS, API_OUTCOMES)
    assert PAGE_LIMIT.maximum == PAGE_MAX
