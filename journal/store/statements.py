"""The statements that write a batch. Each is run with many rows, one after the other (`executemany`): one statement
with all rows in it takes twenty times as long to make.

A statement is turned into text once, and rows are handed to the driver as they are: SQLAlchemy would look at each value
of each row again, which takes a fifth of the journal's time, to change none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import ColumnElement, Table, and_, bindparam, case, delete, func, literal_column, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncConnection

from journal.rows.batch import Batch, Row, Suspect
from journal.rows.facts import KEPT
from journal.tables.base import NUL, without_nul
from journal.tables.deliveries import ATTEMPTS, BODIES, DEAD_LETTERS, GATES, REQUESTS, WAITING
from journal.tables.incidents import REFUSED_CALLS, REJECTED, STOCK_EVENTS
from journal.tables.offsets import OFFSETS
from journal.tables.operators import ACTIONS, PAUSES, REDRIVEN
from journal.tables.orders import FACTS, IDS, ORDERS

_ADDED: Final = (FACTS, REQUESTS, ATTEMPTS, BODIES, IDS, REJECTED, STOCK_EVENTS, REDRIVEN)
"""Tables of whose rows the first of a key counts. In this order, and each by its key, so that two processes that write
the same ids do not wait for each other in a circle."""
_ENDS: Final = ("concluded", "concluded_ms", "concluded_message", "redrive", "partition", "record_offset")
_ACTION_ENDS: Final = ("outcome", "ended_ms", "message", "result")
_EMPTY: Final[ColumnElement[str]] = literal_column("''")
"""In the text of a statement: each of its parameters has to be a member of a row."""


async def write_rows(connection: AsyncConnection, batch: Batch) -> None:
    """Write all of a batch in the transaction that is open."""
    if batch.has_nul:
        _clean(batch)
    dialect = connection.dialect.name
    if batch.begun:
        await run(connection, _begin_orders(), batch.begun)
    if batch.orders:
        await run(connection, _upsert_orders(dialect), list(batch.orders.values()))
    for table in _ADDED:
        if rows := batch.added.get(table):
            if table in (IDS, BODIES):
                rows = sorted(rows, key=lambda row: row["id"])
            await run(connection, add(dialect, table), rows)
    for suspect in batch.suspects:
        await _add_suspect(connection, dialect, suspect)
    if rows := batch.added.get(ACTIONS):
        await run(connection, put(dialect, ACTIONS), rows)
    if batch.acted:
        await run(connection, add(dialect, ACTIONS), list(batch.acted.values()))
    if batch.act_ends:
        await run(connection, _end_actions(), list(batch.act_ends.values()))
    await _write_last(connection, dialect, batch)


async def _write_last(connection: AsyncConnection, dialect: str, batch: Batch) -> None:
    """The tables that have what is known of a key now."""
    if gone := [{"gone_lane": lane, "gone_id": id_} for (lane, id_), row in batch.waiting.items() if row is None]:
        await run(connection, _end_waiting(), gone)
    if rows := [row for row in batch.waiting.values() if row is not None]:
        await run(connection, put(dialect, WAITING), rows)
    if batch.gates:
        await run(connection, put(dialect, GATES), list(batch.gates.values()))
    if batch.pauses:
        await run(connection, put(dialect, PAUSES), list(batch.pauses.values()))
    if batch.letters:
        await run(connection, put(dialect, DEAD_LETTERS), list(batch.letters.values()))
    if batch.ends:
        await run(connection, put(dialect, DEAD_LETTERS, _ENDS), list(batch.ends.values()))
    if batch.refused:
        await run(connection, _end_refused(), [{"gone_key": key} for key in batch.refused])
        if rows := [row for rows in batch.refused.values() for row in rows]:
            await run(connection, add(dialect, REFUSED_CALLS), rows)


async def _add_suspect(connection: AsyncConnection, dialect: str, suspect: Suspect) -> None:
    row = suspect.request
    if await connection.scalar(_newer_before(), {f"of_{name}": row[name] for name in _LANE}):
        return
    await run(connection, add(dialect, REQUESTS), [row])
    if suspect.bodies:
        await run(connection, add(dialect, BODIES), suspect.bodies)
    await run(connection, add(dialect, IDS), suspect.ids)


async def run(connection: AsyncConnection, statement: Any, rows: Sequence[Row]) -> None:
    """Run a statement, which is one of this module's or `move_offsets`, once for each row."""
    text, values_of = _text_of(connection.dialect, statement)
    await connection.exec_driver_sql(text, [values_of(row) for row in rows])


@cache
def _text_of(dialect: Dialect, statement: Any) -> tuple[str, Callable[[Row], tuple[Any, ...]]]:
    """The text of a statement, and what takes its values from a row, in their order."""
    compiled = statement.compile(dialect=dialect)
    names = compiled.positiontup
    if len(names) == 1:
        return str(compiled), lambda row: (row[names[0]],)
    return str(compiled), itemgetter(*names)


def _inserted(dialect: str, table: Table) -> Any:
    """An insert that knows what to do about a conflict: both dialects say it in the same way."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


@cache
def add(dialect: str, table: Table) -> Any:
    """Add rows; one whose key is there changes nothing."""
    return _inserted(dialect, table).on_conflict_do_nothing()


@cache
def put(dialect: str, table: Table, columns: tuple[str, ...] = ()) -> Any:
    """Add rows, or put these columns, by default all, into the row that has the key."""
    keys = [column.name for column in table.primary_key]
    names = columns or tuple(column.name for column in table.columns if column.name not in keys)
    insert = _inserted(dialect, table)
    return insert.on_conflict_do_update(index_elements=keys, set_={name: insert.excluded[name] for name in names})


@cache
def _upsert_orders(dialect: str) -> Any:
    """As `merged` in journal/rows/facts.py."""
    insert = _inserted(dialect, ORDERS)
    old, new = ORDERS.c, insert.excluded
    says_state = new.state != _EMPTY
    stays = and_(or_(new.state == _EMPTY, new.state == old.state), bindparam("has_moved").is_(False))
    return insert.on_conflict_do_update(
        index_elements=["order_key", "received_ms"],
        set_={
            **{column.name: new[column.name] for column in ORDERS.c if column.name not in ("order_key", "received_ms")},
            **{name: func.coalesce(new[name], old[name]) for name in KEPT},
            "state": case((says_state, new.state), else_=old.state),
            "state_since_ms": case((stays, old.state_since_ms), else_=new.state_since_ms),
        },
    )


@cache
def _begin_orders() -> Any:
    of = ORDERS.c
    return delete(ORDERS).where(
        of.order_key == bindparam("begun_key"), of.received_ms != bindparam("begun_ms"), of.is_forgotten.is_(False)
    )


_LANE: Final = ("order_key", "received_ms", "lane", "epoch", "record_offset")


@cache
def _newer_before() -> Any:
    """Whether a request of a newer epoch is before this one in its lane."""
    of = REQUESTS.c
    return (
        select(of.request_id)
        .where(
            of.order_key == bindparam("of_order_key"),
            of.received_ms == bindparam("of_received_ms"),
            of.lane == bindparam("of_lane"),
            of.epoch > bindparam("of_epoch"),
            of.record_offset < bindparam("of_record_offset"),
        )
        .limit(1)
    )


@cache
def _end_actions() -> Any:
    """An end whose beginning is not kept any more has no row."""
    of = ACTIONS.c
    ends = update(ACTIONS).where(of.event_id == bindparam("of_event_id"), of.topic == bindparam("of_topic"))
    return ends.values({name: bindparam(f"to_{name}") for name in _ACTION_ENDS})


@cache
def _end_waiting() -> Any:
    return delete(WAITING).where(WAITING.c.lane == bindparam("gone_lane"), WAITING.c.request_id == bindparam("gone_id"))


@cache
def _end_refused() -> Any:
    return delete(REFUSED_CALLS).where(REFUSED_CALLS.c.order_key == bindparam("gone_key"))


@cache
def move_offsets() -> Any:
    """Compare and set: nothing changes where another has written, or owns the partition now."""
    of = OFFSETS.c
    return (
        update(OFFSETS)
        .where(
            of.topic == bindparam("of_topic"),
            of.partition == bindparam("of_partition"),
            of.next_offset == bindparam("from_offset"),
            of.claim == bindparam("of_claim"),
        )
        .values(next_offset=bindparam("to_offset"), memory=bindparam("to_memory"), record_ms=bindparam("to_record_ms"))
    )


def _clean(batch: Batch) -> None:
    """Replace NUL in all texts: PostgreSQL takes none, and both databases are to have the same rows."""
    last: Iterable[Row | None] = (
        *batch.orders.values(),
        *batch.begun,
        *batch.waiting.values(),
        *batch.gates.values(),
        *batch.letters.values(),
        *batch.ends.values(),
        *(row for rows in batch.refused.values() for row in rows),
        *batch.pauses.values(),
        *batch.acted.values(),
        *batch.act_ends.values(),
        *(row for suspect in batch.suspects for row in (suspect.request, *suspect.bodies, *suspect.ids)),
        *(row for rows in batch.added.values() for row in rows),
    )
    for row in last:
        for name, value in (row or {}).items():
            if isinstance(value, str) and NUL in value:
                row[name] = without_nul(value)  # type: ignore[index]  # it has this member
    batch.waiting = {(without_nul(lane), without_nul(id_)): row for (lane, id_), row in batch.waiting.items()}
    batch.refused = {without_nul(key): rows for key, rows in batch.refused.items()}
