"""Settings of a process: environment variables `SLUICE_*`, checked when they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from topics.configuration.api_tokens import parse_api_tokens
from topics.configuration.errors import ConfigurationError, said
from topics.configuration.networks import DEFAULT_PORTS, parse_networks, parse_ports
from topics.configuration.secret_keys import Secret, parse_secret_keys
from topics.paths.bases import MARKETPLACE_BASES, parse_bases
from topics.schema_base import VALUES_MAX

PARTITIONS = 8
"""Default number of partitions of each topic: the most workers one role can use. Fixed when a topic is made."""
RELAY_DEADLINE_S = 40.0
"""One deadline for the whole way of a relay: under the 45 s after which both callers give up (contract 0.3)."""
VERDICT_TIMEOUT_S = 5.0
"""How long a caller of an accepted touchpoint waits for the order's verdict before the answer is 503 with a receipt."""
PRODUCE_TIMEOUT_S = 1.5
"""How long the gateway waits for Kafka before it answers 503: the promise is two seconds."""
TICK_S = 10.0
"""How often each partition of orders is searched for what is due: a stuck order is known after 30 s at most, even if
one tick is missed in a restart."""
SUBSCRIPTION_DISABLE_AFTER_S = 5 * 86_400.0
"""Longer than a long weekend in which nobody looks after the receiver."""
ANSWER_TARGET_S = 0.25
"""Callers wait seconds for an answer; what takes longer than this on average only stands in queues."""
CALLS_IN_HAND_MIN = 32
"""So few calls in hand are no overload: one gateway and one orders worker reach most of their throughput with them."""
CALLS_IN_HAND_MAX = 2_000
"""Calls in hand that keep several orders workers busy at the target time; also a bound of memory, some 20 KiB each."""
DELIVERY_BYTES_MAX = 64 << 20
"""Bytes of large requests in flight: 16 of the largest. The memory they take is some times as much, because the sockets
hold what the far side has not read."""
STANDBY_BYTES_MAX = 256 << 20
"""Some 200,000 open orders. With more a takeover takes seconds longer; more memory is for the operator to grant."""
BODY_BYTES_MAX = 4 << 20
"""Largest request body: 2,500 order items fit several times."""
PREVIEW_S = 600.0
"""Long enough to ask a colleague about a preview, short enough that it is still true."""
API_READS_MAX = 24
"""Reads of /api at once: each may wait for the orders role. Fewer than the calls of /api that a gateway takes in hand
under overload (gateway.admission.calls.API_CALLS_MAX), so that reads leave room for actions."""
API_READS_PER_S = 50.0
"""A read of an order writes two records to Kafka: at this rate a tenth of what one gateway writes for orders. Receivers
that fill their gaps, and pages that show orders, need less."""
AUTH_FAILURES_BURST = 20
"""So often a program with an outdated password, started again and again, gets the answer that says so."""
AUTH_FAILURES_PER_MINUTE = 10.0
"""14,400 guesses a day from an address: none of a password that a program has made."""
GATEWAYS_MAX = 16
"""Gateway processes on one port: as many as `replies` has partitions, so that each reads one of its own."""
PORT_MAX = 65_535
GATEWAY_ADMIN_PORT = 8081
"""The admin port of gateway 0 where none is given: known, because commands and scrapers look for it without being told,
and beside the port of marketplaces, so that people find it. Gateway 1 of the same machine has the next one."""
"""The largest port of TCP. A larger number would be cut to 16 bits, and another port listened on."""

TRACES_RATIO = 0.01
"""One in a hundred shows every step of the usual within minutes, for 5 % of a worker's time at most."""
JOURNAL_DAYS = 365
"""As long as the topics keep facts, from which the journal could be made again."""
JOURNAL_CONNECTIONS = 4
"""A query takes some milliseconds, so four serve some hundred a second."""
JOURNAL_TIME_OUT_S = 5.0
"""A page takes less than 0.1 s. What takes longer than this would only hold others up."""
HEAD_TIMEOUT_S = 10.0
"""From the connection, or from the first byte of a later request, to the end of the head. A head is a few packets, so
this is enough for three lost ones."""
BODY_TIMEOUT_S = 60.0
"""For a whole body. The largest takes that long at 70 KiB/s."""
BODY_RATE_MIN = 1024
"""Least bytes a second of a body, on average after a grace. The slowest mobile link is faster."""
KEEP_ALIVE_S = 75.0
"""A connection without a request is closed after this. Load balancers keep theirs for 60 s, and must be the first to
close: otherwise they send a request just when the gateway closes."""
ANSWER_READ_S = 30.0
"""How long a client may leave an answer unread. It holds the answer's memory meanwhile."""


class Settings(BaseSettings):
    """Process settings; each is an environment variable with the prefix `SLUICE_`."""

    model_config = SettingsConfigDict(env_prefix="SLUICE_", extra="ignore", frozen=True)

    kafka: str = Field(default="127.0.0.1:9092", description="bootstrap servers, host:port[,host:port]")
    topic_prefix: str = Field(
        default="sluice", pattern=r"^[a-zA-Z0-9.-]{1,40}$", description="first part of every topic's name"
    )
    compression: Literal["zstd", "none"] = Field(
        default="zstd",
        description="how producers compress large batches; `none` if a reader has a client older than Kafka 2.1",
    )
    partitions: int = Field(
        default=PARTITIONS,
        ge=1,
        le=512,
        description="partitions of each topic: the most workers of one role; fixed once the topics are made",
    )
    replication_factor: int = Field(default=1, ge=1, description="3 in production")
    min_insync_replicas: int = Field(default=1, ge=1, description="2 in production")
    channels_file: Path | None = Field(default=None, description="path of channels.toml; without it the demo channel")
    gateway_host: str = Field(default="127.0.0.1", description="address on which the gateway listens")
    marketplace_paths: str = Field(
        default=",".join(MARKETPLACE_BASES),
        description="paths below which marketplaces find their calls, with commas between: those with which their base "
        "URLs of Increff end today; `/`: none",
    )
    gateway_port: int = Field(default=8080, ge=1, le=PORT_MAX, description="port on which the gateway listens")
    gateways: int = Field(
        default=1,
        ge=1,
        le=GATEWAYS_MAX,
        description="gateway processes that share this port of one machine, on Linux: each with the same value, a "
        "`SLUICE_GATEWAY_NUMBER` and a `SLUICE_ADMIN_PORT` of its own",
    )
    gateway_number: int = Field(
        default=0, ge=0, description="number of this process among those, from 0; it reads a partition of its own"
    )
    reply_partition: int | None = Field(
        default=None,
        description="partition of `replies` that this gateway reads, or the first of several; derived when unset",
    )
    verdict_timeout_s: float = Field(
        default=VERDICT_TIMEOUT_S,
        gt=0,
        description="wait for the verdict; after it a caller gets 503 with a receipt instead",
    )
    relay_deadline_s: float = Field(
        default=RELAY_DEADLINE_S, gt=0, lt=45, description="for the whole way of a relay; callers give up after 45 s"
    )
    search_deadline_s: float = Field(
        default=3.0, ge=2, lt=45, description="for asking Increff for SKUs that a search of stock does not find here"
    )
    search_stale_max_s: float = Field(
        default=60.0, gt=0, description="a search is answered 503 when the stock known here may be older than this"
    )
    produce_timeout_s: float = Field(
        default=PRODUCE_TIMEOUT_S, gt=0, description="wait for Kafka; after it the caller gets 503"
    )
    answer_target_s: float = Field(
        default=ANSWER_TARGET_S,
        gt=0,
        le=5,
        description="longest mean time of an answer before a gateway takes fewer calls in hand; less where calls are "
        "answered faster while few are in hand",
    )
    calls_in_hand_min: int = Field(
        default=CALLS_IN_HAND_MIN, ge=1, description="calls that a gateway takes in hand at once, however slow they are"
    )
    calls_in_hand_max: int = Field(
        default=CALLS_IN_HAND_MAX, ge=1, description="calls that a gateway takes in hand at once, however fast they are"
    )
    body_bytes_max: int = Field(default=BODY_BYTES_MAX, gt=0, description="larger requests get 413")
    body_values_max: int = Field(
        default=VALUES_MAX,
        ge=1_000,
        description="JSON values of one body: requests with more get 400, records are set aside",
    )
    head_timeout_s: float = Field(
        default=HEAD_TIMEOUT_S,
        gt=0,
        description="a request's head must come within this, from the connection or its first byte; then 408",
    )
    body_timeout_s: float = Field(
        default=BODY_TIMEOUT_S,
        gt=0,
        description="a request's body must come within this, snapshots excepted; then 408",
    )
    body_rate_min: int = Field(
        default=BODY_RATE_MIN,
        ge=0,
        description="least bytes a second of a body, on average after 5 s (snapshots: 60 s); with fewer, 408",
    )
    keep_alive_s: float = Field(
        default=KEEP_ALIVE_S,
        gt=0,
        description="an idle connection is closed after this; longer than the idle time-out of the load balancer",
    )
    answer_read_s: float = Field(
        default=ANSWER_READ_S, gt=0, description="a client that leaves its answer unread for so long is cut off"
    )
    connections_max: int | None = Field(
        default=None, ge=1, description="most connections of callers; derived from the file limit when unset"
    )
    connections_per_peer: int | None = Field(
        default=None,
        ge=1,
        description="most connections from one address, unless it is a trusted proxy's; when unset as many as are "
        "free, which is half of all for one alone",
    )
    delivery_bytes_max: int = Field(
        default=DELIVERY_BYTES_MAX,
        gt=0,
        description="bytes of requests over 64 KiB that a delivery worker sends at once; one to each destination may "
        "always be sent",
    )
    standby_bytes_max: int = Field(
        default=STANDBY_BYTES_MAX,
        ge=0,
        description="bytes in which an orders worker keeps the orders of other workers current, so that it takes over "
        "within seconds of their session's end; 0: none, and a takeover reads all of them first",
    )
    snapshot_uploads_max: int = Field(
        default=4, ge=1, description="full snapshots of stock that a gateway accepts at once; more get 503"
    )
    snapshot_idle_s: float = Field(
        default=60.0, gt=0, le=600, description="an upload that pauses for longer is given up"
    )
    api_token: Secret | None = Field(
        default=None,
        description="a token of /api/*, sent as `Authorization: Bearer`; the log of actions calls it `api-token`. "
        "Without any token /api/* is closed",
    )
    api_tokens: Secret | None = Field(
        default=None,
        description="tokens of /api/* by name, as `alice=TOKEN,ci=TOKEN`; the log of actions says whose it was",
    )
    api_tokens_file: Path | None = Field(
        default=None, description="path of a file with more of them, one NAME=TOKEN a line; read again at SIGHUP"
    )
    api_open: bool = Field(
        default=False,
        description="whether /api/* takes calls without a token when none is set: only for a gateway that nobody but "
        "its own machine reaches",
    )
    preview_s: float = Field(default=PREVIEW_S, ge=1, le=86_400, description="seconds for which a preview holds")
    api_reads_max: int = Field(default=API_READS_MAX, ge=1, description="reads of /api/* at once; more get 503")
    api_reads_per_s: float = Field(
        default=API_READS_PER_S,
        gt=0,
        description="reads of /api/* in a second, per token; more get 429. What costs more counts as several",
    )
    auth_failures_burst: int = Field(
        default=AUTH_FAILURES_BURST,
        ge=1,
        description="wrong credentials for one name that an address may send at once; more get 429. Ten times as many "
        "for all names together",
    )
    auth_failures_per_minute: float = Field(
        default=AUTH_FAILURES_PER_MINUTE, gt=0, description="how many more it may send in each minute"
    )
    trusted_proxies: str = Field(
        default="",
        description="networks of load balancers in front of the gateway, as `10.1.0.0/16,fd00::/8`: of a call from "
        "there, `SLUICE_PROXY_HEADER` says the caller's address",
    )
    proxy_header: Literal["X-Forwarded-For", "Forwarded"] = Field(
        default="X-Forwarded-For",
        description="the header that these load balancers write; they must not pass on a caller's own",
    )
    secret_key: Secret | None = Field(
        default=None,
        description="key under which secrets of subscriptions are sealed, and which signs validated commands and "
        "previews: 32 bytes as base64, the same for all roles; several with commas between: the first seals and signs",
    )
    subscriber_networks: str = Field(
        default="",
        description="networks of subscribers that are allowed although not public, as `10.1.0.0/16,fd00::/8`",
    )
    subscriber_ports: str = Field(default=DEFAULT_PORTS, description="allowed ports of subscribers, as `443,8000-8999`")
    subscriber_http: bool = Field(default=False, description="whether a subscriber's URL may be `http://`")
    admin_host: str = Field(
        default="127.0.0.1",
        description="address on which a role answers /live, /ready and /metrics, and a gateway also /api",
    )
    admin_port: int | None = Field(
        default=None,
        ge=0,
        le=PORT_MAX,
        description="port on which it does; 0: any free port. When unset, a gateway takes 8081 plus its number, where "
        "commands look for it, and other roles any free port",
    )
    instance: str = Field(
        default="0", min_length=1, description="name of this worker, unique in its role and the same after a restart"
    )
    tick_s: float = Field(
        default=TICK_S, gt=0, le=15, description="how often, at most, the orders role looks for what is due"
    )
    subscription_disable_after_s: float = Field(
        default=SUBSCRIPTION_DISABLE_AFTER_S,
        gt=0,
        description="how long a subscriber may accept nothing before it is disabled, with a fact",
    )
    state_dir: Path = Field(
        default=Path(".sluice"),
        description="directory for state that outgrows a process's memory, whose files are deleted at the start, and "
        "for the file by which a worker that crashed gets its instance name back at once",
    )
    journal_url: Secret | None = Field(
        default=None,
        description="database of the journal: `postgresql://USER:PASSWORD@HOST/DATABASE` or `sqlite:////PATH`; without "
        "it the file journal.db in the state directory",
    )
    journal_personal: Literal["none", "encrypted", "plain"] = Field(
        default="none",
        description="what the journal keeps of texts that may name people: `none` of them; `encrypted` under the first "
        "key of `SLUICE_SECRET_KEY`; `plain`",
    )
    journal_days: int = Field(
        default=JOURNAL_DAYS, ge=1, description="days after which the journal deletes an order and what belongs to it"
    )
    journal_connections: int = Field(
        default=JOURNAL_CONNECTIONS,
        ge=1,
        le=64,
        description="connections that a gateway opens to the journal, at most, for what people ask it",
    )
    journal_time_out_s: float = Field(
        default=JOURNAL_TIME_OUT_S, gt=0, le=60, description="how long a query of the journal may take"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error"
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto",
        description="`json`: a line of JSON for each record; `console`: lines for people; `auto`: these on a terminal, "
        "else JSON ([logs.md](logs.md))",
    )

    traces_url: str = Field(
        default="",
        pattern=r"^(https?://\S+)?$",
        description="where a collector takes traces (OTLP over HTTP), as `http://127.0.0.1:4318`; without it no span "
        "is recorded ([traces.md](traces.md))",
    )
    traces_ratio: float = Field(
        default=TRACES_RATIO,
        ge=0,
        le=1,
        description="share of the calls whose callers send no `traceparent` that is traced; the flag of a caller's "
        "`traceparent` says it for his own",
    )

    @field_validator("gateway_number")
    @classmethod
    def _is_among(cls, number: int, info: ValidationInfo) -> int:
        if number >= (gateways := info.data.get("gateways", GATEWAYS_MAX)):
            raise ValueError(f"must be less than SLUICE_GATEWAYS, which is {gateways}")
        return number

    @field_validator("secret_key")
    @classmethod
    def _is_key(cls, secret_key: SecretStr | None) -> SecretStr | None:
        if secret_key is not None:
            parse_secret_keys(secret_key.get_secret_value())
        return secret_key

    @field_validator("api_tokens")
    @classmethod
    def _are_tokens(cls, api_tokens: SecretStr | None) -> SecretStr | None:
        if api_tokens is not None:
            parse_api_tokens(api_tokens.get_secret_value())
        return api_tokens

    @field_validator("subscriber_networks", "trusted_proxies", "subscriber_ports")
    @classmethod
    def _is_list(cls, text: str, info: ValidationInfo) -> str:
        (parse_ports if info.field_name == "subscriber_ports" else parse_networks)(text)
        return text

    @field_validator("marketplace_paths")
    @classmethod
    def _are_bases(cls, text: str) -> str:
        parse_bases(text)
        return text

    @property
    def gateway_admin_port(self) -> int:
        """The admin port of this gateway; 0: any free port."""
        return GATEWAY_ADMIN_PORT + self.gateway_number if self.admin_port is None else self.admin_port

    @property
    def marketplace_bases(self) -> tuple[str, ...]:
        """The paths in `marketplace_paths`, without the slash at their end."""
        return parse_bases(self.marketplace_paths)

    @property
    def journal_dsn(self) -> str:
        """The URL in `journal_url`, which may hold a password; empty when it is not set."""
        return "" if self.journal_url is None else self.journal_url.get_secret_value()

    @property
    def secret_keys(self) -> tuple[bytes, ...]:
        """The keys in `secret_key`; none when it is not set."""
        return () if self.secret_key is None else parse_secret_keys(self.secret_key.get_secret_value())


def load_settings(**overrides: Any) -> Settings:
    """Settings from the environment. Raises ConfigurationError naming the variable and what was expected."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        problems = [f"environment: SLUICE_{str(one['loc'][0]).upper()}: {said(one)}" for one in error.errors()]
        raise ConfigurationError("\n".join(problems)) from error
