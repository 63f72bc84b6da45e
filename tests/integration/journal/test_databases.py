"""SQLite and PostgreSQL get the same rows; in PostgreSQL they lie by month, and retention drops months."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from sqlalchemy import Table, func, inspect, select
from sqlalchemy.ext.asyncio import AsyncEngine

from journal.store.database import journal_url, open_database
from journal.store.retention import Retention
from journal.tables.base import Month, month_of
from journal.tables.catalogue import MONTHLY_TABLES
from journal.tables.incidents import STOCK_EVENTS
from journal.tables.orders import FACTS, IDS, ORDERS
from tests.support.journal.records import BEGIN_MS, DAY_MS, Play, in_batches
from tests.support.journal.store import StoredJournal, content_of

ORDERS_PLAYED = 80


@pytest_asyncio.fixture
async def pair(tmp_path: Path, postgres_url: str) -> AsyncIterator[tuple[AsyncEngine, AsyncEngine]]:
    """A journal in each database, with the same records."""
    engines = tuple(
        open_database(journal_url(url, tmp_path)) for url in (f"sqlite:///{tmp_path}/journal.db", postgres_url)
    )
    for engine in engines:
        journal = StoredJournal(engine)
        await journal.begin()
        for records in in_batches(Play(seed=3, orders=ORDERS_PLAYED).numbered(), 100):
            await journal.write(records)
    yield engines[0], engines[1]
    for engine in engines:
        await engine.dispose()


async def count(engine: AsyncEngine, table: Table) -> int:
    async with engine.connect() as connection:
        return await connection.scalar(select(func.count()).select_from(table)) or 0


async def test_both_have_the_same_rows_before_and_after_retention(pair: tuple[AsyncEngine, AsyncEngine]) -> None:
    small, large = pair
    assert await content_of(small) == await content_of(large)

    async with large.connect() as connection:
        names = await connection.run_sync(lambda sync: set(inspect(sync).get_table_names()))
    first = month_of(BEGIN_MS)
    assert first is not None
    assert {f"{table.name}_{first.suffix}" for table in MONTHLY_TABLES} <= names

    before = Month(first.year, first.month).end_ms
    for engine in pair:
        assert await Retention(engine).delete_before(before)
        assert await Retention(engine).delete_before(before) == 0
    assert await content_of(small) == await content_of(large)
    assert 0 < await count(small, ORDERS) < ORDERS_PLAYED
    assert await count(small, FACTS) > 0
    for engine in pair:
        await Retention(engine).delete_before(BEGIN_MS + 365 * DAY_MS)
    for table in (ORDERS, FACTS, IDS, STOCK_EVENTS):
        assert await count(small, table) == await count(large, table) == 0
