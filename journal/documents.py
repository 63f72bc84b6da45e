"""The generated part of docs/journal.md: `python -m journal.documents docs` writes docs/journal-tables.md."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from sqlalchemy import Table

from journal.tables.catalogue import MONTHLY_TABLES, TABLES
from topics.documents.markdown import document, table

NAME: Final = "journal-tables.md"
_GENERATED: Final = "<!-- Made by `python -m journal.documents docs`; do not edit. -->"
_INTRODUCTION: Final = (
    "[journal.md](journal.md) says what the journal is. Here are its tables, the same in SQLite and PostgreSQL. "
    "A column whose name ends in `_ms` has epoch milliseconds. `partition` and `record_offset` say where the record of "
    "a row is: its proof. A column may be null where its meaning says so."
)


def tables_page() -> str:
    return document(
        [
            _GENERATED,
            "# Which tables has the journal?",
            _INTRODUCTION,
            *(part for one in TABLES for part in _section(one)),
        ]
    )


def _section(one: Table) -> tuple[str, ...]:
    key = ", ".join(f"`{column.name}`" for column in one.primary_key)
    monthly = " PostgreSQL keeps its rows by the month of `received_ms`." if one in MONTHLY_TABLES else ""
    rows = ([f"`{column.name}`", _type_of(column.type), column.comment or ""] for column in one.columns)
    return (
        f"## {one.name}",
        f"{one.comment}. Key: {key}.{monthly}",
        table(("column", "type", "meaning"), rows),
    )


def _type_of(kind: object) -> str:
    return {"BIGINT": "number", "INTEGER": "number", "BOOLEAN": "yes or no", "TEXT": "text", "BLOB": "bytes"}[str(kind)]


def write(directory: Path) -> None:
    (directory / NAME).write_text(tables_page(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
