"""Channels (`channels.toml`): their credentials, and where and how fast Sluice calls their far sides."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from topics.configuration import budgets
from topics.configuration.budgets import AnyBudget, Budget
from topics.configuration.pace import Pace
from topics.configuration.secret_keys import Secret
from topics.configuration.sla import Policy, Sla
from topics.configuration.stock import StockSettings
from topics.contract.definition import Direction, Mode, Touchpoint
from topics.contract.taken_before import check_forms
from topics.contract.touchpoints import BY_NAME, TOUCHPOINTS
from topics.paths.patterns import names_in

CHANNEL_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""A channel's name is part of paths and record keys, and some keys of Sluice's own begin with `~`."""
REPLY_TOPIC = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
"""The NAME of a reply topic: one part of a topic's name."""
RESUBMIT_AFTER_S = 3_600.0
"""Most refusals are of an SKU that is not mapped at Increff, which a person mends within hours; who mapped it need not
wait (`sluice orders resubmit`). A thousand refused orders that their marketplace repeats without end then take 17 of
Increff's 200 calls a minute."""

SENT_TO_MARKETPLACES: tuple[Touchpoint, ...] = tuple(
    touchpoint
    for touchpoint in TOUCHPOINTS
    if touchpoint.direction is Direction.TO_MARKETPLACE and touchpoint.mode is not Mode.ANSWER
)
"""The touchpoints for which a channel chooses a far side."""


class FarSide(StrEnum):
    """The side that answers what Sluice sends to a marketplace."""

    HTTP = "http"
    """The marketplace implements the contract at a URL."""
    KAFKA = "kafka"
    """The marketplace answers on topics of its channel: requests and answers are records."""
    SELF = "self"
    """Sluice answers by rule; the marketplace follows the facts."""


class Credentials(BaseModel):
    """The header triple of contract 0.2. `domain` None: the caller sends only the first two."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    username: str = Field(description="header authUsername; unique among the channels")
    password: Secret = Field(description="header authPassword")
    domain: str | None = Field(default=None, description="header authDomainName; without it the caller sends only two")


class ReceivedCredentials(Credentials):
    """Credentials that a caller sends to Sluice."""

    password_also: Secret | None = Field(
        default=None, description="a second password that is valid beside `password`, while the caller changes to it"
    )


class Destination(Pace):
    """Settings that both far sides have: where they are, how fast to send, how long to try."""

    url: str = Field(pattern=r"^https?://.+", description="base URL, to which far paths are appended")
    far_paths: dict[str, str] = Field(default_factory=dict, description="touchpoint -> path, instead of the contract's")
    far_methods: dict[str, Literal["POST", "PUT", "PATCH", "DELETE"]] = Field(
        default_factory=dict, description="touchpoint -> method, instead of the contract's"
    )

    far_members: dict[str, dict[str, str]] = Field(
        default_factory=dict,
        description="touchpoint -> member -> its name at the far side, instead of the contract's; of the call itself "
        "and of the objects in its lists, over HTTP",
    )

    taken_before: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="touchpoint -> answers that mean, of a repeat, that the first was carried out: a status such as "
        '`"409"`, or a regular expression; instead of the usual ones (topics/contract/taken_before.py)',
    )

    @field_validator("url")
    @classmethod
    def _no_slash(cls, url: str) -> str:
        return url.rstrip("/")

    @field_validator("far_paths", "far_methods", "far_members", "taken_before")
    @classmethod
    def _known(cls, named: dict[str, Any]) -> dict[str, Any]:
        for name in named:
            _known_touchpoint(name)
        return named

    @field_validator("far_paths")
    @classmethod
    def _with_known_places(cls, paths: dict[str, str]) -> dict[str, str]:
        for name, path in paths.items():
            known = _known_touchpoint(name).path_members
            if unknown := sorted(names_in(path).difference(known)):
                places = " and ".join(f"{{{member}}}" for member in known) or "no place"
                raise ValueError(f"{name}: its path may have {places} in it, and not {{{unknown[0]}}}")
        return paths

    @field_validator("taken_before")
    @classmethod
    def _forms(cls, forms: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        check_forms(forms)
        return forms

    @field_validator("far_methods")
    @classmethod
    def _with_a_body(cls, methods: dict[str, str]) -> dict[str, str]:
        for name in methods:
            if _known_touchpoint(name).query:
                raise ValueError(f"{name} has no body: its method is the contract's")
        return methods

    def far_path(self, touchpoint: Touchpoint) -> str:
        return self.far_paths.get(touchpoint.name, touchpoint.far_path)

    def far_method(self, touchpoint: Touchpoint) -> str:
        return self.far_methods.get(touchpoint.name, touchpoint.method)


class IncreffDestination(Destination):
    budget: AnyBudget | None = Field(
        default=Budget(requests=200, window_s=60), description="one pool for all calls, as Increff counts them"
    )


class MarketplaceDestination(Destination):
    url: str = Field(
        default="",
        pattern=r"^https?://.+",
        description="base URL, to which far paths are appended; needed where the far side is `http`",
    )


class IncreffCredential(BaseModel):
    """Get Credential (contract 0.2, mode b): off unless a channel has this. The answer: `increff_headers`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    bootstrap_headers: dict[str, Secret] = Field(
        min_length=1, description="header pairs that Increff must send to get the others"
    )
    bootstrap_headers_also: dict[str, Secret] = Field(
        default_factory=dict, description="pairs that are valid instead of these, too, while Increff changes to them"
    )


class MarketplaceCredential(BaseModel):
    """Get Credential of the marketplace (contract 0.2, mode b); its path is `far_paths` of get-credential."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    bootstrap_headers: dict[str, Secret] = Field(
        min_length=1, description="header pairs with which Sluice asks the marketplace for the others"
    )


class Channel(BaseModel):
    """One marketplace channel. Who sends which credentials is in the fields' descriptions."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = ""
    credentials: ReceivedCredentials = Field(description="what the marketplace sends to Sluice")
    increff_credentials: Credentials = Field(description="what Sluice sends to Increff for this channel")
    increff_headers: dict[str, Secret] = Field(min_length=1, description="header pairs that Increff sends to Sluice")
    increff_headers_also: dict[str, Secret] = Field(
        default_factory=dict, description="pairs that are valid instead of these, too, while Increff changes to them"
    )
    marketplace_headers: dict[str, Secret] = Field(
        default_factory=dict, description="header pairs that Sluice sends to the marketplace"
    )
    marketplace_credential: MarketplaceCredential | None = Field(
        default=None, description="with it, the marketplace is asked for the header pairs, and again after a 401"
    )
    marketplace: MarketplaceDestination = Field(
        default_factory=MarketplaceDestination, description="where the marketplace's side of the contract is"
    )
    far_side: FarSide = Field(
        default=FarSide.HTTP,
        description="`http`: the marketplace implements the contract; `kafka`: it answers on topics of the channel; "
        "`self`: Sluice answers by rule",
    )
    far_sides: dict[str, FarSide] = Field(
        default_factory=dict, description="touchpoint -> far side, where it differs from `far_side`"
    )
    get_credential: IncreffCredential | None = Field(default=None, description="with it, Get Credential is on")
    off: frozenset[str] = Field(
        default=frozenset(), description="touchpoints in which the channel takes no part; only optional ones"
    )
    reply_topics: frozenset[Annotated[str, Field(pattern=REPLY_TOPIC)]] = Field(
        default=frozenset(),
        description="NAME -> topic `<prefix>.replies.NAME.v1`: where a direct producer may have its verdicts sent",
    )
    locations: dict[str, Literal["Warehouse", "Store"]] = Field(
        default_factory=dict, description="location code -> type, for Search Inventory; others are warehouses"
    )
    sla: Sla = Field(default=Sla(), description="a table: when its orders count as stuck, and when they are forgotten")
    stock: StockSettings = Field(
        default=StockSettings(), description="a table: how fast its stock is sent, and how much of it is offered"
    )
    unknown_orders: Literal["park", "adopt", "refuse"] = Field(
        default="park",
        description="treatment of an event of an order that Sluice did not see created: `park` keeps it for a day "
        "until the Create comes, `adopt` accepts the order as it is (for a cut-over), `refuse` refuses it",
    )

    resubmit_after_s: float = Field(
        default=RESUBMIT_AFTER_S,
        ge=0,
        description="how long after Increff refused an order or a return the same Create asks Increff again, when the "
        "marketplace repeats it; until then a repeat gets the remembered refusal; 0: always",
    )

    @field_validator("off")
    @classmethod
    def _optional(cls, off: frozenset[str]) -> frozenset[str]:
        for name in off:
            if not _known_touchpoint(name).optional:
                raise ValueError(f"{name} is mandatory in the contract and cannot be switched off")
        return off

    @field_validator("far_sides")
    @classmethod
    def _sent(cls, far_sides: dict[str, FarSide]) -> dict[str, FarSide]:
        for name in far_sides:
            if _known_touchpoint(name) not in SENT_TO_MARKETPLACES:
                sent = ", ".join(touchpoint.name for touchpoint in SENT_TO_MARKETPLACES)
                raise ValueError(f"{name} is not sent to the marketplace; what is: {sent}")
        return far_sides

    @model_validator(mode="after")
    def _fits_together(self) -> Channel:
        faults = [fault for fault in (self._unreachable(), self._unreadable(), self._unshared()) if fault]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _unreachable(self) -> str | None:
        lacking = [touchpoint.name for touchpoint in SENT_TO_MARKETPLACES if self._goes(touchpoint, FarSide.HTTP)]
        if not lacking or self.marketplace.url:
            return None
        return (
            f"marketplace.url is missing: {', '.join(lacking)} would go there over HTTP; "
            "or choose `kafka` or `self` with far_side and far_sides"
        )

    def _unreadable(self) -> str | None:
        if self.stock.read_back is None or self.marketplace.url:
            return None
        return "stock.read_back needs marketplace.url: the path is below it"

    def _unshared(self) -> str | None:
        try:
            budgets.check(self.stock.budget, self.marketplace.shards)
        except ValueError as error:
            return f"stock.{error}"
        return None

    def far_side_of(self, touchpoint: Touchpoint) -> FarSide:
        """The side that answers a touchpoint that goes to the marketplace."""
        return self.far_sides.get(touchpoint.name, self.far_side)

    def uses(self, far_side: FarSide) -> bool:
        """Whether anything goes to this far side."""
        return any(self._goes(touchpoint, far_side) for touchpoint in SENT_TO_MARKETPLACES)

    def _goes(self, touchpoint: Touchpoint, far_side: FarSide) -> bool:
        return self.offers(touchpoint) and self.far_side_of(touchpoint) is far_side

    def offers(self, touchpoint: Touchpoint) -> bool:
        """Whether this channel takes part in a touchpoint."""
        if touchpoint.name == "get-credential":
            return self.get_credential is not None
        return touchpoint.name not in self.off

    @cached_property
    def policy(self) -> Policy:
        """The deadlines of this channel for the order machine."""
        handover = self.offers(BY_NAME["handover-notification"])
        return self.sla.policy(handover=handover, resubmit_after_s=self.resubmit_after_s)

    def location_type(self, location: str) -> str:
        return self.locations.get(location, "Warehouse")


class Channels(BaseModel):
    """The whole of `channels.toml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    increff: IncreffDestination = Field(description="a table [increff] with the url of Increff")
    channels: dict[str, Channel] = Field(min_length=1)

    @model_validator(mode="after")
    def _named(self) -> Channels:
        usernames: dict[str, str] = {}
        faults = []
        for name, channel in self.channels.items():
            if not re.fullmatch(CHANNEL_NAME, name):
                faults.append(f"{name!r} cannot name a channel: a letter or digit, then letters, digits, `.`, `_`, `-`")
            object.__setattr__(channel, "name", name)
            username = channel.credentials.username
            if (other := usernames.setdefault(username, name)) != name:
                faults.append(f"channels {other} and {name} share the username {username}")
        faults += self._same_topics()
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _same_topics(self) -> Iterator[str]:
        """Kafka takes `.` and `_` in the names of topics for the same."""
        names: dict[str, str] = {}
        for name, channel in self.channels.items():
            if channel.uses(FarSide.KAFKA):
                other = names.setdefault(name.replace("_", "."), name)
                if other != name:
                    yield (
                        f"channels {other} and {name} would have the same topics, because Kafka takes `.` and `_` in "
                        "their names for the same: rename one of them"
                    )


def _known_touchpoint(name: str) -> Touchpoint:
    if name not in BY_NAME:
        raise ValueError(f"{name} is not a touchpoint; known: {', '.join(sorted(BY_NAME))}")
    return BY_NAME[name]
