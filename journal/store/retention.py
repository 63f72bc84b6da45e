"""Retention: what is older than the journal keeps goes, a month's partition at a time in PostgreSQL, in small slices in
SQLite and where a table has no months. Writers wait for a slice at most."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Column, Table, delete, inspect, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from journal.store.schema import lock
from journal.tables.base import FIRST_YEAR, Month, month_of
from journal.tables.catalogue import MONTHLY_TABLES
from journal.tables.deliveries import DEAD_LETTERS
from journal.tables.incidents import REFUSED_CALLS, REJECTED, STOCK_EVENTS
from journal.tables.operators import ACTIONS, PAUSES, REDRIVEN
from journal.tables.orders import IDS, ORDERS

SLICE_ROWS: Final = 500
"""Rows that one transaction deletes: some milliseconds."""
_AGED: Final[tuple[Column[Any], ...]] = (
    IDS.c.received_ms,
    DEAD_LETTERS.c.died_ms,
    REJECTED.c.at_ms,
    REFUSED_CALLS.c.last_ms,
    STOCK_EVENTS.c.at_ms,
    ACTIONS.c.at_ms,
    REDRIVEN.c.at_ms,
    PAUSES.c.ended_ms,
)
"""Columns by which tables without months grow old. Requests that wait and gates do not, nor does a pause
that nobody ended."""


class Retention:
    """Deletes what is older than a time. `dropped`: called when partitions of months have gone."""

    def __init__(self, engine: AsyncEngine, dropped: Callable[[], None] = lambda: None) -> None:
        self._engine = engine
        self._dropped = dropped

    async def delete_before(self, before_ms: int) -> int:
        """Delete all rows from before a time; returns how many, of a dropped month 1."""
        monthly = tuple(table.c.received_ms for table in MONTHLY_TABLES)
        aged = _AGED if self._engine.dialect.name == "postgresql" else (*_AGED, *monthly)
        gone = await self._drop_months(before_ms) if self._engine.dialect.name == "postgresql" else 0
        for column in aged:
            while slice_ := await self.delete_slice(column, before_ms):
                gone += slice_
        return gone

    async def delete_slice(self, column: Column[int], before_ms: int) -> int:
        """Delete the next slice of a table; returns how many rows went."""
        table = column.table
        assert isinstance(table, Table)  # noqa: S101 - for mypy: each of these columns is of a table
        key: Any = tuple_(*table.primary_key.columns)
        old = select(*table.primary_key.columns).where(column < before_ms).order_by(column).limit(SLICE_ROWS)
        async with self._engine.begin() as connection:
            return (await connection.execute(delete(table).where(key.in_(old)))).rowcount

    async def _drop_months(self, before_ms: int) -> int:
        async with self._engine.begin() as connection:
            await connection.run_sync(lock)
            names = await _months_before(connection, before_ms)
            for month in names:
                for table in MONTHLY_TABLES:
                    await connection.execute(text(f"DROP TABLE IF EXISTS {table.name}_{month.suffix}"))
        if names:
            self._dropped()
        return len(names)


async def _months_before(connection: AsyncConnection, before_ms: int) -> list[Month]:
    """The months with a partition that end before a time."""
    tables = await connection.run_sync(lambda sync: set(inspect(sync).get_table_names()))
    last = month_of(before_ms)
    found, month = [], Month(FIRST_YEAR, 1)
    while last is not None and month < last:
        if f"{ORDERS.name}_{month.suffix}" in tables:
            found.append(month)
        month = month.next
    return found
