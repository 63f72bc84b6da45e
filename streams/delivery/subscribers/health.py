"""Health of a subscription's shards: disables it when its endpoint answers 410, or accepted nothing for too long.

The health of a shard is written beside the attempt that changed it. So after a restart a failing endpoint is still
known to fail, and since when.
"""

from __future__ import annotations

import logging

import orjson

from streams.delivery import metrics
from streams.delivery.ports import AttemptResult, ResponseClass
from streams.runtime.role import Effect
from topics.records.envelope import DELIVERY_SOURCE, FACT, NO_CHANNEL, Envelope
from topics.records.facts.catalogue import name_of
from topics.records.facts.subscriptions import SubscriptionDisabled
from topics.records.keys import subscription_destination
from topics.subscriptions.index import SubscriptionIndex, health_key
from topics.subscriptions.model import Health, Status, Subscription
from topics.values import Value

WELL_EVERY_MS = 60_000
"""How often the last success is written while attempts succeed: it is for operators."""
ERROR_CHARS_MAX = 200
_FACT_NAME = name_of(SubscriptionDisabled)

log = logging.getLogger(__name__)


class HealthUpdate(Value, frozen=True):
    """Effects to publish with the attempt. `disabled`: why the subscription gets nothing more."""

    effects: tuple[Effect, ...] = ()
    disabled: str | None = None


NOTHING_TO_NOTE = HealthUpdate()


class SubscriptionHealth:
    """The health of one shard of a subscription, judged after each of its attempts."""

    def __init__(self, subscription: str, shard: int, index: SubscriptionIndex, disable_after_ms: float) -> None:
        self._subscription = subscription
        self._shard = shard
        self._index = index
        last = index.health(subscription).get(shard, Health())
        self._last = last
        """The health as it was written last. While attempts succeed, `_success_ms` is newer."""
        self._success_ms = last.success_ms
        self._written_ms = last.success_ms or 0
        self._disable_after_ms = disable_after_ms
        self._disabled_revision = 0

    def present_revision(self) -> int:
        """The subscription's revision when a request leaves: only that one is judged by the answer."""
        present = self._index.get(self._subscription)
        return 0 if present is None else present.revision

    def on_attempt(self, result: AttemptResult, revision: int, now_ms: int) -> HealthUpdate:
        """An attempt ended that left under `revision`. The update becomes durable with the attempt."""
        if revision < self._last.revision:
            return NOTHING_TO_NOTE
        if result.kind is ResponseClass.DELIVERED:
            return self._well(result, revision, now_ms)
        failing_since = self._last.failing_since_ms if self._last.revision == revision else None
        effects: list[Effect] = []
        if failing_since is None:
            failing_since = result.at_ms
            error = (f"status {result.status}" if result.status is not None else result.error)[:ERROR_CHARS_MAX]
            self._last = Health(
                revision=revision, failing_since_ms=failing_since, success_ms=self._success_ms, error=error
            )
            effects.append(self._written(now_ms))
        present = self._index.get(self._subscription)
        if present is None or present.revision != revision or revision == self._disabled_revision:
            return HealthUpdate(tuple(effects))
        reason = self._reason(result, failing_since, now_ms)
        if reason is None:
            return HealthUpdate(tuple(effects))
        self._disabled_revision = revision
        effects += disabled(present, reason, failing_since if reason == "failing" else None, now_ms)
        metrics.SUBSCRIPTIONS_DISABLED.labels(subscription_destination(self._subscription), reason).inc()
        log.error(
            "subscription.disabled id=%s reason=%s status=%s error=%s: it gets nothing until it is enabled",
            self._subscription,
            reason,
            result.status,
            result.error,
        )
        return HealthUpdate(tuple(effects), reason)

    def _well(self, result: AttemptResult, revision: int, now_ms: int) -> HealthUpdate:
        self._success_ms = result.at_ms
        if self._last.failing_since_ms is None and now_ms - self._written_ms < WELL_EVERY_MS:
            return NOTHING_TO_NOTE
        self._last = Health(revision=revision, success_ms=result.at_ms)
        return HealthUpdate((self._written(now_ms),))

    def _reason(self, result: AttemptResult, failing_since: int, now_ms: int) -> str | None:
        """Why the subscription is disabled, None: it is not. No shard may have succeeded for the time it takes."""
        if result.kind is ResponseClass.GONE:
            return "gone"
        since = now_ms - self._disable_after_ms
        others = self._index.health(self._subscription)
        others_well = any((other.success_ms or 0) >= since for shard, other in others.items() if shard != self._shard)
        return "failing" if failing_since <= since and not others_well else None

    def _written(self, now_ms: int) -> Effect:
        self._written_ms = now_ms
        return Effect("subscriptions.status", health_key(self._subscription, self._shard), self._last.encode())


def disabled(subscription: Subscription, reason: str, failing_since_ms: int | None, now_ms: int) -> list[Effect]:
    """The status by which every role knows it, and the fact; the fact's id is the same if this is decided twice."""
    key = subscription.id.encode()
    status = Status(revision=subscription.revision, disabled_ms=now_ms, reason=reason)
    fact = SubscriptionDisabled(
        subscription=subscription.id,
        revision=subscription.revision,
        atMs=now_ms,
        reason=reason,
        failingSinceMs=failing_since_ms,
    )
    envelope = Envelope(
        id=f"{subscription.id}/{subscription.revision}/{_FACT_NAME}",
        type=FACT + _FACT_NAME,
        source=DELIVERY_SOURCE,
        channel=NO_CHANNEL,
        subject=subscription.id,
        time_ms=now_ms,
    )
    return [
        Effect("subscriptions.status", key, status.encode()),
        Effect("subscriptions.events", key, orjson.dumps(fact.model_dump()), envelope.headers()),
    ]
