"""Requests and documents of /api/subscriptions. Settings are named as in channels.toml."""

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
"""A secret that is to sign on for longer than a month is not being replaced but forgotten."""

Given = Annotated[SecretStr, Field(min_length=1, max_length=500)]


class Settable(SubscriberPace, Filters):
    """The settings of a subscription."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    url: str = Field(
        pattern=r"^https?://[^\s/].*$",
        max_length=URL_CHARS_MAX,
        description="where facts are posted; has to be public, and https",
    )
    description: str = Field(default="", max_length=DESCRIPTION_CHARS_MAX, description="for people")
    when_dead: Literal["skip", "block", "supersede"] = Field(
        default="skip",
        description="after a fact of an order was given up: `skip`, later ones go on; `block`, they wait for an "
        "operator; `supersede`, only the newest goes on",
    )


class SubscriptionSettings(Settable):
    """Settings that may be changed. A PATCH names only those that it changes. `shards` cannot be changed."""

    @field_validator("types")
    @classmethod
    def _of_some_fact(cls, types: tuple[str, ...]) -> tuple[str, ...]:
        """Checked in requests only: an older role must be able to read names of facts that a newer gateway knows."""
        for pattern in types:
            if not any(matches(pattern, name) for name in FACTS):
                raise ValueError(f"no fact is named {pattern}; facts are: {', '.join(FACTS)}")
        return types


class SubscriptionAsked(SubscriptionSettings):
    """A new subscription. Without `secret` Sluice makes one, and shows it once in the answer."""

    signature: Signature = Field(default=Signature.V1, description="`v1`: a shared secret; `v1a`: a public key")
    secret: Given | None = Field(
        default=None,
        description="your own, `whsec_...` or `whsk_...`; or `env:NAME`, where every gateway and delivery "
        "worker has it",
    )


class RotationAsked(BaseModel):
    """A new secret. Older secrets sign beside it for `overlap_s`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    signature: Signature | None = Field(default=None, description="null: as before")
    secret: Given | None = Field(default=None, description="as for a new subscription")
    overlap_s: int = Field(default=ROTATION_OVERLAP_S, ge=0, le=OVERLAP_S_MAX)


class SecretDocument(BaseModel):
    """A secret that signs, without its value. `until_ms`: when it stops signing; null: it is the present one."""

    created_ms: int
    until_ms: int | None
    reference: str | None = Field(description="`env:NAME`, if Sluice does not store it")


class DisabledDocument(BaseModel):
    """Why a subscription is disabled. `by`: `operator`, or `sluice` with a `reason`: `gone` (it answered 410) or
    `failing` (for too long)."""

    by: str
    reason: str | None
    since_ms: int | None


class BacklogDocument(BaseModel):
    """The facts that wait for a slow subscriber, as its delivery workers report them. `orders`: how many orders,
    returns and manifests have waiting facts, `blocked` ones included."""

    as_of_ms: int = Field(description="the oldest of the workers' reports; each reports every five minutes")
    orders: int
    oldest_ms: int | None = Field(description="since when the oldest fact waits")
    blocked: int = Field(description="how many wait for an operator's decision about a fact that was given up")
    blocked_facts: list[BlockedFact] = Field(description="some of these facts; `kind`: order, return or manifest")


class SubscriptionDocument(Settable):
    """A subscription and its health. `state`: active, unverified or disabled."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    id: str
    state: str
    signature: Signature
    secrets: list[SecretDocument]
    revision: int
    created_ms: int
    verified_ms: int | None
    disabled: DisabledDocument | None
    failing_since_ms: int | None = Field(description="since when no delivery succeeded; null: the last one did")
    last_success_ms: int | None = Field(description="to the minute")
    last_error: str | None = Field(description="the error with which it began to fail")
    backlog: BacklogDocument | None = Field(
        description="null: nothing is blocked, and nothing has waited longer than half a minute"
    )
    tried: bool | None = Field(
        default=None, description="with `wait`: whether delivery has sent something by these settings by then"
    )


class SubscriptionMade(SubscriptionDocument):
    """A subscription with what is shown only once: `secret`, if Sluice made one for v1; `public_key`, which a v1a
    receiver needs. `not_verified`: why its endpoint failed the challenge; it gets no facts before it passes."""

    secret: str | None = None
    public_key: str | None = None
    not_verified: str | None = None


class SubscriptionList(BaseModel):
    """All subscriptions, the oldest first. `unreadable`: ids of those whose record this version cannot read."""

    subscriptions: list[SubscriptionDocument]
    unreadable: list[str]
