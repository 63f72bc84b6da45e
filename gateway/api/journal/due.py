"""/api/due: open orders by the time at which they must be handed over, and which of them will be late."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from aiohttp import web

from gateway.api.handler import Act
from gateway.api.journal.filters import list_filters
from gateway.api.journal.frame import cursor_in, limit_in, next_path, reading
from gateway.http.answers import Answer, bad_data, json_answer
from gateway.http.call import Call
from gateway.ports import Clock
from journal.queries.due import InQueue, Packed, counts_before, due_page, packed_since, queue_until
from journal.queries.forecast import (
    GIVEN_UP_MS,
    HOUR_MS,
    LOOK_BACK_MS,
    RECENT_MS,
    Forecast,
    OrderId,
    Rate,
    forecasts,
    rates,
)
from journal.queries.reader import JournalReader
from topics.api.journal.due import DueCounts, DueList, DueOrder, LocationRate
from topics.api.journal.list_routes import LIST_ROUTES, ZONE
from topics.configuration.channels import Channels

_QUERY = next(route.query for route in LIST_ROUTES if route.name == "list-due")
_OFFSET: Final = re.compile(r"([+-])([01]\d):([0-5]\d)|Z")


class DueApi:
    def __init__(self, channels: Channels, journal: JournalReader, now_ms: Clock) -> None:
        self._channels = channels.channels
        self._journal = journal
        self._now_ms = now_ms

    def acts(self) -> dict[str, Act]:
        return {"list-due": self.due}

    async def due(self, call: Call, request: web.Request) -> Answer:
        """A page of open orders, those due first before others, and the rates of their locations."""
        filters, _ = list_filters(call, request, _QUERY, self._channels)
        now_ms = self._now_ms()
        day_ends_ms = day_end_ms(now_ms, filters.pop(ZONE.name, "Z"))
        ends = ends_of(now_ms, day_ends_ms)
        asked = {**filters, **_bounds(filters.get("group"), ends)}
        async with reading(self._journal) as connection:
            page = await due_page(connection, asked, cursor=cursor_in(request), limit=limit_in(request))
            before, more = await counts_before(connection, filters, [*ends.values()])
            last_ms = max((row["due_ms"] for row in page.rows), default=now_ms)
            queue = await queue_until(connection, now_ms - GIVEN_UP_MS, max(last_ms, now_ms))
            packed, began_ms = await packed_since(connection, now_ms - LOOK_BACK_MS, now_ms - RECENT_MS, now_ms)
        # In a thread: the queues of a large backlog take some tenths of a second, and marketplaces wait for this loop.
        known, expected, late = await asyncio.to_thread(_foreseen, page.rows, queue, packed, began_ms, now_ms)
        locations = sorted({row["location"] for row in page.rows if row["location"] in known})
        counts = [count - earlier for count, earlier in zip(before, [0, *before], strict=False)]
        shown = DueList(
            nowMs=now_ms,
            dayEndsMs=day_ends_ms,
            counts=DueCounts(overdue=counts[0], within2h=counts[1], within4h=counts[2], today=counts[3], more=more),
            locations=[_location(name, known[name], late[name], now_ms) for name in locations],
            orders=[_order(row, expected, ends) for row in page.rows],
            next=next_path(request, page.next),
        )
        return json_answer(shown.model_dump(mode="json"))


def _foreseen(
    listed: Sequence[Mapping[str, Any]], queue: Sequence[InQueue], packed: Sequence[Packed], began_ms: int, now_ms: int
) -> tuple[dict[str, Rate], dict[OrderId, Forecast], Counter[str]]:
    """The rate of each location, the forecasts of the listed orders, and how many orders of each location will be
    late."""
    known = rates(queue, packed, began_ms, now_ms)
    expected = forecasts(queue, known, now_ms)
    late = Counter[str]()
    for one in queue:
        forecast = expected.get((one.order_key, one.received_ms))
        if one.location is not None and forecast is not None and is_late(forecast, one.due_ms):
            late[one.location] += 1
    ids = [(row["order_key"], row["received_ms"]) for row in listed]
    return known, {id_: expected[id_] for id_ in ids if id_ in expected}, late


def day_end_ms(now_ms: int, zone: str) -> int:
    """The end of the day in a zone, that of its offset now. Raises Refused."""
    found = _OFFSET.fullmatch(zone)
    if found is None:
        raise bad_data(f"{ZONE.name}: must be an offset from UTC, as +05:30 (in a URL: %2B05:30), or Z")
    sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    here = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(timezone(offset))
    begin = here.replace(hour=0, minute=0, second=0, microsecond=0)
    return int((begin + timedelta(days=1)).timestamp() * 1000)


def ends_of(now_ms: int, day_ends_ms: int) -> dict[str, int]:
    """The end of each group; they ascend, so late in the evening the last is empty."""
    soon_ms = now_ms + 4 * HOUR_MS
    return {
        "overdue": now_ms,
        "2h": now_ms + 2 * HOUR_MS,
        "4h": soon_ms,
        "today": max(day_ends_ms, soon_ms),
    }


def group_of(due_ms: int, ends: Mapping[str, int]) -> str:
    return next((name for name, end_ms in ends.items() if due_ms < end_ms), "later")


def is_late(forecast: Forecast, due_ms: int) -> bool:
    return forecast.at_ms is not None and forecast.at_ms > due_ms


def _bounds(group: str | None, ends: Mapping[str, int]) -> dict[str, int]:
    if group is None:
        return {}
    names = [*ends]
    before = names.index(group) - 1
    bounds = {"before_ms": ends[group]}
    return bounds if before < 0 else {**bounds, "from_ms": ends[names[before]]}


def _location(name: str, rate: Rate, late: int, now_ms: int) -> LocationRate:
    return LocationRate(
        location=name,
        perHour=round(rate.per_hour, 1),
        queued=rate.queued,
        doneMs=rate.done_ms(rate.queued, now_ms) if rate.queued else None,
        late=late,
    )


def _order(row: Mapping[str, Any], expected: Mapping[OrderId, Forecast], ends: Mapping[str, int]) -> DueOrder:
    forecast = expected.get((row["order_key"], row["received_ms"]))
    return DueOrder(
        channel=row["channel"],
        code=row["code"],
        state=row["state"],
        stateSinceMs=row["state_since_ms"],
        location=row["location"],
        dueMs=row["due_ms"],
        group=group_of(row["due_ms"], ends),
        units=row["units"],
        unitsOpen=row["units_open"],
        place=forecast.place if forecast else None,
        packedMs=forecast.at_ms if forecast else None,
        isLate=forecast is not None and is_late(forecast, row["due_ms"]),
    )
