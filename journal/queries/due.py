"""Orders by the time at which they must be handed over, and how fast their locations pack."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from journal.queries.deliveries import equal
from journal.queries.pages import Keyset, ListPage
from journal.queries.scans import scanned_page
from journal.tables.orders import FACTS, IS_OPEN, IS_PACKED, ORDERS

DUE_MAX: Final = 50_000
"""Open orders that are counted, and of which the queues of locations are made: those due first."""
ROWS_AT_ONCE: Final = 500
"""Rows that are taken before the event loop gets a turn: some milliseconds. All at once held it for half a second."""
PACKED_MAX: Final = 5_000
"""Packed shipments by which the rates of locations are judged: the newest."""

_of = ORDERS.c
BY_DUE: Final = Keyset("due", (_of.due_ms, _of.order_key, _of.received_ms), descending=False)


@dataclass(frozen=True, slots=True)
class InQueue:
    """An open order that still has units to pack."""

    order_key: str
    received_ms: int
    location: str | None
    due_ms: int


@dataclass(frozen=True, slots=True)
class Packed:
    """Shipments that a location has packed since `since_ms`; of these, `recently` since a later time."""

    location: str | None
    count: int
    recently: int


async def due_page(
    connection: AsyncConnection,
    filters: Mapping[str, Any],
    *,
    cursor: str | None,
    limit: int,
) -> ListPage:
    """A page of open orders, those due first before others. `filters`: channel, location, from_ms, before_ms. Raises
    CursorError."""
    chosen = select(ORDERS).where(IS_OPEN, _of.due_ms.is_not(None))
    if "from_ms" in filters:
        chosen = chosen.where(_of.due_ms >= filters["from_ms"])
    if "before_ms" in filters:
        chosen = chosen.where(_of.due_ms < filters["before_ms"])
    named = {name: filters[name] for name in ("channel", "location", "group") if name in filters}
    return await scanned_page(
        connection,
        chosen,
        equal(filters, ("channel", "location")),
        BY_DUE,
        filters=named,
        cursor=cursor,
        limit=limit,
    )


async def counts_before(
    connection: AsyncConnection, filters: Mapping[str, Any], times: Sequence[int]
) -> tuple[list[int], bool]:
    """How many open orders are due before each of these times, which ascend; and whether there are more of them than
    were counted. `filters`: channel, location."""
    first = (
        select(_of.due_ms, _of.channel, _of.location)
        .where(IS_OPEN, _of.due_ms < times[-1])
        .order_by(_of.due_ms)
        .limit(DUE_MAX)
        .subquery("first")
    )
    asked = equal(filters, ("channel", "location"))
    counts = [func.sum(case((first.c.due_ms < at_ms, 1), else_=0)) for at_ms in times]
    row = (await connection.execute(select(*counts).where(*(condition(first.c) for condition in asked)))).one()
    looked = await connection.scalar(select(func.count()).select_from(first))
    return [count or 0 for count in row], looked == DUE_MAX


async def queue_until(connection: AsyncConnection, from_ms: int, until_ms: int) -> list[InQueue]:
    """The orders with something to pack that are due from one time until another, in the sequence in which they are
    due: the first DUE_MAX."""
    chosen = (
        select(_of.order_key, _of.received_ms, _of.location, _of.due_ms, _of.units_open)
        .where(IS_OPEN, _of.due_ms >= from_ms, _of.due_ms <= until_ms)
        .order_by(_of.due_ms, _of.order_key, _of.received_ms)
        .limit(DUE_MAX)
    )
    found: list[InQueue] = []
    async with connection.stream(chosen) as rows:
        async for some in rows.partitions(ROWS_AT_ONCE):
            found += [InQueue(key, received, location, due) for key, received, location, due, left in some if left]
            await asyncio.sleep(0)
    return found


async def packed_since(
    connection: AsyncConnection, since_ms: int, recent_ms: int, now_ms: int
) -> tuple[list[Packed], int]:
    """Shipments packed by each location since a time, of the newest PACKED_MAX; and since when that is."""
    of = FACTS.c
    newest = (
        select(of.order_key, of.received_ms, of.at_ms)
        .where(IS_PACKED, of.at_ms.between(since_ms, now_ms))
        .order_by(of.at_ms.desc())
        .limit(PACKED_MAX)
        .subquery("newest")
    )
    by_location = (
        select(
            _of.location,
            func.count(),
            func.sum(case((newest.c.at_ms >= recent_ms, 1), else_=0)),
            func.min(newest.c.at_ms),
        )
        .join_from(newest, ORDERS, (_of.order_key == newest.c.order_key) & (_of.received_ms == newest.c.received_ms))
        .group_by(_of.location)
    )
    rows = (await connection.execute(by_location)).all()
    is_whole = sum(row[1] for row in rows) < PACKED_MAX
    began_ms = since_ms if is_whole else min(row[3] for row in rows)
    return [Packed(row[0], row[1], row[2]) for row in rows], began_ms
