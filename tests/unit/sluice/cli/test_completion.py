"""Shells complete the names of commands, options and choices, as docs/operators.md says."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from sluice.cli.main import main

PAGE = (Path(__file__).resolve().parents[4] / "docs/operators.md").read_text(encoding="utf-8")
SHELLS = ("bash", "zsh", "fish")


def completed(shell: str, *words: str) -> str:
    """What a shell is given for the last of these words."""
    typed = ["sluice", *words]
    place = words[-1] if shell == "fish" else str(len(words))
    env = {"_SLUICE_COMPLETE": f"{shell}_complete", "COMP_WORDS": " ".join(typed), "COMP_CWORD": place}
    return CliRunner().invoke(main, [], prog_name="sluice", env=env).output


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("dea",), "dead-letters"),
        (("deliveries", "re"), "retry"),
        (("deliveries", "--dest"), "--destination"),
        (("deliveries", "--state", "retr"), "retrying"),
    ],
)
def test_a_shell_completes(shell: str, words: tuple[str, ...], expected: str) -> None:
    assert expected in completed(shell, *words)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_line_for_each_shell_makes_its_script(shell: str) -> None:
    assert f"_SLUICE_COMPLETE={shell}_source sluice" in PAGE
    if shell == "bash":
        return  # click asks the bash of this machine for its version
    made = CliRunner().invoke(main, [], prog_name="sluice", env={"_SLUICE_COMPLETE": f"{shell}_source"})
    assert f"{shell}_complete" in made.output


def test_the_page_names_the_command_of_each_question() -> None:
    for name in ("status", "order", "deliveries", "dead-letters", "rejected", "destinations", "due", "audit"):
        assert name in main.commands
        assert f"`sluice {name}" in PAGE
