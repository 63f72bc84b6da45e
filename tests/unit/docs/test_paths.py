"""What the documents name is there: paths, settings of the example, commands."""

from __future__ import annotations

import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import click
import pytest

from sluice.cli.main import main
from topics.configuration.channels_file import parse_channels

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
    "journal",
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


NAME = re.compile(r"(?:[A-Za-z_]\w*\.)*_?[A-Za-z]\w*(?:\(\))?")
"""What may be the name of something in the code: a word, dotted or not, perhaps with the parentheses of a call."""


EXAMPLE = re.compile(r"```.*?```", re.DOTALL)
CODE = frozenset({".py", ".toml", ".yml", ".yaml", ".json", ".tpl"})


def looks_like_code(name: str) -> bool:
    """Whether a document means the code by it: CamelCase, CONSTANT_CASE or snake_case. Plain words are no names."""
    last = name.removesuffix("()").rpartition(".")[2]
    return "_" in last.strip("_") or name.endswith("()") or bool(re.fullmatch(r"[A-Z][a-z]+(?:[A-Z][a-z0-9]*)+", last))


@cache
def words_of_the_tree() -> frozenset[str]:
    """Every word in a file of the tree that is no document, and every word of an example in the documents."""
    code = [ROOT / "pyproject.toml", ROOT / "docker-compose.yml"]
    code += [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in CODE]
    texts = [path.read_text(encoding="utf-8") for path in code]
    texts += [block for name in documents() for block in EXAMPLE.findall((ROOT / name).read_text(encoding="utf-8"))]
    return frozenset(word for text in texts for word in re.findall(r"\w+", text))


def is_there(name: str) -> bool:
    """A setting is there by its member of Settings, a metric of the runtime or the journal without its prefix, a name
    that begins with `_` as the end of another."""
    words = words_of_the_tree()
    if name.startswith("_") and any(word.endswith(name) for word in words):
        return True
    prefixes = ("sluice_runtime_", "sluice_journal_")
    prefixes = ("sluice_runtime_", "sluice_journal_")
    short = (name.removeprefix("SLUICE_").lower(), *(name.removeprefix(prefix) for prefix in prefixes))
    return name in words or not words.isdisjoint(short)


@pytest.mark.parametrize("name", documents())
def test_names_exist(name: str) -> None:
    text = EXAMPLE.sub("", (ROOT / name).read_text(encoding="utf-8"))
    named = {code for code in re.findall(r"`([^`\n]+)`", text) if NAME.fullmatch(code) and looks_like_code(code)}
    missing = {code for code in named if not all(map(is_there, code.removesuffix("()").split(".")))}
    assert missing == set()


def test_a_name_that_is_not_there_is_missed() -> None:
    assert looks_like_code("NoSuch" + "Dispatcher")
    assert not is_there("NoSuch" + "Dispatcher")


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
