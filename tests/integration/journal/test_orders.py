"""Stories, lists of orders, searches and timelines are the same from SQLite and from PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import literal, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from journal.queries.orders.candidates import SOURCES
from journal.queries.orders.ids import found_ids
from journal.queries.orders.lists import OrderFilters, OrderLists
from journal.queries.orders.timelines import timeline_of
from journal.queries.reader import JournalReader, JournalSlowError
from journal.queries.stories import Surroundings, lives_of, positions_of, rows_of
from journal.store.database import journal_url, open_database
from journal.story.rows import Lag
from journal.story.story import story
from tests.support.journal.causes import BEHIND, CASES, NOW_MS, PARTITIONS, put_rows
from tests.support.journal.records import BEGIN_MS, Play, in_batches
from tests.support.journal.store import StoredJournal

pytestmark = pytest.mark.asyncio(loop_scope="module")
PLAYED = 40
AROUND = Surroundings(
    now_ms=NOW_MS,
    partitions=PARTITIONS,
    rates={"increff": 3.0},
    lags={1: Lag(partition=1, next_offset=3, end_offset=9, oldest_ms=NOW_MS - 20_000)},
)
DESTINATIONS = ("increff", "channel:demo", "channel:far", "channel:paused")
FILTERS: tuple[dict[str, Any], ...] = (
    {},
    {"channel": "demo"},
    {"location": "DXB-WH-01"},
    {"state": "RECEIVED"},
    {"is_open": True, "kind": "order"},
    {"received_before_ms": BEGIN_MS + 1},
    {"due_before_ms": NOW_MS + 4_000_000},
    {"text": "O-1"},
    {"text": "O-h"},
    {"text": "a%_\\"},
    *({"cause": cause} for cause in SOURCES),
)


async def filled(url: str, directory: Path) -> AsyncEngine:
    engine = open_database(journal_url(url, directory))
    journal = StoredJournal(engine)
    await journal.begin()
    for records in in_batches(Play(seed=5, orders=PLAYED).numbered(), 200):
        await journal.write(records)
    await put_rows(engine, [row for case in (*CASES, BEHIND) for row in case.rows])
    return engine


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[AsyncEngine, ...]]:
    directory = tmp_path_factory.mktemp("orders")
    engines = tuple([await filled(url, directory) for url in (f"sqlite:///{directory}/journal.db", postgres_url)])
    yield engines
    for engine in engines:
        await engine.dispose()


async def pages_of(connection: AsyncConnection, filters: dict[str, Any]) -> list[Any]:
    asked = {name: str(value) for name, value in filters.items()}
    lists = OrderLists(connection, AROUND, asked=asked, channels=["demo"], destinations=DESTINATIONS)
    cursor, found = None, []
    while True:
        page = await lists.page(OrderFilters(**filters), cursor=cursor, limit=7)
        found += [(one.order.order_key, one.wait) for one in page.rows]
        cursor = page.next
        if cursor is None:
            return found


@pytest.mark.parametrize("filters", FILTERS, ids=str)
async def test_lists_of_orders_are_the_same(pair: tuple[AsyncEngine, ...], filters: dict[str, Any]) -> None:
    found = []
    for engine in pair:
        async with engine.connect() as connection:
            found.append(await pages_of(connection, filters))
    assert found[0] == found[1]


async def test_stories_timelines_and_searches_are_the_same(pair: tuple[AsyncEngine, ...]) -> None:
    keys = [case.key for case in (*CASES, BEHIND)] + [f"demo|O-{number}" for number in range(PLAYED)]
    found: list[Any] = []
    for engine in pair:
        async with engine.connect() as connection:
            lives = await lives_of(connection, keys, AROUND)
            rows = await rows_of(connection, lives, AROUND)
            stories = {key: story(one, NOW_MS) for key, one in rows.items()}
            timelines = [await timeline_of(connection, life, cursor=None, limit=50) for life in lives.values()]
            ids = [[dict(row) for row in await found_ids(connection, text, 20)] for text in ("O-1", "e1.0", "no")]
            found.append((stories, timelines, ids, await positions_of(connection)))
    assert found[0] == found[1]
    told = {one.wait.cause for one in found[0][0].values() if one.wait is not None}
    assert {"down", "early", "given-up", "paused", "refused", "role-behind"} <= told


async def test_postgres_ends_what_takes_too_long(pair: tuple[AsyncEngine, ...], postgres_url: str) -> None:
    reader = JournalReader(journal_url(postgres_url, Path()), connections=1, time_out_s=0.2)
    with pytest.raises(JournalSlowError):
        async with reader.reading() as connection:
            await connection.exec_driver_sql("SELECT pg_sleep(5)")
    async with reader.reading() as connection:
        assert await connection.scalar(select(literal(1))) == 1
    await reader.stop()
