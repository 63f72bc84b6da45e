"""/api/orders: lists of orders, returns and manifests, from the journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from gateway.api.handler import Act, channel_named
from gateway.api.journal.frame import cursor_in, filters_of, limit_in, next_path, reading
from gateway.http.answers import Answer, json_answer
from gateway.http.call import Call
from journal.queries.orders import orders_page
from journal.queries.reader import JournalReader
from topics.api.journal.orders import ListedOrder, OrderList
from topics.api.journal.routes import JOURNAL_ROUTES
from topics.configuration.channels import Channels

_QUERY = {route.name: route.query for route in JOURNAL_ROUTES}


class OrderListApi:
    def __init__(self, channels: Channels, journal: JournalReader) -> None:
        self._channels = channels.channels
        self._journal = journal

    def acts(self) -> dict[str, Act]:
        """The handlers of lists of orders, by the names of their routes."""
        return {"list-orders": self.orders}

    async def orders(self, call: Call, request: web.Request) -> Answer:
        """A page of orders that fit all filters."""
        filters = filters_of(request, _QUERY["list-orders"])
        if "channel" in filters:
            call.channel = channel_named(self._channels, filters["channel"])
        async with reading(self._journal) as connection:
            page = await orders_page(connection, filters, cursor=cursor_in(request), limit=limit_in(request))
        shown = OrderList(orders=[_listed(row) for row in page.rows], next=next_path(request, page.next))
        return json_answer(shown.model_dump())


def _listed(row: Mapping[str, Any]) -> ListedOrder:
    return ListedOrder(
        channel=row["channel"],
        kind=row["kind"],
        code=row["code"],
        state=row["state"],
        stateSinceMs=row["state_since_ms"],
        receivedMs=row["received_ms"],
        isOpen=row["is_open"],
        location=row["location"],
        dueMs=row["due_ms"],
        units=row["units"],
        unitsOpen=row["units_open"],
        stuckStep=row["stuck_step"] or None,
    )
