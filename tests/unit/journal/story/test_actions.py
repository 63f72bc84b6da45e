"""The commands of actions are those of the command line, with all that they need, whatever a code looks like."""

from __future__ import annotations

import shlex

import pytest
from click.testing import CliRunner

from journal.story import actions
from journal.story.causes import Action
from sluice.cli.main import main
from sluice.dev.local.ports import free_ports
from tests.support.journal.story import order

ORDER = order(code="O 1's")


@pytest.mark.parametrize(
    "action",
    [actions.retry(ORDER, "r-1"), actions.skip(ORDER, "r-1"), actions.redrive(ORDER), actions.resubmit(ORDER)],
    ids=lambda action: str(action.name),
)
def test_a_command_is_complete(action: Action) -> None:
    program, *arguments = shlex.split(action.command)
    assert program == "sluice"
    assert ORDER.code in arguments
    (nobody,) = free_ports(1)
    url = f"http://127.0.0.1:{nobody}"
    told = CliRunner().invoke(main, [*arguments, "--url", url]).output
    assert url in told, "it gets as far as asking the gateway"
    assert "Usage" not in told
