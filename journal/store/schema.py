"""The tables in a database: migrated to this version; in PostgreSQL, with a partition for each month that has rows."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

import journal.migrations
from journal.tables.base import Month
from journal.tables.catalogue import MONTHLY_TABLES

_LOCK: Final = 0x534C5549
"""Number of the advisory lock of PostgreSQL under which tables are made: two processes may start at once."""


def migrate(connection: Connection) -> None:
    """Bring the tables to this version. The caller's transaction ends it: a process that dies leaves nothing half."""
    lock(connection)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it logs each step of finding that there is nothing to do
    config = Config()
    config.set_main_option("script_location", str(Path(journal.migrations.__path__[0])))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


async def make_months(connection: AsyncConnection, months: Iterable[Month]) -> None:
    """Make the partitions of these months, where the database has partitions and lacks them."""
    if connection.dialect.name == "postgresql":
        await connection.run_sync(_make_months, sorted(months))


def _make_months(connection: Connection, months: list[Month]) -> None:
    lock(connection)
    for month in months:
        for table in MONTHLY_TABLES:
            connection.execute(
                text(
                    f"CREATE TABLE IF NOT EXISTS {table.name}_{month.suffix} PARTITION OF {table.name} "
                    f"FOR VALUES FROM ({month.begin_ms}) TO ({month.end_ms})"
                )
            )


def lock(connection: Connection) -> None:
    """Wait for other processes that make or drop tables; until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
