"""The far sides of the conformance suite: one marketplace over HTTP and one over Kafka that behave as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from topics.configuration.channels import SENT_TO_MARKETPLACES, FarSide
from topics.configuration.settings import Settings
from topics.kafka.catalogue import RECORD_BYTES_MAX
from topics.kafka.channel_topics import request_topic

BY_CALL = {(touchpoint.method, touchpoint.far_path): touchpoint for touchpoint in SENT_TO_MARKETPLACES}


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as it came in."""

    delivery_id: str
    attempt: int
    touchpoint: str
    members: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a far side says; `body` as it travels."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def says(body: Any, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, orjson.dumps(body), named)


Rule = Callable[[Arrival], Reply | None]
"""None: it never answers."""


class Marketplace(Protocol):
    """One played marketplace: `rule` answers, `arrivals` is all that came, in sequence."""

    rule: Rule
    arrivals: list[Arrival]

    async def start(self) -> str:
        """Returns what channels.toml says of it."""

    async def stop(self) -> None: ...


class HttpMarketplace:
    def __init__(self) -> None:
        self.rule: Rule = lambda _arrival: Reply()
        self.arrivals: list[Arrival] = []
        self._over = asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._take)
        self._server = TestServer(app)

    async def start(self) -> str:
        await self._server.start_server()
        return f'url = "{str(self._server.make_url("")).rstrip("/")}"'

    async def stop(self) -> None:
        self._over.set()
        await self._server.close()

    async def _take(self, request: web.Request) -> web.Response:
        raw = await request.read()
        arrival = Arrival(
            request.headers["Sluice-Delivery-Id"],
            int(request.headers["Sluice-Attempt"]),
            BY_CALL[request.method, request.path].name,
            orjson.loads(raw) if raw else dict(request.query),
        )
        self.arrivals.append(arrival)
        reply = self.rule(arrival)
        if reply is None:
            await self._over.wait()
            return web.Response(status=500)
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)


class KafkaMarketplace:
    def __init__(self, settings: Settings, channel: str) -> None:
        self.rule: Rule = lambda _arrival: Reply()
        self.arrivals: list[Arrival] = []
        self._consumer = AIOKafkaConsumer(
            request_topic(channel).full_name(settings.topic_prefix),
            bootstrap_servers=settings.kafka,
            auto_offset_reset="earliest",
        )
        self._producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, max_request_size=RECORD_BYTES_MAX)
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> str:
        await self._consumer.start()
        await self._producer.start()
        self._reading = asyncio.create_task(self._read())
        return ""

    async def stop(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        await self._consumer.stop()
        await self._producer.stop()

    async def _read(self) -> None:
        async for record in self._consumer:
            said = {name: value.decode() for name, value in record.headers}
            touchpoint = said["ce_type"].removeprefix("sluice.request.")
            arrival = Arrival(said["ce_id"], int(said["sluice-attempt"]), touchpoint, orjson.loads(record.value))
            self.arrivals.append(arrival)
            reply = self.rule(arrival)
            if reply is not None:
                headers = {**reply.headers, "sluice-status": str(reply.status)}
                headers["sluice-correlation-id"] = said["sluice-correlation-id"]
                await self._producer.send_and_wait(
                    said["sluice-reply-topic"],
                    reply.body,
                    headers=[(name, value.encode()) for name, value in headers.items()],
                )


def played(far_side: FarSide, settings: Settings) -> Marketplace | None:
    """None for `self`: there is nobody to play. Channels are named as their far sides."""
    if far_side is FarSide.HTTP:
        return HttpMarketplace()
    return KafkaMarketplace(settings, far_side.value) if far_side is FarSide.KAFKA else None
