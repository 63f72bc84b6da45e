"""The Markdown that generated documents are made of."""

from __future__ import annotations

from collections.abc import Iterable

GENERATED = "<!-- Made by `python -m topics.documents.docs docs`; do not edit. -->"


def table(names: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(names), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def document(parts: Iterable[str]) -> str:
    return "\n\n".join(parts) + "\n"
