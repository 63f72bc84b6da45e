"""The gateway as a whole: `make_apps` wires it, `run` gives it real ports. Importing this module starts nothing."""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, NamedTuple

import orjson
from aiohttp import web

from gateway.access.control import AccessControl
from gateway.access.reload import CredentialsReload
from gateway.admission.calls import Calls
from gateway.admission.door import AdminDoor, Door
from gateway.admission.limiter import Limiter
from gateway.admission.overload import Overload
from gateway.api.handler import Act, Management, add_api
from gateway.api.inventory.api import InventoryApi
from gateway.api.journal.lists import list_acts
from gateway.api.journal.orders import OrderListApi
from gateway.api.journal.stories import Stories
from gateway.api.journal.story import StoriesApi
from gateway.api.orders import OrdersApi
from gateway.api.pauses import PausesApi
from gateway.api.redrives.api import RedrivesApi
from gateway.api.resubmissions.api import ResubmissionsApi
from gateway.api.resubmissions.of_order import OrderResubmissions
from gateway.api.snapshots.api import SnapshotsApi
from gateway.api.steps.two_steps import TwoSteps
from gateway.api.subscriptions.api import SubscriptionsApi
from gateway.api.subscriptions.endpoints import GuardedEndpoints
from gateway.connections.limits import ADMIN_CONNECTIONS_MAX, limits_of, raise_file_limit
from gateway.connections.server import ConnectionRunner
from gateway.dependencies import Dependencies
from gateway.http.access_log import AccessLog
from gateway.http.metrics import Metrics
from gateway.http.probes import Probes
from gateway.http.responder import Responder
from gateway.http.unmatched import Unmatched
from gateway.kafka.commands import Commands
from gateway.kafka.groups import KafkaGroups
from gateway.kafka.log_reader import action_log, dead_letter_log, fact_log
from gateway.kafka.producer import SharedProducer
from gateway.kafka.refused_calls import RefusedCalls
from gateway.kafka.replies import ReplyReader
from gateway.kafka.role_lags import RoleLags
from gateway.search.search import Search
from gateway.siblings import Siblings
from gateway.touchpoints.ingress import Ingress
from gateway.touchpoints.routes import add_touchpoints
from gateway.views.positions import StockView
from gateway.views.stock_operations import StockOperationsView
from journal.queries.reader import journal_reader
from topics.api.route import Route
from topics.api.routes import ADMIN_PROBES, PROBES
from topics.configuration.channels import Channels
from topics.configuration.errors import ADMIN_PORT_CHOSEN_BY
from topics.configuration.hang_ups import HangUps
from topics.configuration.settings import Settings
from topics.destinations.view import PausesView
from topics.http_faults import log_loop_faults
from topics.paths.resources import add_route, application
from topics.records.signing import Signer
from topics.subscriptions.index import SubscriptionView

log = logging.getLogger(__name__)

STOP_S = 5.0
"""How long requests may go on when the gateway stops. Then they are answered as if no verdict had come in time."""
ANSWER_S = 0.5
"""How long these answers may take to leave. Requests that go on all the same, a slow upload say, are cancelled then, so
that what they must still write is written before the process is killed."""

SIBLINGS_WAIT_S = 10.0
"""How long one of several gateways waits until it is ready before it listens: if Kafka is away, it is for all of them,
and a 503 says more than a connection that nobody accepts."""
SIBLINGS_LOOK_S = 0.02

GC_THRESHOLD = 20_000
"""Allocations between collections of the youngest generation: those of some hundred requests, not of some dozen."""

PAGE_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
"""Headers of a page that needs nothing but itself."""

Wait = Callable[[], Awaitable[None]]
"""Returns when a part of the gateway was stopped. Raises the error that ended it before."""


class Apps(NamedTuple):
    """The HTTP applications of a gateway: that of the port of marketplaces and Increff, and that of the admin port."""

    gateway: web.Application
    admin: web.Application
    access: AccessControl


class GatewayFailedError(RuntimeError):
    """A task that the gateway cannot do without ended. Only a new process is sure to have all of them."""


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


def spare_collections() -> None:
    """Collects garbage less often, in a process that is only a gateway: requests leave few reference cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


def make_calls(settings: Settings, channels: Channels) -> Calls:
    """The calls in hand, none yet."""
    limiter = Limiter(settings.calls_in_hand_min, settings.calls_in_hand_max, settings.answer_target_s)
    return Calls(channels.channels, limiter)


def make_apps(settings: Settings, channels: Channels, dependencies: Dependencies, calls: Calls | None = None) -> Apps:
    """The HTTP applications. The caller starts and stops their dependencies. `calls`: those that a Door looks at, too.

    Operators have a port of their own, so that no way leads from the network of marketplaces to /api.
    """
    calls = calls or make_calls(settings, channels)
    responder = Responder(dependencies.metrics, dependencies.access_log)
    commands = Commands(
        dependencies.producer,
        dependencies.replies,
        dependencies.now_ms,
        settings.relay_deadline_s,
        Signer(settings.secret_keys),
        calls.standstill.check,
    )
    search = Search(
        settings,
        channels,
        stock=dependencies.stock,
        producer=dependencies.producer,
        replies=dependencies.replies,
        now_ms=dependencies.now_ms,
    )
    refused_calls = RefusedCalls(dependencies.producer, dependencies.now_ms, dependencies.metrics)
    app, admin = application(), application()
    app.on_cleanup.append(refused_calls.stop)
    access = AccessControl(settings, channels, dependencies.metrics)
    ingress = Ingress(settings, access, calls, search, commands, responder, refused_calls)
    bases = settings.marketplace_bases
    add_touchpoints(app.router, ingress, bases)
    management = Management(settings, access, calls, responder)
    add_api(admin.router, management, _acts(admin, settings, channels, dependencies, commands))
    for router, probes, below in ((app.router, PROBES, bases), (admin.router, ADMIN_PROBES, ())):
        _add_probes(router, probes, dependencies, bases)
        router.register_resource(Unmatched(router, below, responder, access.address))
    return Apps(app, admin, access)


def _acts(
    app: web.Application, settings: Settings, channels: Channels, dependencies: Dependencies, commands: Commands
) -> dict[str, Act]:
    steps = TwoSteps(settings, dependencies.producer, dependencies.actions, dependencies.now_ms)
    stories = Stories(channels, dependencies.journal, dependencies.lags, dependencies.now_ms, settings.partitions)
    redrives = RedrivesApi(settings, channels, dependencies, steps)
    resubmissions = ResubmissionsApi(channels, dependencies, commands, steps)
    app.on_cleanup.extend((redrives.close, resubmissions.close))
    return {
        **OrdersApi(settings, channels, dependencies, commands, stories, steps).acts(),
        **StoriesApi(channels, stories).acts(),
        **OrderResubmissions(settings, channels, dependencies, commands, steps).acts(),
        **PausesApi(channels, dependencies, steps).acts(),
        **redrives.acts(),
        **resubmissions.acts(),
        **SubscriptionsApi(settings, channels, dependencies, commands, steps).acts(),
        **InventoryApi(channels, dependencies, steps).acts(),
        **SnapshotsApi(settings, channels, dependencies, commands).acts(),
        **OrderListApi(channels, dependencies.journal, stories).acts(),
        **list_acts(settings, channels, dependencies),
    }


def make_probes(dependencies: Dependencies) -> Probes:
    """The probes of this process."""
    producer, replies = dependencies.producer, dependencies.replies
    return Probes(lambda: producer.unready() or replies.unready(), dependencies.metrics)


def _add_probes(
    router: web.UrlDispatcher, probes: tuple[Route, ...], dependencies: Dependencies, bases: tuple[str, ...]
) -> None:
    of_process = make_probes(dependencies)

    async def openapi(_request: web.Request) -> web.Response:
        return web.Response(body=document_of("topics.documents.openapi", bases), content_type="application/json")

    async def openapi_page(_request: web.Request) -> web.Response:
        return web.Response(text=page_of(bases), content_type="text/html", headers=PAGE_HEADERS)

    async def asyncapi(_request: web.Request) -> web.Response:
        return web.Response(body=document_of("topics.documents.asyncapi"), content_type="application/json")

    handlers = {
        "live": of_process.live,
        "ready": of_process.ready,
        "metrics": of_process.metrics,
        "openapi": openapi,
        "openapi-page": openapi_page,
        "asyncapi": asyncapi,
    }
    for probe in probes:
        for method in ("GET", "HEAD"):
            add_route(router, method, probe.path, handlers[probe.name])


@functools.cache
def document_of(module: str, *about: Any) -> bytes:
    """A generated document, as JSON. It is made at the first request for it: the module takes a while to import."""
    document: Callable[..., object] = importlib.import_module(module).document
    return orjson.dumps(document(*about))


@functools.cache
def page_of(bases: tuple[str, ...]) -> str:
    """The OpenAPI document as HTML, made at the first request for it."""
    page: str = importlib.import_module("topics.documents.pages.openapi_page").document(bases)
    return page


async def run(settings: Settings, channels: Channels, hang_ups: HangUps) -> None:
    """Serves until SIGTERM, SIGINT or cancellation, then gives active requests STOP_S and ANSWER_S to end. At SIGHUP it
    reads its credentials again."""
    stopping = asyncio.Event()
    spare_collections()
    loop = asyncio.get_running_loop()
    log_loop_faults(loop)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        parts = await serve(settings, channels, stack, hang_ups)
        log.info("gateway listens on http://%s:%d", settings.gateway_host, settings.gateway_port)
        await until_stopped(stopping, parts)
        log.info("gateway stops")


async def until_stopped(stopping: asyncio.Event, parts: Sequence[Wait]) -> None:
    """Returns when `stopping` is set. Raises GatewayFailedError when a part ended by itself."""
    stopped = asyncio.ensure_future(stopping.wait())
    waits = [asyncio.ensure_future(wait()) for wait in parts]
    try:
        await asyncio.wait([stopped, *waits], return_when=asyncio.FIRST_COMPLETED)
        for ended in waits:
            if ended.done() and not stopped.done():
                error = None if ended.cancelled() else ended.exception()
                log.critical("a part of the gateway ended, so the gateway ends", exc_info=error)
                raise GatewayFailedError(f"a part of the gateway ended: {error!r}") from error
    finally:
        for task in (stopped, *waits):
            task.cancel()


async def serve(
    settings: Settings, channels: Channels, stack: AsyncExitStack, hang_ups: HangUps | None = None
) -> tuple[Wait, ...]:
    """Starts a gateway on real ports and leaves it running. Closing the stack stops it, in the reverse order.

    Returns a Wait for each of its parts.
    """
    metrics = Metrics(settings.state_dir)
    access_log = AccessLog()
    stack.callback(access_log.flush)
    calls = make_calls(settings, channels)
    overload = Overload(calls, metrics, access_log)
    overload.start()
    stack.callback(overload.stop)
    producer, replies = SharedProducer(settings, metrics, overload.lag), ReplyReader(settings, metrics)
    views = stock, operations, subscriptions, pauses = (
        StockView(settings),
        StockOperationsView(settings),
        SubscriptionView(settings),
        PausesView(settings),
    )
    endpoints, siblings, journal = GuardedEndpoints(settings), Siblings(settings), journal_reader(settings)
    for part in (producer, replies, *views, endpoints, journal):
        stack.push_async_callback(part.stop)
    stack.push_async_callback(siblings.stop)
    await siblings.start()
    producer.start()
    replies.start()
    for view in views:
        await view.start()
    dependencies = Dependencies(
        producer=producer,
        replies=replies,
        stock=stock,
        stock_operations=operations,
        subscriptions=subscriptions,
        endpoints=endpoints,
        facts=fact_log(settings),
        dead=dead_letter_log(settings),
        actions=action_log(settings),
        pauses=pauses,
        now_ms=wall_clock_ms,
        metrics=metrics,
        access_log=access_log,
        siblings=siblings,
        journal=journal,
        lags=RoleLags(settings),
        groups=KafkaGroups(settings),
    )
    apps = make_apps(settings, channels, dependencies, calls)
    metrics.is_ready = make_probes(dependencies).is_ready
    reload = CredentialsReload(settings, apps.access)
    stack.push_async_callback(reload.stop)
    if hang_ups is not None:
        hang_ups.listen(asyncio.get_running_loop().add_signal_handler, reload.ask)
    limits = limits_of(settings, raise_file_limit())
    stop_s = STOP_S + ANSWER_S
    runner = ConnectionRunner(
        apps.gateway, limits, admission=Door(calls, apps.access.claimed), metrics=metrics, shutdown_timeout=stop_s
    )
    few = replace(limits, connections_max=min(ADMIN_CONNECTIONS_MAX, limits.connections_max))
    admin = ConnectionRunner(apps.admin, few, admission=AdminDoor(calls), named="admin port", shutdown_timeout=stop_s)
    await runner.setup()
    await admin.setup()
    stack.push_async_callback(_finish, (runner, admin), replies)
    port = await admin.listen(settings.admin_host, settings.gateway_admin_port, chosen_by=ADMIN_PORT_CHOSEN_BY)
    log.info("admin port: http://%s:%d; /api %s", settings.admin_host, port, apps.access.api_state())
    if siblings.are_expected:
        await _ready_beside_siblings(make_probes(dependencies))
    await runner.listen(settings.gateway_host, settings.gateway_port, shared=siblings.are_expected)
    return producer.wait, replies.wait, *(view.wait for view in views)


async def _ready_beside_siblings(probes: Probes) -> None:
    """Returns when this process can accept calls: until then the others get all connections."""
    deadline = time.monotonic() + SIBLINGS_WAIT_S
    while probes.unready() is not None and time.monotonic() < deadline:  # noqa: ASYNC110 - two parts become ready
        await asyncio.sleep(SIBLINGS_LOOK_S)


async def _finish(runners: Sequence[ConnectionRunner], replies: ReplyReader) -> None:
    """Accepts no more connections and lets active requests end. Those that still wait after STOP_S are answered
    without a verdict."""
    await asyncio.gather(*(runner.finish(STOP_S, replies.release_all, ANSWER_S) for runner in runners))
