"""/api/orders and /api/returns: the state of an order, its facts after a sequence, decisions about dead deliveries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import orjson
from aiohttp import web

from gateway.api.fact_pages import Page, incarnation_of, page_of
from gateway.api.handler import Act, channel_in_query
from gateway.api.lane_decisions import decide_lane
from gateway.dependencies import Dependencies
from gateway.http.answers import VERDICT_RETRY_AFTER_S, Answer, Refused, bad_data, json_answer
from gateway.http.call import Call
from gateway.http.query import number_of
from gateway.kafka.commands import Command, Commands
from topics.api.routes import FACTS_AFTER, FACTS_AT, FACTS_LIMIT
from topics.configuration.channels import Channel, Channels
from topics.configuration.settings import Settings
from topics.contract.touchpoints import BY_NAME
from topics.records.envelope import ORDER_QUERY, iso_time
from topics.records.keys import (
    INCREFF,
    destination_partition,
    join,
    lane_key,
    order_key,
    partition_of,
    return_key,
    shard_of,
)
from topics.records.verdicts import Verdict
from topics.schema_base import CODE_MAX

QUERY_TIMEOUT_S = 10.0
"""How long a query may take. It goes through the orders role like a command, and a rebalance takes a few seconds."""


class _Kind(NamedTuple):
    """The subjects that a call may name. `member`: the member of a query that names it."""

    name: str
    member: str
    key: Callable[[str, str], bytes]


_KINDS = (_Kind("order", "orderCode", order_key), _Kind("return", "returnOrderCode", return_key))


class OrdersApi:
    def __init__(self, settings: Settings, channels: Channels, dependencies: Dependencies, commands: Commands) -> None:
        self._settings = settings
        self._channels = channels
        self._dependencies = dependencies
        self._commands = commands

    def acts(self) -> dict[str, Act]:
        """The handlers of /api/orders and /api/returns, by the names of their routes."""
        acts: dict[str, Act] = {}
        for kind in _KINDS:
            acts[f"get-{kind.name}"] = partial(self._show, kind)
            acts[f"get-{kind.name}-events"] = partial(self._events, kind)
            acts[f"decide-{kind.name}-delivery"] = partial(self._decide, kind)
        return acts

    async def _show(self, kind: _Kind, call: Call, request: web.Request) -> Answer:
        _channel, document = await self._query(kind, call, request)
        return json_answer(document)

    async def _query(self, kind: _Kind, call: Call, request: web.Request) -> tuple[Channel, dict[str, Any]]:
        """The channel, and the whole state of the order after everything that was accepted before. Raises Refused."""
        channel = call.channel = channel_in_query(self._channels.channels, request)
        call.subject = _code(request)
        key = kind.key(channel.name, call.subject)
        value = orjson.dumps({kind.member: call.subject})
        reply = await self._commands.execute(call, ORDER_QUERY, Command(call.subject, key, value), QUERY_TIMEOUT_S)
        call.positions.clear()  # a query stores nothing, so there is nothing to give a receipt for
        if reply is None:
            message = "The orders role did not answer in time; a repeat is safe"
            raise Refused(503, "LATE", message, retry_after_s=VERDICT_RETRY_AFTER_S)
        if reply.verdict is not Verdict.ANSWERED:
            # The query was set aside, so it is not known whether there is such an order.
            raise Refused(500, "NOT_ANSWERED", "The orders role could not answer this", reply.message)
        if not isinstance(reply.body, dict):
            raise _unknown(f"There is no {kind.name} {call.subject} of channel {channel.name}", reply.body or ())
        return channel, reply.body

    async def _events(self, kind: _Kind, call: Call, request: web.Request) -> Answer:
        """The facts after a sequence, as subscribers get them, and the path of the next page."""
        channel, state = await self._query(kind, call, request)
        order = incarnation_of(state, call.subject, kind.key(channel.name, call.subject))
        after, limit = number_of(request, FACTS_AFTER), number_of(request, FACTS_LIMIT)
        at = number_of(request, FACTS_AT) if FACTS_AT.name in request.query else None
        page = Page()
        if after < order.last:
            partition = partition_of(order.key, self._settings.partitions)
            async with self._dependencies.facts.reading([partition]) as reading:
                page = await page_of(reading, order, after, limit, self._dependencies.now_ms, at)
        last = page.events[-1]["data"]["sequence"] if page.events else after
        following = {"channel": order.channel, "after": last, "limit": limit, "at": page.at or 0}
        document = {
            "order": order.code,
            "channel": order.channel,
            "last": order.last,
            "events": page.events,
            "next": None if page.at is None else str(request.rel_url.with_query(following)),
        }
        return json_answer(document)

    async def _decide(self, kind: _Kind, call: Call, request: web.Request) -> Answer:
        channel, document = await self._query(kind, call, request)
        wanted = request.match_info["request"]
        found = next((d for d in document.get("deliveries", ()) if d.get("id") == wanted), None)
        if found is None:
            raise Refused(404, "UNKNOWN", f"{call.subject} has no delivery {wanted[:CODE_MAX]}")
        destination = found["destination"]
        entity = kind.key(channel.name, call.subject)
        far_side = self._channels.increff if destination == INCREFF else channel.marketplace
        partition = destination_partition(destination, shard_of(entity, far_side.shards), self._settings.partitions)
        touchpoint = BY_NAME.get(found.get("touchpoint", ""))
        beside = touchpoint is not None and touchpoint.beside_lane
        lane = join(destination, entity.decode(), wanted) if beside else lane_key(destination, entity)
        return await decide_lane(self._commands, call, request, lane, partition)


def _unknown(message: str, calls: Sequence[Mapping[str, Any]]) -> Refused:
    """The refusal for what is not known. `calls`: refused ones that named it, the newest last."""
    if not calls:
        return Refused(404, "UNKNOWN", message)
    last = calls[-1]
    call = BY_NAME[last["touchpoint"]].title if last["touchpoint"] in BY_NAME else last["touchpoint"]
    answer = last["code"] if last["status"] is None else f"{last['status']} {last['code']}"
    why = f"its {call} was refused with {answer} at {iso_time(last['lastAtMs'])}, because: {last['reason']}"
    refused = Refused(404, "UNKNOWN", message, why)
    refused.more = {"refusedCalls": calls}
    return refused


def _code(request: web.Request) -> str:
    code = request.match_info["code"]
    if len(code) > CODE_MAX:
        raise bad_data(f"code: may have at most {CODE_MAX} characters")
    return code
