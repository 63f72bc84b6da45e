"""Indexes of the lists that operators read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_INDEXES = (
    ("requests", ("written_ms", "request_id"), None),
    ("requests", ("destination", "written_ms"), None),
    ("waiting", ("queued_ms", "request_id"), None),
    ("dead_letters", ("died_ms", "request_id"), "concluded IS NULL"),
    ("facts", ("at_ms",), "name = 'shipment-packed'"),
)
"""Table, columns, and which rows; None: all."""


def upgrade() -> None:
    for table, columns, rows in _INDEXES:
        where = None if rows is None else sa.text(rows)
        op.create_index(_name(table, columns), table, [*columns], postgresql_where=where, sqlite_where=where)


def downgrade() -> None:
    for table, columns, _ in _INDEXES:
        op.drop_index(_name(table, columns), table)


def _name(table: str, columns: tuple[str, ...]) -> str:
    return "_".join((table, *columns))
