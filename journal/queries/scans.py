"""Pages of a list with filters that no index has: a page looks at a bounded number of rows, whatever it finds.

So a filter that fits one row in a million costs as little as any other: the page is short or empty, and its cursor goes
on behind the rows that were looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from journal.queries.pages import Keyset, ListPage, cursor_of, page_of, paged

LOOKED_AT_MAX: Final = 20_000
"""Rows that a page looks at: some ten milliseconds, also when they are not in memory."""

Columns = Any
"""The columns of a select, by name, as a condition takes them."""
Condition = Callable[[Columns], ColumnElement[Any]]


async def scanned_page(
    connection: AsyncConnection,
    chosen: Select[Any],
    conditions: Sequence[Condition],
    keyset: Keyset,
    *,
    filters: Mapping[str, Any],
    cursor: str | None,
    limit: int,
) -> ListPage:
    """A page of those rows of a select that fulfil the conditions. `chosen`: has the filters that an index has.
    Raises CursorError."""
    if not conditions:
        return await page_of(connection, chosen, keyset, filters=filters, cursor=cursor, limit=limit)
    looked_at = paged(chosen, keyset, filters=filters, cursor=cursor, limit=LOOKED_AT_MAX - 1).subquery("looked_at")
    keys = [looked_at.c[str(column.key)] for column in keyset.columns]
    forward = [key.desc() if keyset.descending else key.asc() for key in keys]
    fitting = select(looked_at).where(*(condition(looked_at.c) for condition in conditions))
    found = await connection.execute(fitting.order_by(*forward).limit(limit + 1))
    rows: list[dict[str, Any]] = [{**row} for row in found.mappings()]
    if len(rows) > limit:
        return ListPage(rows[:limit], cursor_of(keyset, filters, rows[limit - 1]))
    if await connection.scalar(select(func.count()).select_from(looked_at)) != LOOKED_AT_MAX:
        return ListPage(rows, None)
    backward = [key.asc() if keyset.descending else key.desc() for key in keys]
    last = (await connection.execute(select(*keys).order_by(*backward).limit(1))).mappings().one()
    return ListPage(rows, cursor_of(keyset, filters, {**last}))
