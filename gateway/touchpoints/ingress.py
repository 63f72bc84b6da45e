"""The one handler of all touchpoints: authenticate, read, validate, make durable, wait for the verdict, answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from gateway.http.access_log import AccessLog
from gateway.http.answers import Answer, Refused, json_answer, kafka_away, of_reply, overloaded, shaped
from gateway.http.authentication import Authentication
from gateway.http.body import BodyReader, parse, query_members, validate, with_path_members
from gateway.http.call import Call, new_event_id
from gateway.http.metrics import Metrics
from gateway.kafka.headers import stamp
from gateway.ports import (
    Clock,
    DeadLog,
    Endpoints,
    FactLog,
    Outgoing,
    Overloaded,
    Producer,
    RecordTooLarge,
    Replies,
    Stock,
    StockOperations,
    Subscriptions,
    Unavailable,
)
from gateway.search.search import Searching
from gateway.touchpoints import batches as splitting
from gateway.touchpoints.stock_batch import take_stock
from topics.configuration.settings import Channel, Channels, Settings
from topics.contract.entities import entity_code, entity_key
from topics.contract.touchpoints import Direction, Entity, Mode, Touchpoint
from topics.records.envelope import COMMAND, Headers
from topics.records.verdicts import Reply

log = logging.getLogger(__name__)

RELAY_GRACE_S = 1.0
"""Past the relay deadline: the orders role says at the deadline why there is no answer, and callers wait 45 s."""

Handler = Callable[[web.Request], Awaitable[web.Response]]
Take = Callable[[Touchpoint, Call, Channel, web.Request], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything that `make_app` is wired with."""

    producer: Producer
    replies: Replies
    stock: Stock
    stock_operations: StockOperations
    subscriptions: Subscriptions
    endpoints: Endpoints
    facts: FactLog
    dead: DeadLog
    now_ms: Clock
    metrics: Metrics
    access_log: AccessLog


class Ingress:
    def __init__(self, settings: Settings, channels: Channels, ports: Ports) -> None:
        self._settings = settings
        self._ports = ports
        self._authentication = Authentication(channels)
        self._bodies = BodyReader(settings.body_bytes_max)
        self._searching = Searching(
            settings, channels, stock=ports.stock, producer=ports.producer, replies=ports.replies, now_ms=ports.now_ms
        )
        self.active = 0
        self._drained: asyncio.Event | None = None

    def handler(self, touchpoint: Touchpoint) -> Handler:
        """The handler of one touchpoint; what it does with the members depends on the entry alone."""
        take = self._taker(touchpoint)
        inbound = touchpoint.direction is Direction.TO_INCREFF
        authenticate = self._from_marketplace if inbound else self._from_increff

        async def handle(request: web.Request) -> web.Response:
            call = Call(touchpoint.name, time.perf_counter())
            self.active += 1
            try:
                channel = authenticate(touchpoint, request)
                call.channel = channel
                answer = await take(touchpoint, call, channel, request)
            except Exception as error:  # noqa: BLE001 - every fault is an answer, and the unforeseen ones are logged
                answer = shaped(touchpoint.direction, refusal_of(error, touchpoint.name))
            finally:
                self._ended()
            return self.finish(call, answer)

        return handle

    async def drained(self, timeout_s: float) -> bool:
        """Whether no call was in hand within that time."""
        self._drained = asyncio.Event()
        if not self.active:
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._drained.wait()
        except TimeoutError:
            return False
        return True

    def _ended(self) -> None:
        self.active -= 1
        if self._drained is not None and not self.active:
            self._drained.set()

    def finish(self, call: Call, answer: Answer) -> web.Response:
        """Counts and logs the call, and makes its response."""
        seconds = time.perf_counter() - call.started
        self._ports.metrics.answered(call.touchpoint, answer.status, seconds)
        self._ports.access_log.line(
            {
                "event": "request",
                "at_ms": self._ports.now_ms(),
                "touchpoint": call.touchpoint,
                "channel": call.channel.name if call.channel else None,
                "subject": call.subject,
                "status": answer.status,
                "verdict": call.verdict,
                "took_ms": round(seconds * 1_000, 2),
                "event_id": call.event,
                "position": str(call.positions[0]) if call.positions else None,
                "records": len(call.positions),
            }
        )
        return call.response(answer)

    def unknown(self, direction: Direction, status: int, code: str, message: str) -> Handler:
        """For paths and methods that no touchpoint has, in the shape of the side whose prefix was used."""

        async def handle(request: web.Request) -> web.Response:
            call = Call("unknown", time.perf_counter())
            described = f"{request.method} {request.path[:200]}"
            return self.finish(call, shaped(direction, Refused(status, code, message, described)))

        return handle

    def _taker(self, touchpoint: Touchpoint) -> Take:
        if touchpoint.name == "get-credential":
            return self._credentials
        if touchpoint.mode is Mode.ANSWER:
            return self._search
        if touchpoint.entity is Entity.STOCK:
            return self._take_stock
        return self._take_one if touchpoint.split is None else self._take_batch

    def _from_marketplace(self, touchpoint: Touchpoint, request: web.Request) -> Channel:
        channel = self._authentication.marketplace(request.headers)
        _offered(channel, touchpoint)
        return channel

    def _from_increff(self, touchpoint: Touchpoint, request: web.Request) -> Channel:
        """Get Credential has its own header, so whether the channel has it at all is asked first."""
        channel = self._authentication.channel(request.match_info["channel"])
        if touchpoint.name == "get-credential":
            _offered(channel, touchpoint)
            self._authentication.bootstrap(channel, request.headers)
        else:
            self._authentication.increff(channel, request.headers)
            _offered(channel, touchpoint)
        return channel

    async def _members(self, touchpoint: Touchpoint, request: web.Request) -> tuple[dict[str, Any], bytes | None]:
        """Valid members, and the body's own bytes where they say exactly that."""
        raw = await self._bodies.read(request)
        if touchpoint.query:
            # Some clients send a body with their GET (contract 5); the query string wins.
            return validate(touchpoint, {**(parse(raw) if raw else {}), **query_members(request)}), None
        parsed = parse(raw)
        members = parsed
        if touchpoint.path_members:
            members = with_path_members(touchpoint, members, request.match_info)
        members = validate(touchpoint, members)
        return members, raw if members is parsed else None

    async def _take_one(self, touchpoint: Touchpoint, call: Call, channel: Channel, request: web.Request) -> Answer:
        members, raw = await self._members(touchpoint, request)
        call.subject = entity_code(touchpoint, members)
        call.event = new_event_id()
        key = entity_key(touchpoint, channel.name, members)
        reply = await self.command(
            call, COMMAND + touchpoint.name, key, raw or orjson.dumps(members), self._wait_s(touchpoint)
        )
        return of_reply(touchpoint, reply)

    async def command(self, call: Call, kind: str, key: bytes, value: bytes, wait_s: float) -> Reply | None:
        """One record on orders.commands and its reply; None when none came in time. Raises as the producer does."""
        replies = self._ready_replies()
        record = Outgoing("orders.commands", key, value, self._headers(call, kind, wait_s))
        waiting = replies.expect(call.event, wait_s + self._grace(wait_s))
        try:
            call.positions.append(await self._ports.producer.produce(record))
        except BaseException:
            replies.forget(call.event)
            raise
        reply = await waiting
        call.verdict = reply.verdict.value if reply is not None else "late"
        return reply

    async def _take_batch(self, touchpoint: Touchpoint, call: Call, channel: Channel, request: web.Request) -> Answer:
        """Validated whole, then one record per order. Repeating the whole batch is harmless, whatever happened."""
        members, _raw = await self._members(touchpoint, request)
        call.event = new_event_id()
        parts = splitting.split(touchpoint, members)
        call.subject = parts[0][0]["orderCode"]
        replies = self._ready_replies()
        wait_s = self._wait_s(touchpoint)
        ids = [splitting.part_id(call.event, index) for index in range(len(parts))]
        records = []
        for part_id, (item, value) in zip(ids, parts, strict=True):
            headers = self._headers(call, COMMAND + touchpoint.name, wait_s, (part_id, item["orderCode"]))
            key = entity_key(touchpoint, channel.name, value)
            records.append(Outgoing("orders.commands", key, orjson.dumps(value), headers))
        waiting: list[asyncio.Future[Reply | None]] = []
        try:
            waiting.extend(replies.expect(part_id, wait_s) for part_id in ids)
            stored = await self._ports.producer.produce_all(records)
            call.positions.extend(position for position in stored if position is not None)
            if None in stored:
                raise Unavailable("part of a batch was not acknowledged")
        except BaseException:
            for part_id in ids:
                replies.forget(part_id)
            raise
        verdicts = await asyncio.gather(*waiting)
        call.verdict = ",".join(sorted({reply.verdict.value if reply else "late" for reply in verdicts}))
        return splitting.merged(touchpoint, [item for item, _value in parts], verdicts)

    async def _take_stock(self, touchpoint: Touchpoint, call: Call, channel: Channel, request: web.Request) -> Answer:
        """Durable before it is answered; each SKU succeeds or fails on its own, and none waits for a verdict."""
        raw = await self._bodies.read(request)
        batch = take_stock(touchpoint, channel, raw, self._settings.partitions)
        call.subject = batch.location
        if batch.value is not None:
            call.event = new_event_id()
            headers = self._headers(call, COMMAND + touchpoint.name, None)
            record = Outgoing("inventory.updates", batch.key, batch.value, headers, batch.partition)
            call.positions.append(await self._ports.producer.produce(record))
        return Answer(200, batch.answer)

    async def _search(self, touchpoint: Touchpoint, _call: Call, channel: Channel, request: web.Request) -> Answer:
        members, _raw = await self._members(touchpoint, request)
        return await self._searching.answer(touchpoint, channel, members)

    async def _credentials(
        self, _touchpoint: Touchpoint, _call: Call, channel: Channel, _request: web.Request
    ) -> Answer:
        """The header pairs that Increff must send to this channel (contract 0.2, mode b)."""
        return json_answer({name: secret.get_secret_value() for name, secret in channel.increff_headers.items()})

    def _ready_replies(self) -> Replies:
        """A command whose verdict could not be heard is not accepted."""
        reason = self._ports.replies.unready()
        if reason is not None:
            raise Unavailable(reason)
        return self._ports.replies

    def _wait_s(self, touchpoint: Touchpoint) -> float:
        return self._settings.relay_deadline_s if touchpoint.mode is Mode.RELAY else self._settings.verdict_timeout_s

    def _grace(self, wait_s: float) -> float:
        return RELAY_GRACE_S if wait_s >= self._settings.relay_deadline_s else 0.0

    def _headers(
        self,
        call: Call,
        kind: str,
        wait_s: float | None,
        part: tuple[str, str] | None = None,
    ) -> Headers:
        """Of the call's one record, or of a batch's `part` (id, subject). `wait_s` None: nobody waits for a reply."""
        now_ms = self._ports.now_ms()
        channel = call.channel.name if call.channel else ""
        event, subject = part or (call.event, call.subject)
        if wait_s is None:
            return stamp(kind, channel, event, subject, now_ms, None, None)
        deadline_ms = now_ms + int(wait_s * 1_000)
        batch = call.event if part else ""
        return stamp(kind, channel, event, subject, now_ms, self._ports.replies.partition, deadline_ms, batch)


def refusal_of(error: Exception, what: str) -> Refused:
    """The one place that turns an error into what the caller is told."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, Unavailable):
        return kafka_away()
    if isinstance(error, Overloaded):
        return overloaded(str(error))
    if isinstance(error, RecordTooLarge):
        return Refused(413, "TOO_LARGE", "The request is too large")
    log.error("%s failed", what, exc_info=error)
    return Refused(500, "INTERNAL", "Sluice failed to handle this; a repeat is safe")


def _offered(channel: Channel, touchpoint: Touchpoint) -> None:
    if not channel.offers(touchpoint):
        fault = f"[{touchpoint.name} is off for channel {channel.name}]"
        raise Refused(404, "TOUCHPOINT_OFF", "This channel does not take part in this call", fault)
