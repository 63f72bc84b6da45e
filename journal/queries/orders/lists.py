"""Lists of orders, returns and manifests, each with what it waits for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, RowMapping, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from journal.queries.destinations import downs_of, pauses_of, quiets_of
from journal.queries.orders.branches import STATES, merged, walk
from journal.queries.orders.candidates import SCANNED_MAX, SOURCES, Candidate, Choice, candidates_of
from journal.queries.orders.ids import keys_of
from journal.queries.pages import cursor_with, values_in
from journal.queries.stories import Surroundings, lives_of, order_of, rows_of
from journal.story import causes
from journal.story.causes import Wait
from journal.story.rows import OrderRow
from journal.story.story import story
from journal.tables.orders import IS_OPEN, ORDERS

TOLD_AT_ONCE: Final = 50
"""Stories that are read in one go while a page with a cause is filled."""
TOLD_MAX: Final = 200
"""Stories that are told for one page, at most: with fewer that have the cause, the page is short."""
KEYS_MAX: Final = 500
"""Orders that a text of an id may lead to."""
_of = ORDERS.c
_NEWEST: Final = "orders"
_SOONEST: Final = "orders by due time"
_WITH_CAUSE: Final = "orders with a cause"
_MAY_WAIT: Final = ("REJECTED", "REFUSED")
"""States in which an order that is over waits for somebody all the same."""


class ListedLife(NamedTuple):
    """An order in a list. `wait`: what it waits for, first of all; with a cause asked for, the wait of that cause."""

    order: OrderRow
    wait: Wait | None


@dataclass(frozen=True, slots=True)
class OrderPage:
    rows: Sequence[ListedLife]
    next: str | None


@dataclass(frozen=True, kw_only=True)
class OrderFilters:
    """The choice that was asked for; None: not. `received_before_ms`, `received_from_ms`, `due_before_ms`: the ends of
    ages."""

    channel: str | None = None
    kind: str | None = None
    state: str | None = None
    location: str | None = None
    is_open: bool | None = None
    cause: str | None = None
    text: str | None = None
    received_before_ms: int | None = None
    received_from_ms: int | None = None
    due_before_ms: int | None = None

    def fit(self, order: OrderRow) -> bool:
        """Whether an order is one that was asked for, its cause and ids apart."""
        due_ms, received_ms = order.due_ms, order.received_ms
        return (
            self.channel in (None, order.channel)
            and self.kind in (None, order.kind)
            and self.state in (None, order.state)
            and self.location in (None, order.location)
            and self.is_open in (None, order.is_open)
            and (self.received_before_ms is None or received_ms < self.received_before_ms)
            and (self.received_from_ms is None or received_ms >= self.received_from_ms)
            and (self.due_before_ms is None or (due_ms is not None and due_ms < self.due_before_ms))
        )

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """Those that were given, in SQL."""
        for name in ("channel", "kind", "state", "location", "is_open"):
            value = getattr(self, name)
            if value is not None:
                yield _of[name] == value
        if self.received_before_ms is not None:
            yield _of.received_ms < self.received_before_ms
        if self.received_from_ms is not None:
            yield _of.received_ms >= self.received_from_ms
        if self.due_before_ms is not None:
            yield _of.due_ms < self.due_before_ms


class OrderLists:
    """Lists for one question. `asked`: the filters as they came, by which a cursor is checked; `channels`,
    `destinations`: all that are configured."""

    def __init__(
        self,
        connection: AsyncConnection,
        around: Surroundings,
        *,
        asked: Mapping[str, Any],
        channels: Sequence[str],
        destinations: Sequence[str],
    ) -> None:
        self._connection = connection
        self._around = around
        self._asked = asked
        self._channels = channels
        self._destinations = destinations

    async def page(self, filters: OrderFilters, *, cursor: str | None, limit: int) -> OrderPage:
        """A page of orders that fit all filters. Raises CursorError."""
        if filters.text is not None:
            return await self._with_text(filters, limit)
        if filters.cause is not None:
            return await self._with_cause(filters, filters.cause, cursor, limit)
        if filters.due_before_ms is not None:
            return await self._by_due(filters, cursor, limit)
        return await self._newest(filters, cursor, limit)

    async def _newest(self, filters: OrderFilters, cursor: str | None, limit: int) -> OrderPage:
        after = None if cursor is None else tuple(values_in(cursor, _NEWEST, self._asked, (int, str)))
        sorting = (_of.received_ms, _of.order_key)
        walks = [
            walk(select(ORDERS).where(*conditions), sorting, after=after, limit=limit + 1)
            for conditions in self._branches(filters)
        ]
        found = await self._rows(merged(walks, ("received_ms", "order_key"), limit=limit + 1))
        return await self._told(found, limit, _NEWEST, ("received_ms", "order_key"))

    def _branches(self, filters: OrderFilters) -> Iterator[tuple[ColumnElement[bool], ...]]:
        """The conditions of each walk: all columns that stand before the time in an index have one value."""
        given = tuple(filters.conditions())
        if filters.channel is None and filters.location is None and filters.state is None:
            yield given
            return
        states = STATES if filters.state is None else (filters.state,)
        channels = self._channels if filters.channel is None else (filters.channel,)
        for state in states:
            if filters.location is not None:
                yield (*given, _of.state == state)
                continue
            for channel in channels:
                yield (*given, _of.channel == channel, _of.state == state)

    async def _by_due(self, filters: OrderFilters, cursor: str | None, limit: int) -> OrderPage:
        """Open orders, the one that is due first first."""
        after = None if cursor is None else tuple(values_in(cursor, _SOONEST, self._asked, (int, str)))
        chosen = select(ORDERS).where(IS_OPEN, *replace(filters, is_open=None).conditions())
        asked = walk(chosen, (_of.due_ms, _of.order_key), after=after, limit=limit + 1, descending=False)
        return await self._told(await self._rows(asked), limit, _SOONEST, ("due_ms", "order_key"))

    async def _with_text(self, filters: OrderFilters, limit: int) -> OrderPage:
        """Those that an id with this text leads to, in one page."""
        keys = await keys_of(self._connection, filters.text or "", KEYS_MAX)
        asked = select(ORDERS).where(_of.order_key.in_(keys), *filters.conditions())
        found = await self._rows(asked.order_by(_of.received_ms.desc(), _of.order_key.desc()).limit(KEYS_MAX))
        page = await self._told(found, KEYS_MAX, _NEWEST, ("received_ms", "order_key"))
        kept = [one for one in page.rows if filters.cause is None or (one.wait and one.wait.cause == filters.cause)]
        return OrderPage(kept[:limit], None)

    async def _rows(self, asked: Select[Any]) -> Sequence[RowMapping]:
        return list((await self._connection.execute(asked)).mappings())

    async def _told(self, found: Sequence[RowMapping], limit: int, name: str, sorting: Sequence[str]) -> OrderPage:
        shown = found[:limit]
        waits = await self._waits([row["order_key"] for row in shown if row["is_open"] or row["state"] in _MAY_WAIT])
        listed = []
        for row in shown:
            order = order_of(row)
            of_key = waits.get(order.order_key)
            is_last = of_key is not None and of_key[0].received_ms == order.received_ms
            listed.append(ListedLife(order, of_key[1][0] if of_key and is_last and of_key[1] else None))
        more = len(found) > limit
        cursor = cursor_with(name, self._asked, [shown[-1][one] for one in sorting]) if more else None
        return OrderPage(listed, cursor)

    async def _waits(self, keys: Sequence[str]) -> dict[str, tuple[OrderRow, Sequence[Wait]]]:
        """The last life of each key, and its waits."""
        if not keys:
            return {}
        lives = await lives_of(self._connection, list(dict.fromkeys(keys)), self._around)
        rows = await rows_of(self._connection, lives, self._around, with_turns=False)
        return {key: (one.order, story(one, self._around.now_ms).waits) for key, one in rows.items()}

    async def _with_cause(self, filters: OrderFilters, cause: str, cursor: str | None, limit: int) -> OrderPage:
        """Orders with a wait of this cause. An index finds candidates; their stories say whether they have it."""
        after = None if cursor is None else tuple(values_in(cursor, _WITH_CAUSE, self._asked, (int, str)))
        found = await candidates_of(self._connection, cause, await self._choice(filters, cause), after)
        listed: list[ListedLife] = []
        last: Candidate | None = None
        told, seen = 0, set[str]()
        for begin in range(0, len(found), TOLD_AT_ONCE):
            if told >= TOLD_MAX or len(listed) >= limit:
                break
            some = found[begin : begin + TOLD_AT_ONCE]
            keys = [one.order_key for one in some if one.fits and one.order_key not in seen]
            told += len(keys)
            waits = await self._waits(keys)
            for one in some:
                if len(listed) == limit:
                    break
                last = one
                order, of_order = waits.pop(one.order_key, (None, ()))
                seen.add(one.order_key)
                wait = next((wait for wait in of_order if wait.cause == cause), None)
                if order is not None and wait is not None and filters.fit(order):
                    listed.append(ListedLife(order, wait))
        if last is None or (last is found[-1] and len(found) < SCANNED_MAX):
            return OrderPage(listed, None)
        return OrderPage(listed, cursor_with(_WITH_CAUSE, self._asked, [last.at_ms, last.order_key]))

    async def _choice(self, filters: OrderFilters, cause: str) -> Choice:
        """Destinations in whose requests the cause can be: those that are paused, are down, or ask for quiet, or the
        others."""
        channels = self._channels if filters.channel is None else [filters.channel]
        destinations: Sequence[str] = self._destinations
        if not SOURCES[cause].descending:
            now_ms = self._around.now_ms
            pauses = await pauses_of(self._connection, destinations, now_ms)
            stopped = {
                causes.PAUSED.name: {one.destination for one in pauses if one.ended_ms is None},
                causes.DOWN.name: {one.destination for one in await downs_of(self._connection, destinations)},
                causes.QUIET.name: {one.destination for one in await quiets_of(self._connection, destinations, now_ms)},
            }
            if cause in stopped:
                destinations = sorted(stopped[cause])
            elif cause != causes.BEHIND_REQUEST.name:
                out = stopped[causes.PAUSED.name] | stopped[causes.DOWN.name]
                destinations = [one for one in destinations if one not in out]
        return Choice(channels=channels, destinations=destinations, around=self._around)
