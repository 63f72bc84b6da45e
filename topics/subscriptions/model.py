"""Subscribers: who gets facts over HTTP. A subscription is a destination of its own, and a fact one kind of delivery.

A value of `subscriptions` is a `Subscription`, or a `Deleted` that stays for ever, so that what still waits for it is
known to be in vain; ids are never used again. A `Status` of `subscriptions.status` counts only for the revision it
names: whatever an operator changes makes a new revision, which begins enabled.
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
"""What servers and proxies take for a URL."""
DESCRIPTION_CHARS_MAX = 300
FILTERS_MAX = 100
"""Patterns, channels or locations of one subscription: each fact is compared with them."""
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
"""What is delivered to a subscription, described as the calls of the contract are. It is none of them, so it is not in
TOUCHPOINTS."""
KINDS: dict[str, Touchpoint] = {**touchpoints.BY_NAME, FACT.name: FACT}
"""What a request may be, by the name it carries: a call of the contract, or a fact for a subscriber."""


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
        """As topics.webhooks.sealing has it."""
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
    """Of subscribers: nobody stands and waits for a fact, so one that is down is asked less often."""

    probe_max_s: float = Field(
        default=60.0, gt=0, le=PROBE_S_MAX, description=Pace.model_fields["probe_max_s"].description
    )


class Subscription(SubscriberPace, Filters):
    """One subscriber as `subscriptions` has it. `verified_ms`: when its endpoint answered the challenge, None: not yet;
    only then it gets facts. `enabled`: false when an operator disabled it."""

    model_config = ConfigDict(extra="ignore", frozen=True)  # a newer gateway's members are nothing to an older role
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
        """Whether it gets facts, as far as its operator decides."""
        return self.enabled and self.verified_ms is not None

    def encode(self) -> bytes:
        return self.model_dump_json().encode()

    def live_secrets(self, now_ms: int) -> tuple[SigningSecret, ...]:
        """Those that sign now, newest first."""
        return tuple(secret for secret in self.secrets if secret.until_ms is None or now_ms < secret.until_ms)


class Deleted(BaseModel):
    """A subscription that was: nothing will be sent to it."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    id: str
    deleted_ms: int

    def encode(self) -> bytes:
        return self.model_dump_json().encode()


class Status(BaseModel):
    """Delivery disabled a subscription, in the revision it had then."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    revision: int
    disabled_ms: int
    reason: str

    def encode(self) -> bytes:
        return self.model_dump_json().encode()


class Health(BaseModel):
    """How a shard of a subscription fares, in the revision it had. Written when that changes, and now and then while
    all is well."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    revision: int = 0
    failing_since_ms: int | None = None
    """The first attempt after which none was taken; None: the last one was taken."""
    success_ms: int | None = None
    error: str = ""

    def encode(self) -> bytes:
        return self.model_dump_json().encode()


class BlockedFact(BaseModel):
    """A fact that was given up and holds up its order, return or manifest (`kind`) until an operator decides."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    delivery: str
    channel: str
    kind: str
    code: str
    dead_ms: int
    error: str


class Backlog(BaseModel):
    """What waits in a shard of a subscription; empty while it keeps up. `orders`: those (returns and manifests, too)
    of which something waits, `blocked` ones included; `blocked_facts`: some of what blocks them."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    at_ms: int = 0
    orders: int = 0
    oldest_ms: int | None = None
    blocked: int = 0
    blocked_facts: tuple[BlockedFact, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.orders

    def encode(self) -> bytes:
        return self.model_dump_json().encode()


def decode_subscription(raw: bytes) -> Subscription | Deleted:
    """Raises ValueError: the topic holds what no Sluice of this version writes."""
    data = orjson.loads(raw)
    try:
        return Deleted.model_validate(data) if "deleted_ms" in data else Subscription.model_validate(data)
    except ValidationError as error:
        # Pydantic would quote the input, and with it what is nobody's to read.
        where = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors(include_input=False))
        raise ValueError(f"a subscription cannot be read: {where}") from None


def matches(pattern: str, name: str) -> bool:
    """Whether a fact's name is one that the pattern means."""
    if "*" not in pattern:
        return pattern == name
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name) is not None


def locations_of(fact: Mapping[str, Any]) -> frozenset[str]:
    """The locations a fact names: the order's, and the one that acknowledged."""
    named = (fact.get("locationCode"), fact.get("acknowledgedBy"))
    return frozenset(location for location in named if location)


def delivery_id(subscription: str, entity_key: bytes, fact_id: str) -> str:
    """The same whenever the fact is decided again, and safe as a header; the `webhook-id` of every attempt."""
    parts = b"\x00".join((subscription.encode(), entity_key, fact_id.encode()))
    return "msg_" + blake2b(parts, digest_size=16).hexdigest()


def delivered_body(name: str, fact: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a fact's request; the sender adds `delivery`, which says where in the order's story it stands."""
    return {"type": name, "timestamp": iso_time(fact["atMs"]), "data": dict(fact)}
