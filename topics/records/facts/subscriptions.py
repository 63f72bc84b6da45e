"""Facts of subscriptions on `subscriptions.events`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from topics.records.facts.base import EpochMs, Part, known


class SubscriptionFact(Part):
    """A fact of a subscription, on `subscriptions.events`."""

    subscription: str = Field(description="Its id")
    revision: int = Field(ge=1, description="The revision of the subscription that the fact is about")
    atMs: EpochMs = Field(description="When it happened, epoch milliseconds")


DISABLED_REASONS = ("gone", "failing")


class SubscriptionDisabled(SubscriptionFact):
    """Sluice sends no more facts to a subscription: it answered 410 (`gone`), or failed for too long (`failing`)."""

    reason: Annotated[str, known(DISABLED_REASONS)]
    failingSinceMs: EpochMs | None = Field(description="Since when nothing was taken; null where that is not why")
