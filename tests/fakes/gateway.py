"""The gateway's ports without Kafka, and a gateway on them: records are a list, replies are what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.typedefs import StrOrURL
from aiohttp.web import Application, Request

from gateway.app import make_apps
from gateway.dependencies import Dependencies
from gateway.http.access_log import AccessLog
from gateway.http.metrics import Metrics
from gateway.ports import Outgoing, Position, RoleLag, Unavailable
from gateway.siblings import Siblings
from gateway.views.positions import StockIndex
from journal.queries.reader import journal_reader
from sluice.demo_channels import demo_channels
from tests.fakes.log import FakeDead, FakeFacts, FakeLog
from topics.api.routes import full_path
from topics.configuration.channels import Channels
from topics.configuration.channels_file import parse_channels
from topics.configuration.settings import Settings, load_settings
from topics.contract.definition import Direction, Touchpoint
from topics.contract.sample_files import sample
from topics.contract.touchpoints import BY_NAME
from topics.destinations.pauses import PauseIndex
from topics.kafka.groups import GroupState, Place
from topics.logs.lines import Lines
from topics.records.envelope import CALL_REFUSED, Envelope, parse
from topics.records.verdicts import Reply, Verdict
from topics.stock.controls import ControlIndex
from topics.stock.status import StatusIndex
from topics.subscriptions.index import SubscriptionIndex

NOW_MS = 1_750_000_000_000
MARKETPLACE = {"authUsername": "demo", "authPassword": "demo-secret", "authDomainName": "demo"}
INCREFF = {"X-Api-Key": "demo-increff"}
BOOTSTRAP = {"X-Bootstrap-Key": "demo-bootstrap"}

Decide = Callable[[Envelope, Outgoing], "Reply | None"]


def applied(envelope: Envelope, _record: Outgoing) -> Reply | None:
    return Reply(event=envelope.id, verdict=Verdict.APPLIED)


def silent(_envelope: Envelope, _record: Outgoing) -> Reply | None:
    """An orders role that is down."""
    return None


class FakePauses(PauseIndex):
    """The view of pauses, which has read whatever was written."""

    away: str | None = None

    def has_written(self, partition: int, offset: int) -> bool:
        return True

    async def until_written(self, partition: int, offset: int) -> None:
        """Return at once."""

    def unready(self) -> str | None:
        return self.away


class FakeStockOperations:
    """`lags`: what is written is not seen before `see`."""

    def __init__(self) -> None:
        self.controls = ControlIndex()
        self.status = StatusIndex()
        self.away: str | None = None
        self.lags = False
        self._unseen: dict[int, Outgoing] = {}

    def written(self, offset: int, record: Outgoing) -> None:
        self._unseen[offset] = record
        if not self.lags:
            self.see()

    def see(self) -> None:
        for record in self._unseen.values():
            self.controls.apply(record.key, record.value)
        self._unseen.clear()

    def has_written(self, partition: int, offset: int) -> bool:
        return offset not in self._unseen

    async def until_written(self, partition: int, offset: int) -> None:
        if not self.has_written(partition, offset):
            raise TimeoutError

    def unready(self) -> str | None:
        return self.away


@dataclass
class FakeKafka:
    """Producer and replies in one: `decide` plays the orders role for each record on orders.commands.

    A decision of None is a reply that never comes: its waiting ends at once, as if its time had passed.
    """

    decide: Decide = applied
    records: list[Outgoing] = field(default_factory=list)
    error: Exception | None = None
    refuses: Callable[[Outgoing], bool] = lambda _record: False
    away: str | None = None
    partition: int = 3
    waiting: dict[str, asyncio.Future[Reply | None]] = field(default_factory=dict)
    waits_s: list[float] = field(default_factory=list)
    subscriptions: SubscriptionIndex = field(default_factory=SubscriptionIndex)
    operations: FakeStockOperations = field(default_factory=FakeStockOperations)
    pauses: FakePauses = field(default_factory=FakePauses)
    actions: FakeLog = field(default_factory=FakeLog)
    """The facts of operators' actions, which are not among `records`."""
    now_ms: int = NOW_MS
    told: list[Outgoing] = field(default_factory=list)
    """What the orders role was told of refused calls."""

    async def produce(self, record: Outgoing) -> Position:
        if self.error is not None:
            raise self.error
        if self.refuses(record):
            raise Unavailable("not acknowledged")
        if any(name == "ce_type" and kind == CALL_REFUSED.encode() for name, kind in record.headers):
            self.told.append(record)
            return Position("t.orders.commands.v1", 0, 0)
        if record.topic == "operators.events":
            self.actions.append(record.key, record.value, record.headers, self.now_ms, 0)
            return Position("t.operators.events.v1", 0, self.actions.ends - 1)
        self.records.append(record)
        if record.topic == "destinations.controls":
            self.pauses.apply(record.key, record.value)
            return Position("t.destinations.controls.v1", 0, len(self.records) - 1)
        if record.topic == "subscriptions":
            self.subscriptions.apply(record.key, record.value)
            return Position("t.subscriptions.v1", 0, len(self.records) - 1)
        if record.topic == "inventory.controls":
            self.operations.written(len(self.records) - 1, record)
            return Position("t.inventory.controls.v1", 0, len(self.records) - 1)
        envelope = parse(record.headers)
        if envelope.id in self.waiting:
            self.waiting.pop(envelope.id).set_result(self.decide(envelope, record))
        return Position(f"t.{record.topic}.v1", record.partition or 0, len(self.records) - 1)

    async def produce_all(self, records: Sequence[Outgoing]) -> list[Position | None]:
        if self.error is not None:
            raise self.error
        return [None if self.refuses(record) else await self.produce(record) for record in records]

    def expect(self, event: str, wait_s: float) -> asyncio.Future[Reply | None]:
        self.waits_s.append(wait_s)
        future: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self.waiting[event] = future
        return future

    def forget(self, event: str) -> None:
        self.waiting.pop(event, None)

    def unready(self) -> str | None:
        return self.away

    def envelopes(self) -> list[Envelope]:
        return [parse(record.headers) for record in self.records]


@dataclass
class FakeGroups:
    """Groups that are what a test says, or that Kafka does not tell of. `asked`: the positions that were given."""

    found: Sequence[GroupState] = ()
    error: Unavailable | None = None
    asked: list[Mapping[str, Mapping[tuple[str, int], int]]] = field(default_factory=list)

    async def states(self, positions: Mapping[str, Mapping[tuple[str, int], int]]) -> Sequence[GroupState]:
        self.asked.append(positions)
        if self.error is not None:
            raise self.error
        return self.found


@dataclass
class FakeEndpoints:
    """Endpoints that pass, or do not for a reason."""

    why: str | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)

    def fault(self, url: str) -> str | None:
        return "expected https" if url.startswith("http://") else None

    meanwhile: Callable[[str], None] = lambda _subscription: None
    """What happens elsewhere while one is asked."""

    async def challenge(self, **told: Any) -> str | None:
        self.asked.append(told)
        self.meanwhile(told["subscription"])
        return self.why


@dataclass
class FakeLags:
    """`lag`: what Kafka says of the roles; None: nothing."""

    lag: RoleLag | None = None

    async def look(self, _positions: Mapping[Place, int]) -> RoleLag | None:
        return self.lag


class FakeStock(StockIndex):
    away: str | None = None
    age_ms: int = 0

    def unready(self) -> str | None:
        return self.away

    def current_ms(self) -> int | None:
        return None if self.away else NOW_MS - self.age_ms


def channels_with(**changes: Any) -> Channels:
    """The demo channel, changed; `second` adds another channel of that name."""
    data = demo_channels()
    second = changes.pop("second", None)
    if second:
        other = {**data["channels"]["demo"], "credentials": {"username": second, "password": "s", "domain": None}}
        data["channels"][second] = other
    data["channels"]["demo"].update(changes)
    return parse_channels(data, where="test")


class Client(TestClient[Request, Application]):
    """A client of both ports of a gateway: it asks each for what is its own."""

    admin: TestClient[Request, Application]

    def app_of(self, path: str) -> Application:
        """The application that takes a path."""
        app = (self.admin if is_of_admin_port(path) else self).app
        assert app is not None
        return app

    def admin_url(self) -> str:
        return str(self.admin.make_url("/"))

    async def _request(self, method: str, path: StrOrURL, **options: Any) -> ClientResponse:
        if is_of_admin_port(str(path)):
            return await self.admin.request(method, path, **options)
        return await super()._request(method, path, **options)


def is_of_admin_port(path: str) -> bool:
    """Whether a path, in any spelling, is one that the admin port alone takes."""
    return path.lstrip("/").startswith(("api/", "metrics"))


@dataclass
class Gateway:
    """`client`: of both ports."""

    client: Client
    kafka: FakeKafka
    stock: FakeStock
    endpoints: FakeEndpoints
    facts: FakeFacts
    dead: FakeDead
    metrics: Metrics
    log: list[bytes]
    actions: list[bytes]
    settings: Settings


@asynccontextmanager
async def gateway(
    *,
    kafka: FakeKafka | None = None,
    channels: Channels | None = None,
    lags: FakeLags | None = None,
    groups: FakeGroups | None = None,
    now_ms: int = NOW_MS,
    **settings: Any,
) -> AsyncIterator[Gateway]:
    kafka = kafka or FakeKafka()
    kafka.now_ms = now_ms
    facts = FakeFacts()
    dead = FakeDead()
    stock = FakeStock()
    metrics = Metrics()
    log: list[bytes] = []
    actions: list[bytes] = []
    access_log = AccessLog(log.append, actions.append, Lines("gateway", "0"))
    endpoints = FakeEndpoints()
    loaded = load_settings(**{"api_open": True, **settings})
    siblings = Siblings(loaded)
    dependencies = Dependencies(
        producer=kafka,
        replies=kafka,
        stock=stock,
        stock_operations=kafka.operations,
        subscriptions=kafka.subscriptions,
        endpoints=endpoints,
        facts=facts,
        dead=dead,
        actions=kafka.actions,
        pauses=kafka.pauses,
        now_ms=lambda: kafka.now_ms,
        metrics=metrics,
        access_log=access_log,
        siblings=siblings,
        journal=journal_reader(loaded),
        lags=lags or FakeLags(),
        groups=groups or FakeGroups(),
    )
    apps = make_apps(loaded, channels or channels_with(), dependencies)
    await siblings.start()
    async with TestClient(TestServer(apps.admin)) as admin, Client(TestServer(apps.gateway)) as client:
        client.admin = admin
        yield Gateway(client, kafka, stock, endpoints, facts, dead, metrics, log, actions, loaded)
        access_log.flush()
    await siblings.stop()
    await dependencies.journal.stop()


async def call_sample(gateway: Gateway, name: str, **changes: Any) -> tuple[int, Any, dict[str, str]]:
    """The touchpoint's sample through the gateway as its caller sends it; `changes` replace members of the body."""
    touchpoint = BY_NAME[name]
    sample_of = sample(name)
    body = None if sample_of.body is None else {**sample_of.body, **changes}
    response = await gateway.client.request(
        touchpoint.method,
        full_path(touchpoint).format(channel="demo", **sample_of.path),
        params={key: _as_query(value) for key, value in sample_of.query.items()},
        data=None if body is None else orjson.dumps(body),
        headers=headers_for(touchpoint),
    )
    raw = await response.read()
    return response.status, orjson.loads(raw) if raw else None, dict(response.headers)


def headers_for(touchpoint: Touchpoint) -> dict[str, str]:
    if touchpoint.name == "get-credential":
        return BOOTSTRAP
    return MARKETPLACE if touchpoint.direction is Direction.TO_INCREFF else INCREFF


def _as_query(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
