"""Lists of dead letters and of rejected records, plain and grouped; and of operators' actions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Text, and_, cast, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from journal.queries.deliveries import equal, within
from journal.queries.pages import Keyset, ListPage
from journal.queries.scans import Columns, Condition, scanned_page
from journal.tables.deliveries import BODIES, DEAD_LETTERS, HAS_NO_END
from journal.tables.incidents import REJECTED
from journal.tables.operators import ACTIONS
from topics.records.envelope import COMMAND

STATUS: Final = re.compile("[0-9]{3}")
"""An HTTP status, as a reason; any other text is looked for in words."""
GROUPED_MAX: Final = 100_000
"""Rows that are grouped: the newest. An outage of a day gives up some ten thousand."""
GROUPS_MAX: Final = 100
"""Groups that are shown: the largest."""
_LETTERS: Final = Keyset("dead letters", (DEAD_LETTERS.c.died_ms, DEAD_LETTERS.c.request_id))
_REJECTED: Final = Keyset(
    "rejected",
    (REJECTED.c.at_ms, REJECTED.c.source_topic, REJECTED.c.source_partition, REJECTED.c.source_offset),
)
_ACTIONS: Final = Keyset("actions", (ACTIONS.c.at_ms, ACTIONS.c.event_id))

Row = Mapping[Any, Any]
Place = tuple[str, int, int]
"""Topic, partition and offset of a record."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups of rows, the largest first. `more`: there are more rows, or groups, than these tell of."""

    rows: Sequence[Row]
    more: bool


@dataclass(frozen=True)
class _Asked:
    """A question to a table: a select by an index, and conditions that no index has."""

    chosen: Select[Any]
    conditions: list[Condition]
    keyset: Keyset


async def dead_letters_page(
    connection: AsyncConnection, filters: Mapping[str, Any], *, keys: Sequence[str], cursor: str | None, limit: int
) -> ListPage:
    """A page of dead letters, the newest first. `filters`: channel, destination, touchpoint, kind, reason, since_ms,
    until_ms and `all`, which adds those that have an end. Raises CursorError."""
    asked = _letters(filters, keys)
    return await _page(connection, asked, filters, keys, cursor, limit)


async def dead_letter_groups(connection: AsyncConnection, filters: Mapping[str, Any], keys: Sequence[str]) -> Groups:
    """How many there are of each destination, call and reason; the first, the last, and the id of one of them."""
    return await _groups(
        connection,
        _letters(filters, keys),
        ("destination", "touchpoint", "kind", "status", "error"),
        lambda of: of.died_ms,
        lambda of: of.request_id,
    )


async def letters_named(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, Row]:
    """These dead letters, by the id of their request."""
    named = select(DEAD_LETTERS).where(DEAD_LETTERS.c.request_id.in_(ids))
    return {row["request_id"]: row for row in (await connection.execute(named)).mappings()}


async def rejected_page(
    connection: AsyncConnection, filters: Mapping[str, Any], *, keys: Sequence[str], cursor: str | None, limit: int
) -> ListPage:
    """A page of rejected records, the newest first. `filters`: channel, role, code, touchpoint, since_ms, until_ms;
    `keys`: keys of records. Raises CursorError."""
    return await _page(connection, _rejected(filters, keys), filters, keys, cursor, limit)


async def rejected_groups(connection: AsyncConnection, filters: Mapping[str, Any], keys: Sequence[str]) -> Groups:
    """How many there are of each role, topic, kind of record and code. `example`: `topic|partition|offset` of one."""
    return await _groups(
        connection,
        _rejected(filters, keys),
        ("role", "source_topic", "event_type", "code"),
        lambda of: of.at_ms,
        lambda of: of.source_topic + "|" + cast(of.source_partition, Text) + "|" + cast(of.source_offset, Text),
    )


async def rejected_at(connection: AsyncConnection, places: Sequence[Place]) -> dict[Place, Row]:
    """These rejected records, by where they were before."""
    of = REJECTED.c
    key = (of.source_topic, of.source_partition, of.source_offset)
    named = select(REJECTED).where(or_(*(and_(*map(_same, key, place)) for place in places)))
    found = (await connection.execute(named)).mappings()
    return {(row["source_topic"], row["source_partition"], row["source_offset"]): row for row in found}


async def rejected_bodies(connection: AsyncConnection, rows: Sequence[Row]) -> dict[Place, Row]:
    """The bodies of rejected records, by where these were before."""
    of = BODIES.c
    places = {f"{place[0]}|{place[1]}|{place[2]}": place for place in map(place_of, rows)}
    named = select(BODIES).where(
        of.order_key == "", of.kind == "rejected", of.received_ms.in_({row["at_ms"] for row in rows}), of.id.in_(places)
    )
    return {places[row["id"]]: row for row in (await connection.execute(named)).mappings()}


async def actions_page(
    connection: AsyncConnection, filters: Mapping[str, Any], *, keys: Sequence[str], cursor: str | None, limit: int
) -> ListPage:
    """A page of operators' actions, the newest first. `filters`: by, action, target, channel, outcome, since_ms,
    until_ms; `keys`: those of the orders that are asked for. Raises CursorError."""
    of = ACTIONS.c
    chosen = within(select(ACTIONS), of.at_ms, filters)
    named = {_COLUMNS.get(name, name): value for name, value in filters.items()}
    indexed = set[str]()
    if keys:
        chosen = chosen.where(of.order_key.in_(keys))
    else:
        indexed = {name for name in ("target", "actor", "action") if name in named}
        indexed = {next(iter(sorted(indexed, reverse=True)))} if indexed else indexed
        chosen = chosen.where(*(of[name] == named[name] for name in indexed))
    conditions = equal(named, ("target", "actor", "action", "channel", "outcome"), but=indexed)
    return await _page(connection, _Asked(chosen, conditions, _ACTIONS), filters, keys, cursor, limit)


_COLUMNS: Final = {"by": "actor"}
"""Columns whose filter has another name."""


def place_of(row: Row) -> Place:
    return row["source_topic"], row["source_partition"], row["source_offset"]


def _same(column: Any, value: Any) -> ColumnElement[Any]:
    same: ColumnElement[Any] = column == value
    return same


def _letters(filters: Mapping[str, Any], keys: Sequence[str]) -> _Asked:
    of = DEAD_LETTERS.c
    chosen = within(select(DEAD_LETTERS), of.died_ms, filters)
    indexed = set[str]()
    if keys:
        chosen = chosen.where(of.order_key.in_(keys))
    elif "destination" in filters and "touchpoint" in filters:
        indexed = {"destination", "touchpoint"}
        chosen = chosen.where(*(of[name] == filters[name] for name in sorted(indexed)))
    if not filters.get("all"):
        chosen = chosen.where(HAS_NO_END)
    conditions = equal(filters, ("channel", "destination", "touchpoint", "kind"), but=indexed)
    if "reason" in filters:
        conditions.append(_has_reason(filters["reason"]))
    return _Asked(chosen, conditions, _LETTERS)


def _has_reason(text: str) -> Condition:
    """The status of the last attempt, or a part of its error or of the far side's words."""

    def condition(of: Columns) -> Any:
        if STATUS.fullmatch(text):
            return of.status == int(text)
        return or_(of.error.icontains(text, autoescape=True), of.message.icontains(text, autoescape=True))

    return condition


def _rejected(filters: Mapping[str, Any], keys: Sequence[str]) -> _Asked:
    of = REJECTED.c
    chosen = within(select(REJECTED), of.at_ms, filters)
    indexed = set[str]()
    if keys:
        chosen = chosen.where(of.record_key.in_(keys))
    elif "code" in filters:
        chosen, indexed = chosen.where(of.code == filters["code"]), {"code"}
    conditions = equal(filters, ("channel", "role", "code"), but=indexed)
    if "touchpoint" in filters:
        conditions += equal({"event_type": COMMAND + filters["touchpoint"]}, ("event_type",))
    return _Asked(chosen, conditions, _REJECTED)


async def _page(
    connection: AsyncConnection,
    asked: _Asked,
    filters: Mapping[str, Any],
    keys: Sequence[str],
    cursor: str | None,
    limit: int,
) -> ListPage:
    return await scanned_page(
        connection,
        asked.chosen,
        asked.conditions,
        asked.keyset,
        filters={**filters, "keys": keys},
        cursor=cursor,
        limit=limit,
    )


async def _groups(
    connection: AsyncConnection, asked: _Asked, names: Sequence[str], at: Condition, example: Condition
) -> Groups:
    newest = [column.desc() for column in asked.keyset.columns]
    looked_at = asked.chosen.order_by(*newest).limit(GROUPED_MAX).subquery("looked_at")
    of = looked_at.c
    members = [of[name] for name in names]
    counted = func.count().label("count")
    grouped = (
        select(
            *members,
            counted,
            func.min(at(of)).label("first_ms"),
            func.max(at(of)).label("last_ms"),
            func.max(example(of)).label("example"),
        )
        .where(*(condition(of) for condition in asked.conditions))
        .group_by(*members)
        .order_by(counted.desc(), *members)
        .limit(GROUPS_MAX + 1)
    )
    rows = (await connection.execute(grouped)).mappings().all()
    looked = await connection.scalar(select(func.count()).select_from(looked_at))
    return Groups(rows[:GROUPS_MAX], len(rows) > GROUPS_MAX or looked == GROUPED_MAX)
