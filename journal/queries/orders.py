"""Lists of orders, returns and manifests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from journal.queries.pages import Keyset, ListPage, page_of
from journal.tables.orders import ORDERS

_of = ORDERS.c
NEWEST: Final = Keyset("orders", (_of.received_ms, _of.order_key))


async def orders_page(
    connection: AsyncConnection, filters: Mapping[str, Any], *, cursor: str | None, limit: int
) -> ListPage:
    """A page of orders, the newest first. `filters`: those that were given. Raises CursorError."""
    chosen = select(ORDERS)
    for name in ("channel", "state"):
        if name in filters:
            chosen = chosen.where(_of[name] == filters[name])
    return await page_of(connection, chosen, NEWEST, filters=filters, cursor=cursor, limit=limit)
