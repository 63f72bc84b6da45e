"""Alembic's entry: runs migrations on the connection that it is handed (journal/store/schema.py)."""

from __future__ import annotations

from alembic import context

from journal.tables.base import METADATA


def _run() -> None:
    connection = context.config.attributes["connection"]
    context.configure(connection=connection, target_metadata=METADATA)
    with context.begin_transaction():
        context.run_migrations()


_run()
