"""/api/destinations: how each far side and subscription does, what waits for it, and what its budget allows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.api.handler import Act
from gateway.api.journal.filters import check_destination
from gateway.api.journal.frame import cursor_in, filters_of, limit_in, next_path, reading
from gateway.http.answers import Answer, json_answer
from gateway.http.call import Call
from gateway.ports import Clock
from journal.queries.backlog import BUDGET_ATTEMPTS_MAX, Waiting, attempts_since, destination_rows
from journal.queries.destinations import downs_of, pauses_of
from journal.queries.health import judged
from journal.queries.reader import JournalReader
from journal.story.rows import Pause
from topics.api.journal.destinations import (
    DestinationDocument,
    DestinationList,
    LastAttempt,
    LimitDocument,
    PauseDocument,
    QueueDocument,
)
from topics.api.journal.list_routes import LIST_ROUTES
from topics.configuration.budgets import Budget, CostBucket, FixedWindow, Limit, Quota, TokenBucket
from topics.configuration.channels import Channels, FarSide
from topics.configuration.pace import Pace
from topics.contract.definition import Priority
from topics.records.keys import INCREFF, channel_destination, subscription_destination, subscription_of
from topics.subscriptions.index import SubscriptionIndex
from topics.subscriptions.model import KINDS

PAGE_MAX: Final = 25
"""Destinations of a page: each takes some queries of its own."""
_QUERY = next(route.query for route in LIST_ROUTES if route.name == "list-destinations")


class Destinations:
    """All destinations that are configured or subscribed, and what is known of each."""

    def __init__(self, channels: Channels, subscriptions: SubscriptionIndex, now_ms: Clock) -> None:
        self._channels = channels
        self._subscriptions = subscriptions
        self._now_ms = now_ms

    @property
    def far_sides(self) -> list[str]:
        """Increff, then the channels that something is sent to."""
        sent = (FarSide.HTTP, FarSide.KAFKA)
        channels = self._channels.channels
        return [
            INCREFF,
            *(channel_destination(name) for name in sorted(channels) if any(map(channels[name].uses, sent))),
        ]

    @property
    def subscribed(self) -> list[str]:
        return sorted(map(subscription_destination, self._subscriptions.all()))

    async def document(self, connection: AsyncConnection, name: str) -> DestinationDocument:
        """All that is known of one destination."""
        rows, now_ms = await destination_rows(connection, name), self._now_ms()
        kind, url, pace = self._settings_of(name)
        (down, *_) = [*await downs_of(connection, [name]), None]
        pauses = await pauses_of(connection, [name], now_ms)
        pause = next((one for one in pauses if one.ended_ms is None), None)
        found = judged(rows.attempts, rows.gate_ms, down, pause, now_ms)
        limits = [await _limit(connection, name, limit, now_ms) for limit in pace.limits] if pace else []
        last = rows.attempts[0] if rows.attempts else None
        return DestinationDocument(
            name=name,
            kind=kind,
            url=url,
            health=found.health.value,
            sinceMs=found.since_ms,
            error=found.error or None,
            quietUntilMs=rows.gate_ms if rows.gate_ms > now_ms else None,
            pause=None if pause is None else _pause(pause),
            waiting=sum(one.count for one in rows.waiting),
            atLeast=rows.more,
            oldestMs=min((one.oldest_ms for one in rows.waiting), default=None),
            queue=queue_of(rows.waiting),
            limits=limits,
            shards=pace.shards if pace else 1,
            concurrency=pace.concurrency if pace else 0,
            lastAttempt=None if last is None else _attempt(last),
        )

    def _settings_of(self, name: str) -> tuple[str, str | None, Pace | None]:
        """Kind, URL and pace of a destination; None: it is not configured any more."""
        subscription = subscription_of(name)
        if subscription is not None:
            found = self._subscriptions.get(subscription)
            return "subscription", found.url if found else None, found
        if name == INCREFF:
            return "increff", self._channels.increff.url, self._channels.increff
        channel = next((one for one in self._channels.channels.values() if channel_destination(one.name) == name), None)
        if channel is None:
            return "channel", None, None
        return "channel", channel.marketplace.url, channel.marketplace


class DestinationsApi:
    def __init__(self, destinations: Destinations, channels: Channels, journal: JournalReader) -> None:
        self._destinations = destinations
        self._channels = channels.channels
        self._journal = journal

    def acts(self) -> dict[str, Act]:
        return {"list-destinations": self.destinations}

    async def destinations(self, _call: Call, request: web.Request) -> Answer:
        """A page of destinations, or one."""
        filters = filters_of(request, _QUERY)
        names, following = self._page(request, filters)
        async with reading(self._journal) as connection:
            found = [await self._destinations.document(connection, name) for name in names]
        shown = DestinationList(destinations=found, next=next_path(request, following))
        return json_answer(shown.model_dump(mode="json"))

    def _page(self, request: web.Request, filters: Mapping[str, Any]) -> tuple[Sequence[str], str | None]:
        """The names of a page, and the cursor of the next: the last name of this one. Raises Refused."""
        if "destination" in filters:
            check_destination(filters["destination"], self._channels)
            return [filters["destination"]], None
        names = [*self._destinations.far_sides, *self._destinations.subscribed]
        after, limit = cursor_in(request), min(limit_in(request), PAGE_MAX)
        if after is not None:
            ranks = {name: _rank(name) for name in names}
            names = [name for name in names if ranks[name] > _rank(after)]
        page = names[:limit]
        return page, page[-1] if len(names) > limit else None


def _rank(name: str) -> tuple[int, str]:
    """Sorts Increff before channels, and these before subscriptions."""
    return (0 if name == INCREFF else 2 if subscription_of(name) is not None else 1, name)


def queue_of(waiting: Sequence[Waiting]) -> list[QueueDocument]:
    """The waiting requests, by the class in which it leaves."""
    found: defaultdict[Priority, list[Waiting]] = defaultdict(list)
    for one in waiting:
        found[_priority(one)].append(one)
    return [
        QueueDocument(
            priority=priority.name.lower(),
            count=sum(one.count for one in alike),
            held=sum(one.held for one in alike),
            oldestMs=min(one.oldest_ms for one in alike),
        )
        for priority, alike in sorted(found.items())
    ]


def _priority(one: Waiting) -> Priority:
    """The class of waiting requests, as delivery orders them."""
    if one.is_redriven:
        return Priority.BACKGROUND
    if one.is_hold:
        return Priority.HOLD
    kind = KINDS.get(one.touchpoint)
    return kind.priority if kind is not None else Priority.UPDATE


async def _limit(connection: AsyncConnection, destination: str, limit: Limit, now_ms: int) -> LimitDocument:
    """A limit with what was used of it: the attempts that were made in its window."""
    window = limit.as_window() if isinstance(limit, Quota) else limit
    if isinstance(window, Budget | FixedWindow):
        begin_ms = now_ms - round(window.window_s * 1000)
        used = await attempts_since(connection, destination, begin_ms)
        is_counted = used < BUDGET_ATTEMPTS_MAX
        return LimitDocument(
            name=limit.name,
            limit=limit.size,
            windowS=window.window_s,
            perSecond=None,
            used=used if is_counted else None,
            left=max(limit.size - used, 0) if is_counted else None,
        )
    per_s = limit.rate_per_s if isinstance(limit, TokenBucket) else None
    if isinstance(limit, CostBucket):
        per_s = limit.restore_per_s
    return LimitDocument(name=limit.name, limit=limit.size, windowS=None, perSecond=per_s, used=None, left=None)


def _pause(pause: Pause) -> PauseDocument:
    return PauseDocument(sinceMs=pause.since_ms, untilMs=pause.until_ms, by=pause.actor, reason=pause.reason)


def _attempt(row: Mapping[Any, Any]) -> LastAttempt:
    return LastAttempt(
        atMs=row["at_ms"],
        touchpoint=row["touchpoint"],
        result=row["result"],
        status=row["status"],
        error=row["error"] or None,
        tookMs=row["took_us"] / 1000,
    )
