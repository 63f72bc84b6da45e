"""The timeline of an order: every record of the journal about it, by time and place, a page at a time."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, RowMapping, Table, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from journal.queries.pages import cursor_with, values_in
from journal.queries.stories import Life
from journal.tables.deliveries import ATTEMPTS, BODIES, DEAD_LETTERS, REQUESTS, WAITING
from journal.tables.incidents import REFUSED_CALLS
from journal.tables.operators import ACTIONS
from journal.tables.orders import FACTS

WHOLE_MAX: Final = 20_000
"""Records of a whole timeline. An order has some dozens; one whose request failed for a day, some hundreds."""
_NAME: Final = "timeline"
_PLACE: Final = ("partition", "record_offset")
_AT: Final = "timeline_at"
_NUMBER: Final = "timeline_number"
_SHOWN_ELSEWHERE: Final = frozenset({"order_key", "received_ms", _AT, _NUMBER, *_PLACE})
_SORTING: Final = 5
"""The first members of a row, by which a timeline is sorted."""


class TimelineRow(NamedTuple):
    """A record about an order. `topic`: its name in the catalogue; `number`: tells rows of one record apart;
    `request_id`: of the request that it is about."""

    at_ms: int
    topic: str
    partition: int
    offset: int
    number: int
    kind: str
    name: str
    request_id: str
    data: dict[str, Any]


@dataclass(frozen=True)
class _Source:
    """A table with records about orders. `at`: when each was; `by_life`: it knows to which life of the key it belongs;
    `topic`: of all its records; empty: each row has its own. `number`: what tells rows of one record apart, or None."""

    table: Table
    kind: str
    at: ColumnElement[int]
    topic: str
    name: Callable[[RowMapping], str]
    by_life: bool = True
    number: ColumnElement[int] | None = None


_ENDED: Final[ColumnElement[int]] = func.coalesce(
    func.nullif(DEAD_LETTERS.c.died_ms, 0), DEAD_LETTERS.c.concluded_ms, 0
)
"""When a request was given up or refused; of one of which only the end is known, that."""
_SOURCES: Final = (
    _Source(FACTS, "fact", FACTS.c.at_ms, "orders.events", lambda row: row["name"]),
    _Source(REQUESTS, "request", REQUESTS.c.written_ms, "deliveries.requests", lambda row: row["touchpoint"]),
    _Source(ATTEMPTS, "attempt", ATTEMPTS.c.at_ms, "deliveries.attempts", lambda row: row["result"]),
    _Source(WAITING, "waiting", WAITING.c.queued_ms, "deliveries.outbox", lambda row: row["touchpoint"], by_life=False),
    _Source(DEAD_LETTERS, "dead-letter", _ENDED, "deliveries.dead", lambda row: row["concluded"] or row["kind"]),
    _Source(
        REFUSED_CALLS,
        "refused-call",
        REFUSED_CALLS.c.last_ms,
        "orders.refused",
        lambda row: row["touchpoint"],
        by_life=False,
        number=REFUSED_CALLS.c.number,
    ),
    _Source(ACTIONS, "action", ACTIONS.c.at_ms, "", lambda row: row["action"], by_life=False),
)


@dataclass(frozen=True, slots=True)
class Timeline:
    """A page. `bodies`: form and bytes of what is kept, by request."""

    rows: Sequence[TimelineRow]
    bodies: dict[str, tuple[str, int]]
    next: str | None


async def timeline_of(connection: AsyncConnection, life: Life, *, cursor: str | None, limit: int) -> Timeline:
    """At most `limit` records of an order, the oldest first. Raises CursorError."""
    key = life.order.order_key
    after = None if cursor is None else values_in(cursor, _NAME, {"key": key}, (int, str, int, int, int))
    found = [await _rows(connection, source, life, after, limit + 1) for source in _SOURCES]
    rows = list(heapq.merge(*found, key=lambda row: row[:_SORTING]))
    shown = rows[:limit]
    bodies = await _bodies(connection, life, {row.request_id for row in shown if row.kind == "request"})
    following = cursor_with(_NAME, {"key": key}, shown[-1][:_SORTING]) if len(rows) > limit else None
    return Timeline(shown, bodies, following)


async def _rows(
    connection: AsyncConnection, source: _Source, life: Life, after: Sequence[Any] | None, limit: int
) -> list[TimelineRow]:
    of = source.table.c
    number: ColumnElement[int] = literal(0) if source.number is None else source.number
    asked = select(source.table, source.at.label(_AT), number.label(_NUMBER)).where(
        of.order_key == life.order.order_key
    )
    if source.by_life:
        asked = asked.where(of.received_ms >= life.since_ms)
    sorting = [source.at, *([] if source.topic else [of.topic]), of.partition, of.record_offset, number]
    if after is not None:
        asked = asked.where(_behind(source, sorting, after))
    found = (await connection.execute(asked.order_by(*sorting).limit(limit))).mappings()
    return [_row(source, row) for row in found]


def _behind(source: _Source, sorting: Sequence[ColumnElement[Any]], after: Sequence[Any]) -> ColumnElement[bool]:
    """Records behind a place. A topic's name stands between time and partition."""
    at_ms, topic, partition, offset, number = after
    if not source.topic:
        return tuple_(*sorting) > tuple_(at_ms, topic, partition, offset, number)
    if source.topic == topic:
        return tuple_(*sorting) > tuple_(at_ms, partition, offset, number)
    is_later: ColumnElement[bool] = sorting[0] >= at_ms if source.topic > topic else sorting[0] > at_ms
    return is_later


def _row(source: _Source, row: RowMapping) -> TimelineRow:
    data = {name: value for name, value in row.items() if name not in _SHOWN_ELSEWHERE}
    return TimelineRow(
        at_ms=row[_AT],
        topic=source.topic or row["topic"],
        partition=row["partition"],
        offset=row["record_offset"],
        number=row[_NUMBER],
        kind=source.kind,
        name=source.name(row),
        request_id=row.get("request_id", ""),
        data=data,
    )


async def _bodies(connection: AsyncConnection, life: Life, ids: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Form and size of the bodies of these requests, without the bodies."""
    wanted = sorted(ids)
    if not wanted:
        return {}
    of = BODIES.c
    asked = select(of.id, of.form, of.bytes).where(
        of.order_key == life.order.order_key,
        of.received_ms >= life.since_ms,
        of.kind == "request",
        of.id.in_(wanted),
    )
    return {row.id: (row.form, row.bytes) for row in await connection.execute(asked)}
