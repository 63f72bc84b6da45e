"""What the end of each attempt means for its subscription: said in the log and in metrics when it is disabled."""

from __future__ import annotations

import logging
from functools import partial

from streams.delivery import metrics
from streams.delivery.ports import AttemptResult
from streams.delivery.subscribers.health import Noted, Observe, ShardHealth, Watch
from topics.records.keys import subscription_destination
from topics.subscriptions.index import SubscriptionIndex
from topics.subscriptions.model import Health

log = logging.getLogger(__name__)


def watching(subscription: str, shard: int, known: SubscriptionIndex, disable_after_ms: float) -> Watch:
    """Watches one shard of a subscription, from what is known of it on."""
    destination = subscription_destination(subscription)
    health = ShardHealth(subscription, shard, known.health(subscription).get(shard, Health()), disable_after_ms)

    def leaves() -> Observe:
        present = known.get(subscription)
        return partial(ended, 0 if present is None else present.revision)

    def ended(revision: int, result: AttemptResult, now_ms: int) -> Noted:
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
