"""The handler of all touchpoints: authenticates, reads, validates, makes durable, waits for the verdict, answers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator
from typing import TypeVar

from aiohttp import web

from gateway.access.control import AccessControl, Braked, check_offered
from gateway.admission.calls import Calls
from gateway.http import tracing
from gateway.http.answers import Answer, Refused, answer_of, json_answer, shaped
from gateway.http.body import BodyReader, check_values, parse, query_members, validate, with_path_members
from gateway.http.call import Call, new_event_id
from gateway.http.large_bodies import LARGE_BYTES, LargeBodies, LargeBody, run_at_once
from gateway.http.responder import Handler, Responder, refusal_of
from gateway.kafka.commands import Command, Commands
from gateway.kafka.refused_calls import EntityRefusal, RefusedCalls
from gateway.search.search import Search
from gateway.touchpoints.batches import BatchItem, merged, split
from gateway.touchpoints.stock_batch import StockBatch, read_stock, stock_home
from topics.configuration.channels import Channel
from topics.configuration.settings import Settings
from topics.contract.definition import Direction, Entity, Mode, Touchpoint
from topics.contract.entities import entities_named, entity_code, key_of_code
from topics.contract.exact import look_of
from topics.contract.leniency import CallMembers, normalised
from topics.contract.touchpoints import TOUCHPOINTS
from topics.records.envelope import COMMAND
from topics.records.json_text import without_mark, write

T = TypeVar("T")
Accept = Callable[[Touchpoint, Call, Channel, web.Request], Awaitable[Answer]]


class Ingress:
    """Handlers of touchpoints."""

    def __init__(
        self,
        settings: Settings,
        access: AccessControl,
        calls: Calls,
        search: Search,
        commands: Commands,
        responder: Responder,
        refused_calls: RefusedCalls,
    ) -> None:
        self._refused_calls = refused_calls
        self._settings = settings
        self._calls = calls
        self._commands = commands
        self._responder = responder
        self._access = access
        self._bodies = BodyReader(settings.body_bytes_max)
        self._large = LargeBodies()
        self._search = search
        self._looks = {touchpoint.name: look for touchpoint in TOUCHPOINTS if (look := look_of(touchpoint)) is not None}

    def handler(self, touchpoint: Touchpoint) -> Handler:
        """The handler of one touchpoint, chosen by its entry in TOUCHPOINTS alone."""
        accept = self._acceptor(touchpoint)
        inbound = touchpoint.direction is Direction.TO_INCREFF
        authenticate = self._access.marketplace if inbound else self._access.increff

        relay = touchpoint.mode is Mode.RELAY

        async def handle(request: web.Request) -> web.Response:
            call = Call(touchpoint.name, time.perf_counter(), address=self._access.address(request))
            tracing.begin(call, request)
            ticket = self._calls.ticket_of(request.protocol)
            call.standstills = ticket.standstills
            try:
                channel = authenticate(touchpoint, request, call.address)
                call.channel = channel
                check_offered(channel, touchpoint)
                ticket.enter(channel.name, relay=relay)
                call.place = ticket
                answer = await accept(touchpoint, call, channel, request)
            except Exception as error:  # noqa: BLE001 - every fault is an answer, and the unforeseen ones are logged
                answer = self._refusal(touchpoint, call, request, error)
            finally:
                if isinstance(call.place, LargeBody):
                    call.place.end()
                ticket.leave()
            return self._responder.respond(call, answer)

        return handle

    def _refusal(self, touchpoint: Touchpoint, call: Call, request: web.Request, error: Exception) -> Answer:
        """The answer that an error becomes. (No frame of its traceback may hold the error by a name of its own: that
        would keep the body until a garbage collection.)"""
        call.is_logged = not isinstance(error, Braked)
        refused = refusal_of(error, touchpoint.name)
        self._note(touchpoint, call, request, refused)
        return shaped(touchpoint.direction, refused)

    def _note(self, touchpoint: Touchpoint, call: Call, request: web.Request, refused: Refused) -> None:
        """Notes a refusal for the log; and for the history of its order, unless the orders role does that itself. A
        caller that is not authenticated leaves no trace at an order."""
        call.code, call.reason = refused.code, refused.reason
        if call.channel is None or call.positions or not 400 <= refused.status < 500:
            return
        channel = call.channel.name
        named = entities_named(touchpoint, channel, refused.members or {}, request.match_info)
        if not named:
            return
        call.subject = call.subject or next(iter(named.values()))
        call.event = call.event or new_event_id()
        self._refused_calls.note(
            channel,
            [
                EntityRefusal(key, code, touchpoint.name, refused.status, refused.code, call.reason)
                for key, code in named.items()
            ],
            call.event,
            call.address,
        )

    def _acceptor(self, touchpoint: Touchpoint) -> Accept:
        if touchpoint.name == "get-credential":
            return self._credentials
        if touchpoint.mode is Mode.ANSWER:
            return self._answer_search
        if touchpoint.entity is Entity.STOCK:
            return self._accept_stock
        return self._accept_one if touchpoint.split is None else self._accept_batch

    async def _body(self, call: Call, channel: Channel, request: web.Request) -> bytes:
        """The whole body. A large one is in hand when this returns, until its call is over."""
        raw = without_mark(await self._bodies.read(request, channel.name))
        if len(raw) > LARGE_BYTES:
            call.place = await self._large.enter(channel.name, len(raw), call.place)
        return raw

    async def _read(self, steps: Generator[None, None, T], size: int) -> T:
        """Does the steps in which a body of this size is read: a large one's with pauses between them."""
        return await self._large.run(steps) if size > LARGE_BYTES else run_at_once(steps)

    def _members(
        self, touchpoint: Touchpoint, request: web.Request, raw: bytes
    ) -> Generator[None, None, tuple[CallMembers, bytes | None]]:
        """The valid members, and the bytes of the body if they say exactly what is read."""
        values_max = self._settings.body_values_max
        if touchpoint.query:
            # Some clients send a body with their GET (contract 5); the query string wins.
            given = {**(parse(raw, values_max) if raw else {}), **query_members(request)}
            try:
                return (yield from validate(touchpoint, given)), None
            except Refused as refused:
                refused.members = normalised(touchpoint.request, given)
                raise
        parsed = parse(raw, values_max)
        yield
        given = parsed
        try:
            if touchpoint.path_members:
                given = with_path_members(touchpoint, given, request.match_info)
            members = yield from validate(touchpoint, given)
        except Refused as refused:
            refused.members = normalised(touchpoint.request, parsed)
            raise
        yield
        return members, raw if members.own is parsed and parsed else None

    async def _accept_one(self, touchpoint: Touchpoint, call: Call, channel: Channel, request: web.Request) -> Answer:
        raw = await self._body(call, channel, request)
        command = await self._read(self._command(touchpoint, call, channel, request, raw), len(raw))
        reply = await self._commands.execute(call, COMMAND + touchpoint.name, command, self._wait_s(touchpoint))
        return answer_of(touchpoint, reply)

    def _command(
        self, touchpoint: Touchpoint, call: Call, channel: Channel, request: web.Request, raw: bytes
    ) -> Generator[None, None, Command]:
        """The call's command. Its objects end here: while the call waits for its verdict, it holds bytes alone."""
        look = self._looks.get(touchpoint.name)
        if look is not None:
            check_values(raw, self._settings.body_values_max)
            call.subject = code = look(raw)
            if code:
                return Command(code, key_of_code(touchpoint, channel.name, code), raw)
            yield
        members, same = yield from self._members(touchpoint, request, raw)
        call.subject = code = entity_code(touchpoint, members.read)
        key = key_of_code(touchpoint, channel.name, code)
        return Command(code, key, same or write(members.own), is_plain=not members.differs)

    async def _accept_batch(self, touchpoint: Touchpoint, call: Call, channel: Channel, request: web.Request) -> Answer:
        """Validates the whole batch, then writes one record per order. A repeat of all is harmless at any time."""
        raw = await self._body(call, channel, request)
        items, parts = await self._read(self._parts(touchpoint, channel, request, raw), len(raw))
        call.subject = items[0].code
        wait_s = self._wait_s(touchpoint)
        replies = await self._commands.execute_batch(call, COMMAND + touchpoint.name, parts, wait_s)
        return merged(touchpoint, items, replies)

    def _parts(
        self, touchpoint: Touchpoint, channel: Channel, request: web.Request, raw: bytes
    ) -> Generator[None, None, tuple[list[BatchItem], list[Command]]]:
        """The items of a batch, and their records; the objects of its body end here, too."""
        members, _same = yield from self._members(touchpoint, request, raw)
        parts = split(touchpoint, members)
        return [item for item, _value in parts], [
            Command(
                item.code,
                key_of_code(touchpoint, channel.name, item.code),
                write(value),
                is_plain=not members.differs,
            )
            for item, value in parts
        ]

    async def _accept_stock(self, touchpoint: Touchpoint, call: Call, channel: Channel, request: web.Request) -> Answer:
        """Answers once the batch is durable. Each SKU succeeds or fails on its own, without a verdict."""
        raw = await self._body(call, channel, request)
        batch = await self._read(self._batch(touchpoint, raw), len(raw))
        call.subject = batch.location
        if batch.value is not None:
            key, partition = stock_home(channel, batch.location, self._settings.partitions)
            kind = COMMAND + touchpoint.name
            await self._commands.store(call, kind, "inventory.updates", key, batch.value, partition)
        return Answer(200, batch.answer)

    def _batch(self, touchpoint: Touchpoint, raw: bytes) -> Generator[None, None, StockBatch]:
        yield
        return read_stock(touchpoint, raw, self._settings.body_values_max)

    async def _answer_search(
        self, touchpoint: Touchpoint, call: Call, channel: Channel, request: web.Request
    ) -> Answer:
        raw = await self._body(call, channel, request)
        members, _same = await self._read(self._members(touchpoint, request, raw), len(raw))
        return await self._search.answer(touchpoint, channel, members.read)

    async def _credentials(
        self, _touchpoint: Touchpoint, _call: Call, channel: Channel, _request: web.Request
    ) -> Answer:
        """The header pairs that Increff must send to this channel (contract 0.2, mode b)."""
        return json_answer({name: secret.get_secret_value() for name, secret in channel.increff_headers.items()})

    def _wait_s(self, touchpoint: Touchpoint) -> float:
        return self._settings.relay_deadline_s if touchpoint.mode is Mode.RELAY else self._settings.verdict_timeout_s
