"""The management API: where is order X, what happened to it since, and what shall become of its dead delivery. Errors
are problem details."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from gateway.api.fact_pages import LIMIT, LIMIT_MAX, Incarnation, Page, incarnation_of, page_of
from gateway.api.handler import Management, add_paths, channel_of
from gateway.api.lane_decisions import decide_lane
from gateway.dependencies import Dependencies
from gateway.http.answers import VERDICT_RETRY_AFTER_S, Answer, Refused, bad_data, json_answer
from gateway.http.call import Call
from gateway.http.query import whole_number
from gateway.http.responder import Handler
from gateway.kafka.commands import Commands
from topics.configuration.channels import Channel, Channels
from topics.configuration.settings import Settings
from topics.contract.touchpoints import BY_NAME
from topics.records.envelope import ORDER_QUERY
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
"""A query travels through the orders role like any command; a rebalance takes a few seconds."""


class ManagementApi:
    def __init__(
        self,
        settings: Settings,
        channels: Channels,
        dependencies: Dependencies,
        management: Management,
        commands: Commands,
    ) -> None:
        self._settings = settings
        self._channels = channels
        self._dependencies = dependencies
        self._management = management
        self._commands = commands

    def handler(self, what: str, *, returns: bool) -> Handler:
        """Of a call about one order, or one return: its state, its events, or a decision about a delivery."""

        async def act(call: Call, request: web.Request) -> Answer:
            call.channel = channel_of(self._channels, request)
            call.subject = _code(request)
            document = await self._query(call, call.channel, returns=returns)
            if what.endswith("-events"):
                key = _key(call.channel, call.subject, returns=returns)
                return await self._events(incarnation_of(document, call.subject, key), request)
            if "action" in request.match_info:
                return await self._decide(call, call.channel, document, request, returns=returns)
            return json_answer(document)

        return self._management.handler(what, act)

    async def _query(self, call: Call, channel: Channel, *, returns: bool) -> dict[str, Any]:
        """The order's whole state, read where it is decided: behind everything accepted before."""
        key = _key(channel, call.subject, returns=returns)
        value = orjson.dumps({"returnOrderCode" if returns else "orderCode": call.subject})
        reply = await self._commands.execute(call, ORDER_QUERY, key, value, QUERY_TIMEOUT_S)
        # A query leaves nothing behind that a receipt could name.
        call.positions.clear()
        if reply is None:
            message = "The orders role did not answer in time"
            raise Refused(503, "LATE", message, retry_after_s=VERDICT_RETRY_AFTER_S)
        if reply.verdict is not Verdict.ANSWERED:
            # Set aside: it is not known whether there is one, so "there is none" would be a guess.
            raise Refused(500, "NOT_ANSWERED", "The orders role could not answer this", reply.message)
        if not isinstance(reply.body, dict):
            what = "return" if returns else "order"
            raise Refused(404, "UNKNOWN", f"There is no {what} {call.subject} of channel {channel.name}")
        return reply.body

    async def _events(self, order: Incarnation, request: web.Request) -> Answer:
        """The facts after a sequence, as subscribers get them, and where the next page is."""
        after = whole_number(request, "after", 0, 0)
        limit = whole_number(request, "limit", LIMIT, 1, LIMIT_MAX)
        at = whole_number(request, "at", -1, 0)
        page = Page()
        if after < order.last:
            partition = partition_of(order.key, self._settings.partitions)
            async with self._dependencies.facts.reading([partition]) as reading:
                page = await page_of(reading, order, after, limit, self._dependencies.now_ms, None if at < 0 else at)
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

    async def _decide(
        self, call: Call, channel: Channel, document: dict[str, Any], request: web.Request, *, returns: bool
    ) -> Answer:
        wanted = request.match_info["request"]
        found = next((d for d in document.get("deliveries", ()) if d.get("id") == wanted), None)
        if found is None:
            raise Refused(404, "UNKNOWN", f"{call.subject} has no delivery {wanted[:CODE_MAX]}")
        destination = found["destination"]
        entity = _key(channel, call.subject, returns=returns)
        far_side = self._channels.increff if destination == INCREFF else channel.marketplace
        partition = destination_partition(destination, shard_of(entity, far_side.shards), self._settings.partitions)
        touchpoint = BY_NAME.get(found.get("touchpoint", ""))
        beside = touchpoint is not None and touchpoint.beside_lane
        lane = join(destination, entity.decode(), wanted) if beside else lane_key(destination, entity)
        return await decide_lane(self._commands, call, request, lane, partition)


def _key(channel: Channel, code: str, *, returns: bool) -> bytes:
    return return_key(channel.name, code) if returns else order_key(channel.name, code)


def _code(request: web.Request) -> str:
    code = request.match_info["code"]
    if len(code) > CODE_MAX:
        raise bad_data(f"code: may have at most {CODE_MAX} characters")
    return code


def add_orders(router: web.UrlDispatcher, api: ManagementApi, not_allowed: Handler) -> None:
    for kind, one in (("orders", "order"), ("returns", "return")):
        is_return = one == "return"
        path = f"/api/{kind}/{{code}}"
        paths = {
            path: {"GET": api.handler(f"api-{one}", returns=is_return)},
            f"{path}/events": {"GET": api.handler(f"api-{one}-events", returns=is_return)},
            f"{path}/deliveries/{{request}}/{{action:retry|skip}}": {
                "POST": api.handler("api-lane-decision", returns=is_return)
            },
        }
        add_paths(router, paths, not_allowed)
