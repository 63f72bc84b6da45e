"""What /api/subscriptions is asked and answers. Settings have the names that they have in channels.toml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from topics.records.facts.catalogue import FACTS
from topics.subscriptions.model import (
    DESCRIPTION_CHARS_MAX,
    ROTATION_OVERLAP_S,
    URL_CHARS_MAX,
    BlockedFact,
    Filters,
    SubscriberPace,
    matches,
)
from topics.webhooks.signatures import Signature

OVERLAP_S_MAX = 30 * 86_400
"""A secret that should have ended a month ago is not being replaced, it is forgotten."""

Given = Annotated[SecretStr, Field(min_length=1, max_length=500)]


class Settable(SubscriberPace, Filters):
    """The settings of a subscription."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    url: str = Field(
        pattern=r"^https?://[^\s/].*$", max_length=URL_CHARS_MAX, description="where facts are posted; public, https"
    )
    description: str = Field(default="", max_length=DESCRIPTION_CHARS_MAX, description="for people")
    when_dead: Literal["skip", "block", "supersede"] = Field(
        default="skip",
        description="what an order's later facts do when one was given up: go on, wait for an operator, or only the "
        "newest goes on",
    )


class SubscriptionSettings(Settable):
    """What may be changed of a subscription; a PATCH names only what it changes. `shards` are fixed once it is made."""

    @field_validator("types")
    @classmethod
    def _of_some_fact(cls, types: tuple[str, ...]) -> tuple[str, ...]:
        """Asked only of who writes it down: what a newer version knows must not be unreadable to an older role."""
        for pattern in types:
            if not any(matches(pattern, name) for name in FACTS):
                raise ValueError(f"no fact is named {pattern}; facts are: {', '.join(FACTS)}")
        return types


class SubscriptionAsked(SubscriptionSettings):
    """A new subscription. Without `secret` one is made, and shown once in the answer."""

    signature: Signature = Field(default=Signature.V1, description="`v1`: a shared secret; `v1a`: a public key")
    secret: Given | None = Field(
        default=None,
        description="your own, `whsec_...` or `whsk_...`; or `env:NAME`, where every gateway and delivery "
        "worker has it",
    )


class RotationAsked(BaseModel):
    """A new secret. The ones before it go on signing beside it for `overlap_s`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    signature: Signature | None = Field(default=None, description="left out: as before")
    secret: Given | None = Field(default=None, description="as for a new subscription")
    overlap_s: int = Field(default=ROTATION_OVERLAP_S, ge=0, le=OVERLAP_S_MAX)


class SecretDocument(BaseModel):
    """One live secret, without itself. `until_ms`: when it stops signing; null for the present one."""

    created_ms: int
    until_ms: int | None
    reference: str | None = Field(description="`env:NAME`, where it is not stored here")


class DisabledDocument(BaseModel):
    """`by`: `operator`, or `sluice` with its reason: `gone` (it answered 410) or `failing` (for too long)."""

    by: str
    reason: str | None
    since_ms: int | None


class BacklogDocument(BaseModel):
    """What waits for a subscription that does not keep up, as its delivery workers told it. `orders`: so many orders
    (returns and manifests, too) have something that waits, those that are `blocked` included."""

    as_of_ms: int = Field(
        description="when the worker told it that is silent for longest; every five minutes while it works"
    )
    orders: int
    oldest_ms: int | None = Field(description="since when the oldest waits")
    blocked: int = Field(description="so many wait until an operator decides about a fact that was given up")
    blocked_facts: list[BlockedFact] = Field(description="some of these facts; `kind`: order, return or manifest")


class SubscriptionDocument(Settable):
    """A subscription and how it fares. `state`: active, unverified or disabled."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    id: str
    state: str
    signature: Signature
    secrets: list[SecretDocument]
    revision: int
    created_ms: int
    verified_ms: int | None
    disabled: DisabledDocument | None
    failing_since_ms: int | None = Field(description="since when nothing was taken; null: the last one was")
    last_success_ms: int | None = Field(description="to a minute")
    last_error: str | None = Field(description="why it began to fail")
    backlog: BacklogDocument | None = Field(
        description="null: nothing is blocked, and nothing has waited for longer than half a minute"
    )


class SubscriptionMade(SubscriptionDocument):
    """With what is shown only now: `secret`, where Sluice made one for v1; `public_key`, which a v1a receiver needs.
    `not_verified`: why its endpoint did not pass; it gets no facts before it does."""

    secret: str | None = None
    public_key: str | None = None
    not_verified: str | None = None


class SubscriptionList(BaseModel):
    subscriptions: list[SubscriptionDocument]
