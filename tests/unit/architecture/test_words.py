"""Texts of the code are read once by somebody who sees them for the first time."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.unit.architecture.rooms import PACKAGES

ROOT = Path(__file__).resolve().parents[3]
RIDDLE = re.compile(r"(?:Who|Whose|Whoever|What|Of) ")
"""First words of a text that names neither an actor nor a thing."""


def texts(source: str) -> list[str]:
    """Every docstring of a module: of the module, its classes, functions and constants."""
    return [
        node.value.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_docstring_begins_with_a_noun_or_a_verb(package: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {text.splitlines()[0]}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for text in texts(path.read_text(encoding="utf-8"))
        if RIDDLE.match(text)
    ]
    assert found == []


def test_a_riddle_is_found() -> None:
    assert [text for text in texts('LIMIT = 3\n"""Of one request."""') if RIDDLE.match(text)] == ["Of one request."]
