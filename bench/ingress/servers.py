"""The servers that the ingress and inventory benchmarks compare, each in a process of its own.

`gateway`: the whole gateway with admission, validation, envelope, record, acknowledgement, receipts, metrics and access
log; only the wait for a verdict is left out. `bare` and `bare-stock`: the bare job, for an order and for a batch of
stock.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import orjson
import uvloop
from aiohttp import web
from aiokafka import AIOKafkaProducer

from gateway.admission.door import Door
from gateway.admission.overload import Overload
from gateway.api.subscriptions.endpoints import GuardedEndpoints
from gateway.app import make_apps, make_calls, spare_collections, wall_clock_ms
from gateway.connections.limits import limits_of, raise_file_limit
from gateway.connections.server import ConnectionRunner
from gateway.dependencies import Dependencies
from gateway.http.access_log import AccessLog
from gateway.http.metrics import Metrics
from gateway.http.responder import Handler
from gateway.kafka.groups import KafkaGroups
from gateway.kafka.log_reader import action_log, dead_letter_log, fact_log
from gateway.kafka.producer import BATCH_BYTES, SharedProducer
from gateway.kafka.role_lags import RoleLags
from gateway.siblings import Siblings
from gateway.views.positions import StockView
from gateway.views.stock_operations import StockOperationsView
from journal.queries.reader import journal_reader
from sluice.demo_channels import demo_channels
from topics.configuration.channels_file import parse_channels
from topics.configuration.settings import Settings, load_settings
from topics.destinations.view import PausesView
from topics.kafka.catalogue import BY_NAME
from topics.logs.lines import Lines
from topics.records.verdicts import Reply, Verdict
from topics.subscriptions.index import SubscriptionIndex

BODY_BYTES_MAX = 4 << 20
DOOR = web.AppKey("door", Door)


class InstantReplies:
    """Replies that apply every command at once, so that only the way to the acknowledgement and back is measured."""

    partition = 0

    def __init__(self) -> None:
        self._applied: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._applied.set_result(Reply(event="", verdict=Verdict.APPLIED))

    def expect(self, event: str, wait_s: float) -> asyncio.Future[Reply | None]:  # noqa: ARG002 - the port's shape
        return self._applied

    def forget(self, event: str) -> None:
        """Do nothing: no reply is pending."""

    def unready(self) -> str | None:
        return None


async def gateway(settings: Settings) -> web.Application:
    spare_collections()
    metrics, access_log = Metrics(), AccessLog(made_by=Lines("gateway", "0"))
    channels = parse_channels(demo_channels(), where="benchmark")
    calls = make_calls(settings, channels)
    overload = Overload(calls, metrics, access_log)
    overload.start()
    producer = SharedProducer(settings, metrics, overload.lag)
    producer.start()
    dependencies = Dependencies(
        producer=producer,
        replies=InstantReplies(),
        stock=StockView(settings),
        stock_operations=StockOperationsView(settings),
        subscriptions=SubscriptionIndex(),
        endpoints=GuardedEndpoints(settings),
        facts=fact_log(settings),
        dead=dead_letter_log(settings),
        actions=action_log(settings),
        pauses=PausesView(settings),
        now_ms=wall_clock_ms,
        metrics=metrics,
        access_log=access_log,
        siblings=Siblings(settings),
        journal=journal_reader(settings),
        lags=RoleLags(settings),
        groups=KafkaGroups(settings),
    )
    apps = make_apps(settings, channels, dependencies, calls)
    apps.gateway[DOOR] = Door(calls, apps.access.claimed)
    return apps.gateway


async def bare(settings: Settings) -> web.Application:
    topic = BY_NAME["orders.commands"].full_name(settings.topic_prefix)
    producer = await _producer(settings)

    async def post(request: web.Request) -> web.Response:
        body = await request.read()
        order = orjson.loads(body)
        await producer.send_and_wait(topic, body, key=order["orderCode"].encode())
        return web.Response()

    return _serving("POST", {"/assure-magic2/orders/outward": post})


class _Item(msgspec.Struct, gc=False, rename="camel"):
    channel_sku_code: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    quantity: int
    channel_serial_no: str | None = None
    min_expiry: str | None = None


class _Batch(msgspec.Struct, gc=False, rename="camel"):
    location_code: str
    inventories: Annotated[list[_Item], msgspec.Meta(max_length=200)]


class _Listing(msgspec.Struct, gc=False, rename="camel", omit_defaults=True):
    channel_sku_code: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    consolidated_quantity: int
    listing_id: int


class _Listings(msgspec.Struct, gc=False, rename="camel"):
    consolidation_type: str
    inventories: Annotated[list[_Listing], msgspec.Meta(max_length=200)]


async def bare_stock(settings: Settings) -> web.Application:
    """Return a server for both forms of a batch, with an answer in the same form."""
    spare_collections()
    topic = BY_NAME["inventory.updates"].full_name(settings.topic_prefix)
    producer = await _producer(settings)
    batch_of, listings_of = msgspec.json.Decoder(_Batch).decode, msgspec.json.Decoder(_Listings).decode

    async def put(request: web.Request) -> web.Response:
        body = await request.read()
        batch = batch_of(body)
        await producer.send_and_wait(topic, body, key=batch.location_code.encode())
        return _answered([item.channel_sku_code for item in batch.inventories])

    async def put_consolidated(request: web.Request) -> web.Response:
        body = await request.read()
        batch = listings_of(body)
        await producer.send_and_wait(topic, body, key=batch.consolidation_type.encode())
        return _answered(batch.inventories)

    def _answered(successes: list[Any]) -> web.Response:
        answer = msgspec.json.encode({"successList": successes, "failureList": []})
        return web.Response(body=answer, headers={"Content-Type": "application/json"})

    return _serving("PUT", {"/channels/demo/inventory": put, "/channels/demo/inventory/consolidated": put_consolidated})


async def _producer(settings: Settings) -> Any:
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka, acks="all", enable_idempotence=True, max_batch_size=BATCH_BYTES
    )
    await producer.start()
    return producer


def _serving(method: str, handlers: Mapping[str, Handler]) -> web.Application:
    async def ready(_request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application(client_max_size=BODY_BYTES_MAX)
    for path, handler in handlers.items():
        app.router.add_route(method, path, handler)
    app.router.add_get("/ready", ready)
    return app


KINDS = {"gateway": gateway, "bare": bare, "bare-stock": bare_stock}


def _runner(kind: str, app: web.Application, settings: Settings) -> web.AppRunner:
    """The gateway is served by its own connections, the bare job by aiohttp's."""
    if kind == "gateway":
        return ConnectionRunner(app, limits_of(settings, raise_file_limit()), admission=app[DOOR])
    return web.AppRunner(app, access_log=None)


async def serve(kind: str, settings: Settings) -> None:
    app = await KINDS[kind](settings)
    runner = _runner(kind, app, settings)
    await runner.setup()
    await web.TCPSite(runner, settings.gateway_host, settings.gateway_port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], load_settings()))
