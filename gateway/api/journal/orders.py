"""/api/orders: lists of orders, returns and manifests with what they wait for; /api/search; timelines."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from gateway.api.handler import Act, channel_named
from gateway.api.journal.frame import cursor_in, filters_of, limit_in, next_path, reading
from gateway.api.journal.stories import Stories
from gateway.api.journal.story import KEYS, key_in
from gateway.http.answers import Answer, Refused, bad_data, json_answer
from gateway.http.call import Call
from gateway.http.query import flag_of, number_of, text_of
from journal.queries.orders.ids import BEGINNING_MIN, found_ids
from journal.queries.orders.lists import ListedLife, OrderFilters, OrderLists
from journal.queries.orders.timelines import WHOLE_MAX, TimelineRow, timeline_of
from journal.queries.reader import JournalReader
from journal.queries.stories import lives_of
from journal.story.rows import UNKNOWN, OrderRow
from journal.tables.base import without_nul
from topics.api.journal.orders import (
    FoundId,
    ListedOrder,
    ListedWait,
    OrderList,
    SearchDocument,
    TimelineBody,
    TimelineDocument,
    TimelineEntry,
)
from topics.api.journal.routes import DUE_WITHIN, LIST_QUERY, NEWER, OLDER, SEARCHED, TIMELINE_LIMIT, WHOLE
from topics.configuration.channels import Channels
from topics.records.json_text import JsonTextError, read
from topics.records.keys import INCREFF, channel_destination

FOUND_MAX: Final = 50
"""Places that one search shows: with more, a longer text says which is meant."""
_AGES: Final = (OLDER.name, NEWER.name, DUE_WITHIN.name)
_PASSED_ON: Final = ("channel", "kind", "state", "location", "cause", "text")


class OrderListApi:
    def __init__(self, channels: Channels, journal: JournalReader, stories: Stories) -> None:
        self._channels = channels.channels
        self._journal = journal
        self._stories = stories
        self._destinations = [INCREFF, *(channel_destination(name) for name in sorted(channels.channels))]

    def acts(self) -> dict[str, Act]:
        """The handlers of lists of orders, of searches and timelines, by the names of their routes."""
        timelines = {f"get-{kind}-timeline": partial(self._timeline, kind) for kind in KEYS}
        return {"list-orders": self.orders, "search": self.search, **timelines}

    async def orders(self, call: Call, request: web.Request) -> Answer:
        """A page of orders that fit all filters."""
        asked = filters_of(request, LIST_QUERY)
        if "channel" in asked:
            call.channel = channel_named(self._channels, asked["channel"])
        async with reading(self._journal) as connection:
            now = await self._stories.now(connection)
            lists = OrderLists(
                connection,
                now.around,
                asked=asked,
                channels=sorted(self._channels),
                destinations=self._destinations,
            )
            filters = _filters(asked, now.around.now_ms)
            page = await lists.page(filters, cursor=cursor_in(request), limit=limit_in(request))
        shown = OrderList(orders=[_listed(one) for one in page.rows], next=next_path(request, page.next))
        return json_answer(shown.model_dump())

    async def search(self, call: Call, request: web.Request) -> Answer:
        """Where an id leads."""
        text = text_of(request, SEARCHED)
        if text is None:
            raise bad_data(f"q: name an id, or the first {BEGINNING_MIN} characters of one or more")
        channel = request.query.get("channel")
        if channel:
            call.channel = channel_named(self._channels, channel)
        async with reading(self._journal) as connection:
            found = await found_ids(connection, text, FOUND_MAX + 1)
            keys = list(dict.fromkeys(row["order_key"] for row in found))
            now = await self._stories.now(connection)
            lives = await lives_of(connection, keys, now.around)
        shown = [
            _found(row, lives[row["order_key"]].order)
            for row in found[:FOUND_MAX]
            if not channel or lives[row["order_key"]].order.channel == channel
        ]
        return json_answer(SearchDocument(found=shown, more=len(found) > FOUND_MAX).model_dump())

    async def _timeline(self, kind: str, call: Call, request: web.Request) -> Answer:
        key = without_nul(key_in(self._channels, kind, call, request).decode())
        is_whole = flag_of(request, WHOLE)
        async with reading(self._journal) as connection:
            now = await self._stories.now(connection)
            life = (await lives_of(connection, [key], now.around))[key]
            limit = WHOLE_MAX if is_whole else number_of(request, TIMELINE_LIMIT)
            page = await timeline_of(connection, life, cursor=cursor_in(request), limit=limit)
        if not page.rows and life.order.state == UNKNOWN:
            raise Refused(404, "UNKNOWN", f"The journal knows nothing of {kind} {call.subject}")
        entries = [_entry(row, page.bodies) for row in page.rows]
        shown = TimelineDocument(key=key, entries=entries, next=next_path(request, page.next))
        answer = json_answer(shown.model_dump())
        if not is_whole:
            return answer
        name = quote(f"{kind}-{call.subject}.json", safe="")
        headers = (("Content-Disposition", f"attachment; filename*=UTF-8''{name}"),)
        return Answer(answer.status, answer.body, headers=headers)


def _filters(asked: Mapping[str, Any], now_ms: int) -> OrderFilters:
    older, newer, due = (asked.get(name) for name in _AGES)
    return OrderFilters(
        **{name: asked[name] for name in _PASSED_ON if name in asked},
        is_open=asked.get("open"),
        received_before_ms=None if older is None else now_ms - older * 1000,
        received_from_ms=None if newer is None else now_ms - newer * 1000,
        due_before_ms=None if due is None else now_ms + due * 1000,
    )


def _listed(one: ListedLife) -> ListedOrder:
    order, wait = one
    return ListedOrder(
        channel=order.channel,
        kind=order.kind,
        code=order.code,
        state=order.state,
        stateSinceMs=order.state_since_ms,
        receivedMs=order.received_ms,
        isOpen=order.is_open,
        location=order.location,
        dueMs=order.due_ms,
        units=order.units,
        unitsOpen=order.units_open,
        stuckStep=order.stuck_step or None,
        wait=None
        if wait is None
        else ListedWait(
            cause=wait.cause,
            sentence=wait.sentence,
            sinceMs=wait.since_ms,
            untilMs=wait.until_ms,
            destination=wait.destination,
            touchpoint=wait.touchpoint,
        ),
    )


def _found(row: Mapping[Any, Any], order: OrderRow) -> FoundId:
    return FoundId(
        id=row["id"],
        idKind=row["kind"],
        channel=order.channel,
        kind=order.kind,
        code=order.code,
        state=None if order.state == UNKNOWN else order.state,
        receivedMs=row["received_ms"],
    )


def _entry(row: TimelineRow, bodies: Mapping[str, tuple[str, int]]) -> TimelineEntry:
    body = bodies.get(row.request_id) if row.kind == "request" else None
    return TimelineEntry(
        atMs=row.at_ms,
        kind=row.kind,
        name=row.name,
        topic=row.topic,
        partition=row.partition,
        offset=row.offset,
        data={name: _read(value) if name in _JSON else value for name, value in row.data.items()},
        body=None if body is None else TimelineBody(kind="request", id=row.request_id, form=body[0], bytes=body[1]),
    )


_JSON: Final = frozenset({"data", "before", "after", "result"})
"""Columns of texts that are JSON."""


def _read(text: Any) -> Any:
    try:
        return read(text.encode()) if isinstance(text, str) and text else text
    except JsonTextError:
        return text
