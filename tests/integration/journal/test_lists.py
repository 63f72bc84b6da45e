"""Operators' lists have the same rows in SQLite and PostgreSQL, and read no large table from end to end."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from journal.queries import backlog, due, incidents
from journal.queries.deliveries import STATES, deliveries_page
from journal.store.database import journal_url, open_database
from tests.support.journal.records import BEGIN_MS, DAY_MS, Play, in_batches
from tests.support.journal.store import StoredJournal

pytestmark = pytest.mark.asyncio(loop_scope="module")
ORDERS = 60
LARGE = ("requests", "attempts", "bodies", "facts", "orders", "waiting", "dead_letters", "rejected", "ids", "actions")
"""Tables that grow with orders."""

Ask = Callable[[AsyncConnection], Awaitable[Any]]


async def filled(url: str, directory: Path) -> AsyncEngine:
    engine = open_database(journal_url(url, directory))
    journal = StoredJournal(engine)
    await journal.begin()
    for records in in_batches(Play(seed=5, orders=ORDERS).numbered(), 200):
        await journal.write(records)
    return engine


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def small(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AsyncEngine]:
    directory = tmp_path_factory.mktemp("sqlite")
    engine = await filled(f"sqlite:///{directory}/journal.db", directory)
    yield engine
    await engine.dispose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def large(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AsyncEngine]:
    engine = await filled(postgres_url, tmp_path_factory.mktemp("postgres"))
    yield engine
    await engine.dispose()


def _deliveries(keys: tuple[str, ...] = (), **filters: Any) -> Ask:
    async def ask(connection: AsyncConnection) -> Any:
        first, cursor = await deliveries_page(connection, filters, keys=keys, cursor=None, limit=3, bodies=True)
        rest, _ = await deliveries_page(connection, filters, keys=keys, cursor=cursor, limit=200, bodies=False)
        return [*first, *rest]

    return ask


def _letters(keys: tuple[str, ...] = (), **filters: Any) -> Ask:
    async def ask(connection: AsyncConnection) -> Any:
        page = await incidents.dead_letters_page(connection, filters, keys=keys, cursor=None, limit=3)
        rest = await incidents.dead_letters_page(connection, filters, keys=keys, cursor=page.next, limit=200)
        groups = await incidents.dead_letter_groups(connection, filters, keys)
        named = await incidents.letters_named(connection, [row["example"] for row in groups.rows])
        return [*page.rows, *rest.rows, *groups.rows, named]

    return ask


def _rejected(keys: tuple[str, ...] = (), **filters: Any) -> Ask:
    async def ask(connection: AsyncConnection) -> Any:
        page = await incidents.rejected_page(connection, filters, keys=keys, cursor=None, limit=3)
        rest = await incidents.rejected_page(connection, filters, keys=keys, cursor=page.next, limit=200)
        groups = await incidents.rejected_groups(connection, filters, keys)
        places = [incidents.place_of(row) for row in page.rows]
        return [
            *page.rows,
            *rest.rows,
            *groups.rows,
            await incidents.rejected_at(connection, places) if places else {},
            await incidents.rejected_bodies(connection, page.rows) if places else {},
        ]

    return ask


def _actions(keys: tuple[str, ...] = (), **filters: Any) -> Ask:
    async def ask(connection: AsyncConnection) -> Any:
        page = await incidents.actions_page(connection, filters, keys=keys, cursor=None, limit=3)
        rest = await incidents.actions_page(connection, filters, keys=keys, cursor=page.next, limit=200)
        return [*page.rows, *rest.rows]

    return ask


def _due(**filters: Any) -> Ask:
    async def ask(connection: AsyncConnection) -> Any:
        page = await due.due_page(connection, filters, cursor=None, limit=3)
        rest = await due.due_page(connection, filters, cursor=page.next, limit=200)
        times = [BEGIN_MS, BEGIN_MS + 60 * DAY_MS]
        return [*page.rows, *rest.rows, await due.counts_before(connection, filters, times)]

    return ask


async def _destinations(connection: AsyncConnection) -> Any:
    rows = await backlog.destination_rows(connection, "increff")
    return [
        rows,
        await backlog.attempts_since(connection, "increff", BEGIN_MS),
        await backlog.undelivered(connection),
    ]


async def _forecast(connection: AsyncConnection) -> Any:
    packed, began_ms = await due.packed_since(connection, BEGIN_MS, BEGIN_MS + DAY_MS, BEGIN_MS + 30 * DAY_MS)
    queue = await due.queue_until(connection, BEGIN_MS, BEGIN_MS + 60 * DAY_MS)
    return [sorted(packed, key=repr), began_ms, queue]


OF_ORDER = ("demo|O-6", "demo|return|O-6", "demo|manifest|O-6")
TIMES: dict[str, Any] = {"since_ms": BEGIN_MS, "until_ms": BEGIN_MS + 30 * DAY_MS}
CALL: dict[str, Any] = {"destination": "increff", "touchpoint": "create-outward-order"}
LISTS: dict[str, Ask] = {
    "deliveries": _deliveries(),
    **{f"deliveries-{state}": _deliveries(state=state) for state in STATES},
    **{f"deliveries-to-{state}": _deliveries(state=state, **CALL) for state in STATES},
    "deliveries-of-order": _deliveries(OF_ORDER),
    "deliveries-waiting-of-order": _deliveries(OF_ORDER, state="waiting"),
    "deliveries-dead-of-order": _deliveries(OF_ORDER, state="dead"),
    "deliveries-of-channel": _deliveries(channel="demo"),
    "deliveries-of-time": _deliveries(**TIMES),
    "deliveries-of-all": _deliveries(channel="demo", **CALL, **TIMES),
    "dead-letters": _letters(),
    "dead-letters-all": _letters(all=True),
    "dead-letters-of-order": _letters(OF_ORDER),
    "dead-letters-of-reason": _letters(reason="500"),
    "dead-letters-of-words": _letters(reason="time%d_out"),
    "dead-letters-of-call": _letters(**CALL),
    "dead-letters-of-kind": _letters(kind="dead", channel="demo", **TIMES),
    "dead-letters-of-call-all": _letters(all=True, **CALL, **TIMES),
    "rejected": _rejected(),
    "rejected-of-order": _rejected(OF_ORDER),
    "rejected-of-code": _rejected(code="no_envelope"),
    "rejected-of-role": _rejected(role="", channel="", **TIMES),
    "rejected-of-call": _rejected(touchpoint="pack-order"),
    "audit": _actions(),
    "audit-of-order": _actions(OF_ORDER),
    "audit-by": _actions(by="alice", channel="demo"),
    "audit-of-action": _actions(action="redrive", outcome="done", **TIMES),
    "audit-of-target": _actions(target="increff", by="alice"),
    "due": _due(),
    "due-of-group": _due(from_ms=BEGIN_MS, before_ms=BEGIN_MS + 60 * DAY_MS),
    "due-of-location": _due(location="L1"),
    "due-of-channel": _due(channel="demo"),
    "destinations": _destinations,
    "forecast": _forecast,
}


def plain(value: Any) -> Any:
    """A value as both databases would give it."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict) or hasattr(value, "_mapping") or hasattr(value, "keys"):
        return {name: plain(value[name]) for name in value.keys()}  # noqa: SIM118 - a row is no dict
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


async def answered(engine: AsyncEngine, ask: Ask) -> Any:
    async with engine.connect() as connection:
        return plain(await ask(connection))


async def statements(engine: AsyncEngine, ask: Ask) -> list[tuple[str, Any]]:
    """The statements of a list, with their parameters."""
    made: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if statement.lstrip().startswith("SELECT") and "pg_catalog" not in statement:
            made.append((statement, parameters))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        await answered(engine, ask)
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", note)
    assert made
    return made


@pytest.mark.parametrize("name", LISTS)
async def test_both_databases_give_the_same_rows(small: AsyncEngine, large: AsyncEngine, name: str) -> None:
    assert await answered(small, LISTS[name]) == await answered(large, LISTS[name])


@pytest.mark.parametrize("name", LISTS)
async def test_sqlite_reads_by_an_index(small: AsyncEngine, name: str) -> None:
    whole = re.compile(rf"SCAN ({'|'.join(LARGE)})(?! USING)")
    async with small.connect() as connection:
        for statement, parameters in await statements(small, LISTS[name]):
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            steps = [row.detail for row in plan]
            assert not [step for step in steps if whole.match(step)], (statement, steps)


@pytest.mark.parametrize("name", LISTS)
async def test_postgresql_reads_by_an_index(large: AsyncEngine, name: str) -> None:
    """With sequential scans switched off, one is planned only where no index can be used."""
    whole = re.compile(rf"Seq Scan on ({'|'.join(LARGE)})")
    asked = await statements(large, LISTS[name])
    async with large.connect() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        for statement, parameters in asked:
            plan = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
            steps = [row[0] for row in plan]
            assert not [step for step in steps if whole.search(step)], (statement, steps)


async def read_in_parts(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        whole = await due.queue_until(connection, BEGIN_MS, BEGIN_MS + 60 * DAY_MS)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(due, "ROWS_AT_ONCE", 7)
            assert await due.queue_until(connection, BEGIN_MS, BEGIN_MS + 60 * DAY_MS) == whole
    assert len(whole) > 20


async def test_sqlite_gives_a_queue_in_parts(small: AsyncEngine) -> None:
    await read_in_parts(small)


async def test_postgresql_gives_a_queue_in_parts(large: AsyncEngine) -> None:
    await read_in_parts(large)


async def see_one_state(engine: AsyncEngine) -> None:
    """Count rows before and after another adds one."""
    count = text("SELECT count(*) FROM ids")
    one = text("INSERT INTO ids (id, kind, order_key, received_ms) VALUES ('x', 'order', 'demo|x', 1)")
    reader = open_database(engine.url, read_only=True, time_out_s=10.0)
    try:
        async with reader.connect() as connection, connection.begin():
            before = await connection.scalar(count)
            async with engine.begin() as writing:
                await writing.execute(one)
            assert await connection.scalar(count) == before
    finally:
        await reader.dispose()
        async with engine.begin() as writing:
            await writing.execute(text("DELETE FROM ids WHERE id = 'x'"))


async def test_all_queries_of_an_answer_see_one_state_of_sqlite(small: AsyncEngine) -> None:
    await see_one_state(small)


async def test_all_queries_of_an_answer_see_one_state_of_postgresql(large: AsyncEngine) -> None:
    await see_one_state(large)
