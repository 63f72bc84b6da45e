"""The two servers that the ingress benchmark compares, each in a process of its own.

`gateway`: the whole gateway, except that nobody waits for a verdict: validation, envelope, record, acknowledgement,
receipts, metrics and access log are all there. `bare`: the least that can be called the same job.
"""

from __future__ import annotations

import asyncio
import sys

import orjson
import uvloop
from aiohttp import web
from aiokafka import AIOKafkaProducer

from gateway.access_log import AccessLog
from gateway.app import make_app, spare_collections, wall_clock_ms
from gateway.dead_log import KafkaDeadLog
from gateway.endpoints import GuardedEndpoints
from gateway.fact_log import KafkaFactLog
from gateway.ingress import Ports
from gateway.metrics import Metrics
from gateway.producer import BATCH_BYTES, SharedProducer
from gateway.search_view import StockView
from gateway.stock_view import StockOperationsView
from sluice.local.demo_channels import demo_channels
from topics.catalogue import BY_NAME
from topics.configuration import Settings, load_settings, parse_channels
from topics.subscription_view import SubscriptionIndex
from topics.verdicts import Reply, Verdict

BODY_BYTES_MAX = 4 << 20


class InstantReplies:
    """Every command is applied at once: what is measured is the way to the acknowledgement and back."""

    partition = 0

    def __init__(self) -> None:
        self._applied: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._applied.set_result(Reply(event="", verdict=Verdict.APPLIED))

    def expect(self, event: str, wait_s: float) -> asyncio.Future[Reply | None]:  # noqa: ARG002 - the port's shape
        return self._applied

    def forget(self, event: str) -> None:
        """Nobody waits here."""

    def unready(self) -> str | None:
        return None


async def gateway(settings: Settings) -> web.Application:
    spare_collections()
    metrics = Metrics()
    producer = SharedProducer(settings, metrics)
    producer.start()
    ports = Ports(
        producer=producer,
        replies=InstantReplies(),
        stock=StockView(settings),
        stock_operations=StockOperationsView(settings),
        subscriptions=SubscriptionIndex(),
        endpoints=GuardedEndpoints(settings),
        facts=KafkaFactLog(settings),
        dead=KafkaDeadLog(settings),
        now_ms=wall_clock_ms,
        metrics=metrics,
        access_log=AccessLog(),
    )
    return make_app(settings, parse_channels(demo_channels(), where="benchmark"), ports)


async def bare(settings: Settings) -> web.Application:
    topic = BY_NAME["orders.commands"].full_name(settings.topic_prefix)
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka, acks="all", enable_idempotence=True, max_batch_size=BATCH_BYTES
    )
    await producer.start()

    async def post(request: web.Request) -> web.Response:
        body = await request.read()
        order = orjson.loads(body)
        await producer.send_and_wait(topic, body, key=order["orderCode"].encode())
        return web.Response()

    async def ready(_request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.router.add_post("/assure-magic2/orders/outward", post)
    app.router.add_get("/ready", ready)
    return app


async def serve(kind: str, settings: Settings) -> None:
    app = await (gateway if kind == "gateway" else bare)(settings)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, settings.gateway_host, settings.gateway_port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], load_settings()))
