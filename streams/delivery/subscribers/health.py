"""Health of a subscription's shards: disables it when its endpoint answers 410, or accepted nothing for too long.

The health of a shard is written beside the attempt that changed it. So after a restart a failing endpoint is still
known to fail, and since when.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial

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
from topics.values import value

WELL_EVERY_MS = 60_000
"""While all is well the last success is written as often as this: it is for people who look."""
ERROR_CHARS_MAX = 200
_FACT_NAME = name_of(SubscriptionDisabled)


@value
class HealthUpdate:
    """What to publish with the attempt. `disabled`: why the subscription gets nothing more."""

    effects: tuple[Effect, ...] = ()
    disabled: str | None = None


NOTHING_NOTED = HealthUpdate()

Observe = Callable[[AttemptResult, int], HealthUpdate]
"""Told the end of an attempt and its time; what it notes becomes durable with the attempt."""
Watch = Callable[[], Observe]
"""Asked when a request leaves, for what to tell its end: that is about the subscription as it was then."""


def unwatched() -> Observe:
    """Of a far side: it is an operator's, and never disabled."""
    return _unobserved


def _unobserved(_result: AttemptResult, _now_ms: int) -> HealthUpdate:
    return NOTHING_NOTED


class ShardHealth:
    """How one shard of a subscription fares, as its attempts end."""

    def __init__(self, subscription: str, shard: int, last: Health, disable_after_ms: float) -> None:
        self._subscription = subscription
        self._shard = shard
        self._last = last
        """As it was written, or would be if it were due; while all is well, but for the time of the last success."""
        self._success_ms = last.success_ms
        self._written_ms = last.success_ms or 0
        self._disable_after_ms = disable_after_ms
        self._disabled_revision = 0

    def after(
        self,
        result: AttemptResult,
        revision: int,
        present: Subscription | None,
        others: Mapping[int, Health],
        now_ms: int,
    ) -> HealthUpdate:
        """`revision`: of the subscription when the request left; only that one is judged by its answer. `present`: as
        it is now. `others`: what is known of its shards, this one's too."""
        if revision < self._last.revision:
            return NOTHING_NOTED
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
        if present is None or present.revision != revision or revision == self._disabled_revision:
            return HealthUpdate(tuple(effects))
        reason = self._reason(result, others, failing_since, now_ms)
        if reason is None:
            return HealthUpdate(tuple(effects))
        self._disabled_revision = revision
        since = failing_since if reason == "failing" else None
        effects += disabled(present, reason, since, now_ms)
        return HealthUpdate(tuple(effects), reason)

    def _well(self, result: AttemptResult, revision: int, now_ms: int) -> HealthUpdate:
        self._success_ms = result.at_ms
        if self._last.failing_since_ms is None and now_ms - self._written_ms < WELL_EVERY_MS:
            return NOTHING_NOTED
        self._last = Health(revision=revision, success_ms=result.at_ms)
        return HealthUpdate((self._written(now_ms),))

    def _reason(
        self, result: AttemptResult, others: Mapping[int, Health], failing_since: int, now_ms: int
    ) -> str | None:
        if result.kind is ResponseClass.GONE:
            return "gone"
        since = now_ms - self._disable_after_ms
        others_well = any((other.success_ms or 0) >= since for shard, other in others.items() if shard != self._shard)
        return "failing" if failing_since <= since and not others_well else None

    def _written(self, now_ms: int) -> Effect:
        self._written_ms = now_ms
        return Effect("subscriptions.status", health_key(self._subscription, self._shard), self._last.encode())


def disabled(subscription: Subscription, reason: str, failing_since_ms: int | None, now_ms: int) -> list[Effect]:
    """The status that every role goes by, and the fact. Its id is the same if it is found out twice."""
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


log = logging.getLogger(__name__)


def watching(subscription: str, shard: int, known: SubscriptionIndex, disable_after_ms: float) -> Watch:
    """Watches one shard of a subscription, from what is known of it on."""
    destination = subscription_destination(subscription)
    health = ShardHealth(subscription, shard, known.health(subscription).get(shard, Health()), disable_after_ms)

    def leaves() -> Observe:
        present = known.get(subscription)
        return partial(ended, 0 if present is None else present.revision)

    def ended(revision: int, result: AttemptResult, now_ms: int) -> HealthUpdate:
        noted = health.after(result, revision, known.get(subscription), known.health(subscription), now_ms)
        if noted.disabled is not None:
            metrics.SUBSCRIPTIONS_DISABLED.labels(destination, noted.disabled).inc()
            log.error(
                "subscription.disabled id=%s reason=%s status=%s error=%s: it gets nothing until it is enabled",
                subscription,
                noted.disabled,
                result.status,
                result.error,
            )
        return noted

    return leaves
