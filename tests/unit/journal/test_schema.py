"""The tables in a database are those of journal/tables, whichever migrations made them."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, inspect

from journal.documents import PAGES
from journal.store.schema import migrate
from journal.tables.base import Month, month_of
from journal.tables.catalogue import TABLES

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.fixture
def migrated(tmp_path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{tmp_path}/journal.db")
    with engine.begin() as connection:
        migrate(connection)
    return engine


def test_migrations_make_the_tables_that_the_code_has(migrated: Engine) -> None:
    found = inspect(migrated)
    assert set(found.get_table_names()) == {table.name for table in TABLES} | {"alembic_version"}
    for table in TABLES:
        made = {column["name"]: (str(column["type"]), column["nullable"]) for column in found.get_columns(table.name)}
        assert made == {
            column.name: (column.type.compile(migrated.dialect), column.nullable) for column in table.columns
        }
        assert found.get_pk_constraint(table.name)["constrained_columns"] == [c.name for c in table.primary_key]
        indexes = {index["name"]: index["column_names"] for index in found.get_indexes(table.name)}
        assert indexes == {
            index.name: [column.name for column in index.columns]
            for index in table.indexes
            if not index.dialect_options["postgresql"]["ops"]  # of PostgreSQL alone: tests/integration/journal
        }


def test_migrating_twice_changes_nothing(migrated: Engine) -> None:
    with migrated.begin() as connection:
        migrate(connection)
    assert len(inspect(migrated).get_table_names()) == len(TABLES) + 1


def test_every_column_says_what_it_means() -> None:
    assert [column for table in TABLES for column in table.columns if not column.comment] == []
    for name, make in PAGES.items():
        assert (DOCS / name).read_text(encoding="utf-8") == make(), "python -m journal.documents docs"
    page = (DOCS / "journal.md").read_text(encoding="utf-8")
    assert [table.name for table in TABLES if f"| `{table.name}` |" not in page] == []


def test_a_month_holds_its_first_moment_and_not_its_last() -> None:
    month = Month(2026, 12)
    assert month_of(month.begin_ms) == month
    assert month_of(month.end_ms) == Month(2027, 1)
    assert month_of(month.end_ms - 1) == month
    assert month.suffix == "2026_12"


@pytest.mark.parametrize("strange", [-1, 0, 1, 2**62])
def test_times_at_which_no_order_came_have_no_month(strange: int) -> None:
    assert month_of(strange) is None
