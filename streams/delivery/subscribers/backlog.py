"""What waits for a subscription, as it is told to operators: of how many orders, since when, and which facts block
theirs. Pure.

It is told when something has waited for long or is blocked, and when that is over: those that keep up cost nothing.
"""

from __future__ import annotations

from streams.delivery.clock import NEVER
from streams.delivery.lanes.lane_set import LaneSet
from streams.delivery.outbox.records import OutboxEntry
from streams.runtime.role import Effect
from topics.records.keys import split
from topics.subscriptions.index import backlog_key
from topics.subscriptions.model import Backlog, BlockedFact

LOOK_EVERY_MS = 10_000
"""All lanes are looked at; and a subscription whose endpoint is down for days writes a record as often as this."""
REPEAT_EVERY_MS = 300_000
"""What has not changed is told again, so that its time says that somebody still looks."""
LATE_MS = 30_000
"""What waits for less is on its way."""
BLOCKED_TOLD_MAX = 20
"""Blocked facts of a shard that are told by name: who has decided about these sees the next ones."""
ERROR_CHARS_MAX = 200


class BacklogReporter:
    """Of one shard of a subscription. `told`: what was written of it last."""

    def __init__(self, subscription: str, shard: int, told: Backlog) -> None:
        self._key = backlog_key(subscription, shard)
        self._told = told
        self._looked_ms = 0
        self._seen = (0, 0)
        """By what it is noticed without looking at all lanes that there is something to see."""
        self.next_ms = NEVER
        """When to look again, if nothing happens before."""

    def look(self, lanes: LaneSet, now_ms: int) -> Effect | None:
        """What is to be written now; it is taken for written."""
        seen = (len(lanes), lanes.blocked_changes)
        if not len(lanes) and self._told.is_empty:
            self._seen, self.next_ms = seen, NEVER
            return None
        if now_ms < self._looked_ms + LOOK_EVERY_MS:
            if seen != self._seen:
                self.next_ms = self._looked_ms + LOOK_EVERY_MS
            return None
        self._looked_ms, self._seen = now_ms, seen
        found = _found(lanes, now_ms)
        is_news = found.model_copy(update={"at_ms": self._told.at_ms}) != self._told
        is_told = is_news or (not found.is_empty and now_ms >= self._told.at_ms + REPEAT_EVERY_MS)
        if is_told:
            self._told = found
        again_ms = (lanes.oldest_ms or now_ms) + LATE_MS if found.is_empty else self._told.at_ms + REPEAT_EVERY_MS
        self.next_ms = max(now_ms + LOOK_EVERY_MS, again_ms)
        return Effect("subscriptions.status", self._key, found.encode()) if is_told else None


def _found(lanes: LaneSet, now_ms: int) -> Backlog:
    number, blocked = lanes.blocked(BLOCKED_TOLD_MAX)
    oldest_ms = lanes.oldest_ms
    if not number and (oldest_ms is None or now_ms < oldest_ms + LATE_MS):
        return Backlog(at_ms=now_ms)
    return Backlog(
        at_ms=now_ms,
        orders=len(lanes),
        oldest_ms=oldest_ms,
        blocked=number,
        blocked_facts=tuple(_told(entry) for entry in blocked),
    )


def _told(entry: OutboxEntry) -> BlockedFact:
    request, last = entry.request, entry.last
    parts = split(request.entity.encode())
    error = "" if last is None else last.error if last.status is None else f"status {last.status}"
    return BlockedFact(
        delivery=request.id,
        channel=request.channel,
        kind=parts[1] if len(parts) > 2 else "order",
        code=parts[-1],
        dead_ms=0 if last is None else last.at_ms,
        error=error[:ERROR_CHARS_MAX],
    )
