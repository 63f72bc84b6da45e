"""Subscriptions: receivers of facts over HTTP. Each is a destination of its own, and a fact is a kind of delivery.

A value of `subscriptions` is a `Subscription`, or a `Deleted` that stays for ever, so that deliveries still waiting for
it are dropped; ids are never used again. A `Status` of `subscriptions.status` counts only for the revision it names:
each change by an operator makes a new revision, which begins enabled.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from topics.configuration.pace import PROBE_S_MAX, Pace
from topics.contract import touchpoints
from topics.contract.definition import Direction, Entity, Mode, Repeat, Touchpoint
from topics.records.envelope import iso_time
from topics.schema_base import Body
from topics.webhooks.signatures import Signature

ID = r"^sub_[a-z0-9]{16}$"
URL_CHARS_MAX = 2_048
"""The longest URL that servers and proxies commonly accept."""
DESCRIPTION_CHARS_MAX = 300
FILTERS_MAX = 100
"""Patterns, channels or locations of one subscription: each fact is compared with all of them."""
SECRETS_MAX = 5
"""Secrets that sign at once: each adds a signature to every request."""
ROTATION_OVERLAP_S = 86_400
"""How long a secret still signs after it was replaced: a day to change it at the receiver."""

TypePattern = Annotated[str, Field(pattern=r"^[a-z*][a-z*-]{0,63}$")]
Code = Annotated[str, Field(min_length=1, max_length=100)]

FACT = Touchpoint(
    name="fact",
    title="A fact, to a subscriber",
    section="-",
    direction=Direction.TO_MARKETPLACE,
    method="POST",
    path="",
    far_path="",
    request=Body,
    entity=Entity.ORDER,
    mode=Mode.ACCEPT,
    repeat=Repeat.ONCE,
    refusable=False,
)
"""A delivery to a subscription, described as the calls of the contract are. It is none of them, so it is not in
TOUCHPOINTS."""
KINDS: dict[str, Touchpoint] = {**touchpoints.BY_NAME, FACT.name: FACT}
"""Kinds of requests by name: the calls of the contract, and a fact for a subscriber."""


class SigningSecret(BaseModel):
    """One secret of a subscription: sealed under SLUICE_SECRET_KEY, or a reference to where it is (`env:NAME`).

    `until_ms`: when it stops signing; None for the present one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    sealed: str = Field(default="", repr=False)
    reference: str = Field(default="", pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]*)?$")
    created_ms: int
    until_ms: int | None = None

    @model_validator(mode="after")
    def _one(self) -> SigningSecret:
        if bool(self.sealed) == bool(self.reference):
            raise ValueError("a secret is either sealed or a reference")
        return self

    @property
    def stored(self) -> str:
        """The text that topics.webhooks.sealing opens."""
        return self.sealed or self.reference


class Filters(BaseModel):
    """Which facts a subscription gets. An empty list of channels or locations means all of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    types: tuple[TypePattern, ...] = Field(
        default=("*",),
        min_length=1,
        max_length=FILTERS_MAX,
        description="names of facts; `*` stands for any letters: `order-*`",
    )
    channels: tuple[Code, ...] = Field(
        default=(), max_length=FILTERS_MAX, description="only facts of these channels; empty: of all"
    )
    locations: tuple[Code, ...] = Field(
        default=(), max_length=FILTERS_MAX, description="only facts that name one of these locations; empty: all facts"
    )

    def wants(self, name: str, channel: str, locations: frozenset[str]) -> bool:
        """Whether a fact passes."""
        return (
            any(matches(pattern, name) for pattern in self.types)
            and (not self.channels or channel in self.channels)
            and (not self.locations or not locations.isdisjoint(self.locations))
        )


class SubscriberPace(Pace):
    """Pace of subscribers: no caller waits for a fact, so a subscriber that is down is probed less often."""

    probe_max_s: float = Field(
        default=60.0, gt=0, le=PROBE_S_MAX, description=Pace.model_fields["probe_max_s"].description
    )


class StoredValue(BaseModel):
    """A value on a topic. An older role ignores members that a newer gateway adds."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    def encode(self) -> bytes:
        return self.model_dump_json().encode()


class Subscription(SubscriberPace, Filters, StoredValue):
    """A value of `subscriptions`. `verified_ms`: when its endpoint answered the challenge; before that (None) it gets
    no facts. `enabled`: false when an operator disabled it."""

    id: str = Field(pattern=ID)
    url: str = Field(
        pattern=r"^https?://[^\s/].*$", max_length=URL_CHARS_MAX, description="where facts are posted", repr=False
    )
    description: str = Field(default="", max_length=DESCRIPTION_CHARS_MAX, description="for people")
    signature: Signature = Field(default=Signature.V1, description="`v1`: a shared secret; `v1a`: a public key")
    secrets: tuple[SigningSecret, ...] = Field(min_length=1, max_length=SECRETS_MAX, repr=False)
    when_dead: Literal["skip", "block", "supersede"] = Field(
        default="skip", description="what an order's later facts do when one was given up"
    )
    enabled: bool = True
    revision: int = Field(default=1, ge=1)
    created_ms: int
    verified_ms: int | None = None

    @property
    def active(self) -> bool:
        """Whether it gets facts, unless delivery disabled it."""
        return self.enabled and self.verified_ms is not None

    def live_secrets(self, now_ms: int) -> tuple[SigningSecret, ...]:
        """The secrets that sign now, newest first."""
        return tuple(secret for secret in self.secrets if secret.until_ms is None or now_ms < secret.until_ms)


class Deleted(StoredValue):
    """A deleted subscription: nothing more is sent to it."""

    id: str
    deleted_ms: int


class Status(StoredValue):
    """Delivery disabled this revision of a subscription."""

    revision: int
    disabled_ms: int
    reason: str


class Health(StoredValue):
    """Health of a shard of a subscription, in this revision. Written when it changes, and now and then while all is
    well."""

    revision: int = 0
    failing_since_ms: int | None = None
    """The attempt since which all failed; None: the last one succeeded."""
    success_ms: int | None = None
    error: str = ""


class BlockedFact(StoredValue):
    """A fact that was given up and holds up its order, return or manifest (`kind`) until an operator decides."""

    delivery: str
    channel: str
    kind: str
    code: str
    dead_ms: int
    error: str


class Backlog(StoredValue):
    """Backlog of a shard of a subscription; empty while it keeps up. `orders`: orders (returns and manifests, too) with
    waiting facts, `blocked` ones included; `blocked_facts`: some of the facts that block them."""

    at_ms: int = 0
    orders: int = 0
    oldest_ms: int | None = None
    blocked: int = 0
    blocked_facts: tuple[BlockedFact, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.orders


def decode_subscription(raw: bytes) -> Subscription | Deleted:
    """Decodes a value of `subscriptions`. Raises ValueError for one that no Sluice of this version writes."""
    data = orjson.loads(raw)
    if not isinstance(data, dict):
        raise ValueError("a subscription is a JSON object")  # noqa: TRY004 - its type is what the record says
    try:
        return Deleted.model_validate(data) if "deleted_ms" in data else Subscription.model_validate(data)
    except ValidationError as error:
        # Pydantic would quote the input, which may be secret.
        where = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors(include_input=False))
        raise ValueError(f"a subscription cannot be read: {where}") from None


def matches(pattern: str, name: str) -> bool:
    """Whether a fact's name matches the pattern."""
    if "*" not in pattern:
        return pattern == name
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name) is not None


def locations_of(fact: Mapping[str, Any]) -> frozenset[str]:
    """The locations that a fact names: the order's, and the one that acknowledged."""
    named = (fact.get("locationCode"), fact.get("acknowledgedBy"))
    return frozenset(location for location in named if location)


def delivery_id(subscription: str, entity_key: bytes, fact_id: str) -> str:
    """The `webhook-id` of every attempt: the same whenever the fact is decided again, and safe as a header."""
    parts = b"\x00".join((subscription.encode(), entity_key, fact_id.encode()))
    return "msg_" + blake2b(parts, digest_size=16).hexdigest()


def delivered_body(name: str, fact: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a fact's request; the sender adds `delivery`, the fact's place in the order's sequence."""
    return {"type": name, "timestamp": iso_time(fact["atMs"]), "data": dict(fact)}
