"""The backlog of a subscription, as it is reported to operators: how many orders, since when, which facts block. Pure.

It is reported when a fact has waited for long or is blocked, and when that is over: a subscription that keeps up costs
nothing.
"""

from __future__ import annotations

from streams.delivery.clock import NEVER
from streams.delivery.lanes.lane_set import LaneSet
from streams.delivery.outbox.records import OutboxEntry
from streams.runtime.role import Effect
from topics.records.keys import split
from topics.subscriptions.index import backlog_key
from topics.subscriptions.model import Backlog, BlockedFact

REPORT_EVERY_MS = 10_000
"""Between two reports. Each passes all lanes, and a subscription that is down for days writes a record each time."""
REPEAT_EVERY_MS = 300_000
"""An unchanged backlog is reported again, so that its time shows that it is still watched."""
LATE_MS = 30_000
"""A fact that waits for less is no backlog."""
BLOCKED_LISTED_MAX = 20
"""Blocked facts of a shard that are listed by name. After an operator resolved these, the next ones are listed."""
ERROR_CHARS_MAX = 200


class BacklogReporter:
    """Reports the backlog of one shard of a subscription. `reported`: the last report."""

    def __init__(self, subscription: str, shard: int, reported: Backlog) -> None:
        self._key = backlog_key(subscription, shard)
        self._reported = reported
        self._looked_ms = 0
        self._seen = (0, 0)
        """Numbers that show a change without passing all lanes."""
        self.next_ms = NEVER
        """When to call `report_if_due` again, if nothing happens before."""

    def report_if_due(self, lanes: LaneSet, now_ms: int) -> Effect | None:
        """The report to write now, None: none is due. It counts as written."""
        seen = (len(lanes), lanes.blocked_changes)
        if not len(lanes) and self._reported.is_empty:
            self._seen, self.next_ms = seen, NEVER
            return None
        if now_ms < self._looked_ms + REPORT_EVERY_MS:
            if seen != self._seen:
                self.next_ms = self._looked_ms + REPORT_EVERY_MS
            return None
        self._looked_ms, self._seen = now_ms, seen
        found = _found(lanes, now_ms)
        is_news = found.model_copy(update={"at_ms": self._reported.at_ms}) != self._reported
        is_due = is_news or (not found.is_empty and now_ms >= self._reported.at_ms + REPEAT_EVERY_MS)
        if is_due:
            self._reported = found
        again_ms = (lanes.oldest_ms or now_ms) + LATE_MS if found.is_empty else self._reported.at_ms + REPEAT_EVERY_MS
        self.next_ms = max(now_ms + REPORT_EVERY_MS, again_ms)
        return Effect("subscriptions.status", self._key, found.encode()) if is_due else None


def _found(lanes: LaneSet, now_ms: int) -> Backlog:
    number, blocked = lanes.blocked(BLOCKED_LISTED_MAX)
    oldest_ms = lanes.oldest_ms
    if not number and (oldest_ms is None or now_ms < oldest_ms + LATE_MS):
        return Backlog(at_ms=now_ms)
    return Backlog(
        at_ms=now_ms,
        orders=len(lanes),
        oldest_ms=oldest_ms,
        blocked=number,
        blocked_facts=tuple(_blocked_fact(entry) for entry in blocked),
    )


def _blocked_fact(entry: OutboxEntry) -> BlockedFact:
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
