"""What the documents name is there: paths, settings of the example, commands."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import click
import pytest

from sluice.cli.main import main
from topics.configuration.settings import parse_channels

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FOLDERS = (
    "bench",
    "decisions",
    "docker",
    "docs",
    "examples",
    "gateway",
    "helm",
    "schemas",
    "sluice",
    "streams",
    "tests",
    "topics",
)
"""What begins with one of these and a slash is a path of the repository."""
PATH = re.compile(rf"(?<![\w./:-])(?:{'|'.join(FOLDERS)})/[\w./*-]*")


def documents() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607
    return listed.stdout.split() or ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"]


@pytest.mark.parametrize("name", documents())
def test_paths_exist(name: str) -> None:
    document = ROOT / name
    text = document.read_text(encoding="utf-8")
    named = {path.rstrip(".") for code in re.findall(r"`([^`\n]+)`", text) for path in PATH.findall(code)}
    missing = {path for path in named if not any(ROOT.glob(path.rstrip("/")))}
    links = {link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link}
    missing |= {link for link in links if not (document.parent / link).exists()}
    assert not missing


def test_the_example_channel_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    for variable in re.findall(r"env:(\w+)", example):
        monkeypatch.setenv(variable, "secret")
    assert set(parse_channels(tomllib.loads(example), where="README.md").channels) == {"shop"}


def test_the_commands_exist() -> None:
    assert isinstance(main, click.Group)
    named = set(re.findall(r"(?:`|\$ |bin/)sluice ([a-z]+)", README))
    assert named
    assert named <= set(main.commands)
