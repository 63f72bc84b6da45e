"""Settings (environment, `SLUICE_*`) and channels (`channels.toml`), checked when they are read.

An error names the file, the key and what was expected. A secret in `channels.toml` may be written `env:NAME`, to be
read from the environment variable NAME.
"""

from __future__ import annotations

import os
import re
import tomllib
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from topics.configuration import budgets
from topics.configuration.budgets import AnyBudget, Budget
from topics.configuration.pace import Pace
from topics.configuration.secret_keys import parse_secret_keys
from topics.configuration.sla import Policy, Sla
from topics.configuration.stock import TABLES as STOCK_TABLES
from topics.configuration.stock import LocationStock, StockSettings
from topics.contract.definition import Direction, Mode, Touchpoint
from topics.contract.touchpoints import BY_NAME, TOUCHPOINTS
from topics.webhooks.addresses import DEFAULT_PORTS, parse_networks, parse_ports

PARTITIONS = 8
"""Default partitions of each topic: the most workers one role can use. Fixed when a topic is made."""
RELAY_DEADLINE_S = 40.0
"""One deadline for the whole way of a relay: under the 45 s after which both callers give up (contract 0.3)."""
VERDICT_TIMEOUT_S = 5.0
"""How long a caller of an accepted touchpoint waits for the order's verdict before the answer is 503 with a receipt."""
PRODUCE_TIMEOUT_S = 1.5
"""How long the gateway waits for Kafka before it answers 503: the promise is two seconds."""
TICK_S = 10.0
"""How often each partition of orders is looked over when something is due: an order that got stuck is known after 30 s
at most, even if one tick is missed in a restart."""
SUBSCRIPTION_DISABLE_AFTER_S = 5 * 86_400.0
"""A long weekend without anybody who looks after the receiver, and then some."""
BODY_BYTES_MAX = 4 << 20
"""Largest request body: 2,500 order items fit several times."""


CHANNEL_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""A channel's name is part of paths and record keys; some keys of Sluice's own begin with `~`."""


REPLY_TOPIC = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
"""The NAME of a reply topic: one part of a topic's name."""

Secret = Annotated[SecretStr, Field(min_length=1)]
"""Never empty: an empty secret would open a door to whoever sends an empty header."""


class ConfigurationError(ValueError):
    """What is configured cannot be used; the message names the file or variable, the key and what was expected."""


class FarSide(StrEnum):
    """Who answers what Sluice sends to a marketplace."""

    HTTP = "http"
    """The marketplace: it implements the contract at a URL."""
    KAFKA = "kafka"
    """The marketplace: requests and answers are records on topics of its channel."""
    SELF = "self"
    """Sluice, by rule; the marketplace follows the facts."""


class Credentials(BaseModel):
    """The header triple of contract 0.2. `domain` None: the caller sends only the first two."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    username: str = Field(description="header authUsername; unique among the channels")
    password: Secret = Field(description="header authPassword")
    domain: str | None = Field(default=None, description="header authDomainName; without it the caller sends only two")


class Destination(Pace):
    """What is common to both far sides: where, how fast, how long to try."""

    url: str = Field(pattern=r"^https?://.+", description="what far paths are below")
    far_paths: dict[str, str] = Field(default_factory=dict, description="touchpoint -> path, instead of the contract's")
    far_methods: dict[str, Literal["POST", "PUT", "PATCH", "DELETE"]] = Field(
        default_factory=dict, description="touchpoint -> method, instead of the contract's"
    )

    @field_validator("url")
    @classmethod
    def _no_slash(cls, url: str) -> str:
        return url.rstrip("/")

    @field_validator("far_paths", "far_methods")
    @classmethod
    def _known(cls, named: dict[str, str]) -> dict[str, str]:
        for name in named:
            _known_touchpoint(name)
        return named

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
        default="", pattern=r"^https?://.+", description="what far paths are below; needed where the far side is `http`"
    )


class GetCredential(BaseModel):
    """Get Credential (contract 0.2, mode b): off unless a channel has this. The answer: `increff_headers`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    bootstrap_headers: dict[str, Secret] = Field(
        min_length=1, description="header pairs that Increff must send to get the others"
    )


class MarketplaceCredential(BaseModel):
    """Get Credential of the marketplace (contract 0.2, mode b); its path is `far_paths` of get-credential."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    bootstrap_headers: dict[str, Secret] = Field(
        min_length=1, description="header pairs with which Sluice asks the marketplace for the others"
    )


class Channel(BaseModel):
    """One marketplace channel.

    `credentials`: what the marketplace sends to Sluice. `increff_credentials`: what Sluice sends to Increff for it.
    `increff_headers`: the static pairs that Increff sends to Sluice. `marketplace_headers`: what Sluice sends to the
    marketplace.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = ""
    credentials: Credentials = Field(description="what the marketplace sends to Sluice")
    increff_credentials: Credentials = Field(description="what Sluice sends to Increff for this channel")
    increff_headers: dict[str, Secret] = Field(min_length=1, description="header pairs that Increff sends to Sluice")
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
    get_credential: GetCredential | None = Field(default=None, description="with it, Get Credential is on")
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
        description="what becomes of an event of an order that Sluice did not see created: `park` keeps it for a day "
        "until the Create comes, `adopt` takes the order on as it is (for a cut-over), `refuse` refuses it",
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
    def _reachable(self) -> Channel:
        lacking = [touchpoint.name for touchpoint in SENT_TO_MARKETPLACES if self._goes(touchpoint, FarSide.HTTP)]
        if lacking and not self.marketplace.url:
            raise ValueError(
                f"marketplace.url is missing: {', '.join(lacking)} would go there over HTTP; "
                "or choose `kafka` or `self` with far_side and far_sides"
            )
        return self

    @model_validator(mode="after")
    def _readable(self) -> Channel:
        if self.stock.read_back is not None and not self.marketplace.url:
            raise ValueError("stock.read_back needs marketplace.url: the path is below it")
        return self

    @model_validator(mode="after")
    def _shared(self) -> Channel:
        try:
            budgets.check(self.stock.budget, self.marketplace.shards)
        except ValueError as error:
            raise ValueError(f"stock.{error}") from error
        return self

    def far_side_of(self, touchpoint: Touchpoint) -> FarSide:
        """Who answers a touchpoint that goes to the marketplace."""
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
        """What the order machine keeps to for this channel."""
        return self.sla.policy(handover=self.offers(BY_NAME["handover-notification"]))

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
        for name, channel in self.channels.items():
            if not re.fullmatch(CHANNEL_NAME, name):
                raise ValueError(
                    f"{name!r} cannot name a channel: a letter or digit, then letters, digits, `.`, `_`, `-`"
                )
            object.__setattr__(channel, "name", name)
            username = channel.credentials.username
            if username in usernames:
                raise ValueError(f"channels {usernames[username]} and {name} share the username {username}")
            usernames[username] = name
        self._topics_differ()
        return self

    def _topics_differ(self) -> None:
        """Kafka takes `.` and `_` in the names of topics for the same."""
        names: dict[str, str] = {}
        for name, channel in self.channels.items():
            if channel.uses(FarSide.KAFKA):
                other = names.setdefault(name.replace("_", "."), name)
                if other != name:
                    raise ValueError(
                        f"channels {other} and {name} would have the same topics, because Kafka takes `.` and `_` in "
                        "their names for the same: rename one of them"
                    )


class Settings(BaseSettings):
    """Process settings; each is an environment variable with the prefix `SLUICE_`."""

    model_config = SettingsConfigDict(env_prefix="SLUICE_", extra="ignore", frozen=True)

    kafka: str = Field(default="127.0.0.1:9092", description="bootstrap servers, host:port[,host:port]")
    topic_prefix: str = Field(
        default="sluice", pattern=r"^[a-zA-Z0-9.-]{1,40}$", description="first part of every topic's name"
    )
    partitions: int = Field(
        default=PARTITIONS, ge=1, le=512, description="of each topic: the most workers of one role; fixed once made"
    )
    replication_factor: int = Field(default=1, ge=1, description="3 in production")
    min_insync_replicas: int = Field(default=1, ge=1, description="2 in production")
    channels_file: Path | None = Field(default=None, description="channels.toml; without it the demo channel")
    gateway_host: str = Field(default="127.0.0.1", description="address on which the gateway listens")
    gateway_port: int = Field(default=8080, description="port on which the gateway listens")
    reply_partition: int | None = Field(
        default=None, description="partition of `replies` of this gateway; derived when unset"
    )
    verdict_timeout_s: float = Field(
        default=VERDICT_TIMEOUT_S, gt=0, description="then a caller gets 503 with a receipt instead of the verdict"
    )
    relay_deadline_s: float = Field(
        default=RELAY_DEADLINE_S, gt=0, lt=45, description="for the whole way of a relay; callers give up after 45 s"
    )
    search_deadline_s: float = Field(
        default=3.0, ge=2, lt=45, description="for asking Increff for what a search of stock does not find here"
    )
    search_stale_max_s: float = Field(
        default=60.0, gt=0, description="a search is 503 when what is known of stock may be older than this"
    )
    produce_timeout_s: float = Field(
        default=PRODUCE_TIMEOUT_S, gt=0, description="then Kafka counts as away and the caller gets 503"
    )
    body_bytes_max: int = Field(default=BODY_BYTES_MAX, gt=0, description="larger requests get 413")
    snapshot_uploads_max: int = Field(
        default=4, ge=1, description="full snapshots of stock that a gateway takes in at once; more get 503"
    )
    snapshot_idle_s: float = Field(
        default=60.0, gt=0, le=600, description="an upload of which nothing comes for so long is given up"
    )
    api_token: Secret | None = Field(default=None, description="when set, /api/* wants `Authorization: Bearer`")
    secret_key: Secret | None = Field(
        default=None,
        description="secrets of subscriptions are sealed under it: 32 bytes as base64; several with commas between, "
        "the first seals, all open",
    )
    subscriber_networks: str = Field(
        default="",
        description="where subscribers may be although it is not public, as `10.1.0.0/16,fd00::/8`",
    )
    subscriber_ports: str = Field(default=DEFAULT_PORTS, description="ports of subscribers, as `443,8000-8999`")
    subscriber_http: bool = Field(default=False, description="whether a subscriber's URL may be `http://`")
    admin_host: str = Field(default="127.0.0.1", description="address on which a streams role answers its health")
    admin_port: int = Field(
        default=0, description="where a streams role answers /live, /ready and /metrics; 0: any free port"
    )
    instance: str = Field(default="0", description="name of this worker among those of its role; stable over restarts")
    tick_s: float = Field(
        default=TICK_S, gt=0, le=15, description="how often the orders role looks for what is due, at most"
    )
    subscription_disable_after_s: float = Field(
        default=SUBSCRIPTION_DISABLE_AFTER_S,
        gt=0,
        description="a subscriber that took nothing for so long is disabled, with a fact",
    )
    state_dir: Path = Field(
        default=Path(".sluice"),
        description="where a process may keep files of its own: what outgrows its memory, deleted when it starts",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error"
    )

    @field_validator("secret_key")
    @classmethod
    def _is_key(cls, secret_key: SecretStr | None) -> SecretStr | None:
        if secret_key is not None:
            parse_secret_keys(secret_key.get_secret_value())
        return secret_key

    @field_validator("subscriber_networks", "subscriber_ports")
    @classmethod
    def _is_list(cls, text: str, info: ValidationInfo) -> str:
        (parse_networks if info.field_name == "subscriber_networks" else parse_ports)(text)
        return text

    @property
    def secret_keys(self) -> tuple[bytes, ...]:
        """What `secret_key` holds; none when it is not set."""
        return () if self.secret_key is None else parse_secret_keys(self.secret_key.get_secret_value())


def load_settings(**overrides: Any) -> Settings:
    """Settings from the environment. Raises ConfigurationError naming the variable and what was expected."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise ConfigurationError(_explain("environment", error, prefix="SLUICE_")) from error


def load_channels(path: Path | None, *, default: dict[str, Any] | None = None) -> Channels:
    """Channels from a TOML file, or from `default` when there is no path. Raises ConfigurationError."""
    if path is None:
        if default is None:
            raise ConfigurationError("no channels: give --channels FILE or set SLUICE_CHANNELS_FILE")
        return parse_channels(default, where="built-in channels")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        told = f"{path}: is not UTF-8, as TOML has to be: byte {error.start} cannot be read"
        raise ConfigurationError(told) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from error
    return parse_channels(data, where=str(path))


def parse_channels(data: dict[str, Any], *, where: str) -> Channels:
    """Channels from data as TOML has it. Raises ConfigurationError, which names all secrets that are not there."""
    lacking: list[str] = []
    resolved = _resolve(data, lacking)
    if lacking:
        raise ConfigurationError("\n".join(f"{where}: {problem}" for problem in dict.fromkeys(lacking)))
    try:
        return Channels.model_validate(resolved)
    except ValidationError as error:
        raise ConfigurationError(_explain(where, error)) from error


def _resolve(value: Any, lacking: list[str]) -> Any:
    """The value with each `env:NAME` replaced; what is wrong with a variable is added to `lacking`."""
    if isinstance(value, dict):
        return {name: _resolve(member, lacking) for name, member in value.items()}
    if isinstance(value, list):
        return [_resolve(member, lacking) for member in value]
    if isinstance(value, str) and value.startswith("env:"):
        name = value.removeprefix("env:")
        if not os.environ.get(name):
            state = "empty" if name in os.environ else "not set"
            lacking.append(f"{value} names the environment variable {name}, which is {state}")
        return os.environ.get(name, "")
    return value


def _explain(where: str, error: ValidationError, prefix: str = "") -> str:
    lines = []
    for problem in error.errors():
        key = prefix + ".".join(str(part) for part in _written(problem["loc"]))
        lines.append(f"{where}: {key.upper() if prefix else key}: {_expected(problem)}")
    return "\n".join(lines)


def _written(path: tuple[Any, ...]) -> tuple[Any, ...]:
    """The path as it is written: without what names the shape of a budget."""
    if "budget" not in path:
        return path
    after = path.index("budget") + 1
    return path[:after] + tuple(part for part in path[after:] if part not in budgets.TAGS)


def _expected(problem: Any) -> str:
    """What is wrong with one key, in words for whoever wrote the file."""
    kind, path = problem["type"], problem["loc"]
    if kind == "extra_forbidden":
        known = _members_at(path[:-1])
        return "is not a setting" + (f"; known here: {', '.join(known)}" if known else "")
    if path == ("channels",) and kind in ("missing", "too_short"):
        return "there is no [channels.NAME] table"
    if kind == "missing":
        description = _description_at(path)
        return "is missing" + (f": {description}" if description else "")
    if kind == "too_short":
        return "is empty"
    if kind == "string_pattern_mismatch" and path[-1] == "url":
        return f"expected http://HOST or https://HOST, not {problem['input']!r}"
    return str(problem["msg"]).removeprefix("Value error, ")


def _model_at(path: tuple[Any, ...]) -> type[BaseModel] | None:
    """The model that a key of channels.toml belongs to."""
    model: type[BaseModel] | None = Channels
    if path[:1] == ("channels",):
        model, path = Channel, path[2:]  # what follows is a channel's name, whatever it is
    if path[:2] == ("stock", "locations") and len(path) > 2:
        model, path = LocationStock, path[3:]  # the same of a location's code
    for part in path:
        if not isinstance(part, int):
            model = budgets.TAGS.get(part) or model if part in budgets.TAGS else _TABLES.get(str(part))
    return model


def _members_at(path: tuple[Any, ...]) -> list[str]:
    model = _model_at(path)
    return [name for name in model.model_fields if name != "name"] if model else []


def _description_at(path: tuple[Any, ...]) -> str:
    model = _model_at(path[:-1])
    field = model.model_fields.get(str(path[-1])) if model else None
    return (field.description or "") if field else ""


_TABLES: dict[str, type[BaseModel]] = {
    "increff": IncreffDestination,
    "marketplace": MarketplaceDestination,
    "credentials": Credentials,
    "increff_credentials": Credentials,
    "budget": Budget,
    "get_credential": GetCredential,
    "marketplace_credential": MarketplaceCredential,
    "sla": Sla,
    **STOCK_TABLES,
}
"""Tables of channels.toml by name, for errors that say what is known there."""


SENT_TO_MARKETPLACES: tuple[Touchpoint, ...] = tuple(
    touchpoint
    for touchpoint in TOUCHPOINTS
    if touchpoint.direction is Direction.TO_MARKETPLACE and touchpoint.mode is not Mode.ANSWER
)
"""The touchpoints for which a channel chooses a far side."""


def _known_touchpoint(name: str) -> Touchpoint:
    if name not in BY_NAME:
        raise ValueError(f"{name} is not a touchpoint; known: {', '.join(sorted(BY_NAME))}")
    return BY_NAME[name]
