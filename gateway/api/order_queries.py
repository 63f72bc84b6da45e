"""Queries of orders and returns: the whole state of one, after everything that was accepted before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from aiohttp import web

from gateway.api.handler import channel_in_query
from gateway.http.answers import VERDICT_RETRY_AFTER_S, Refused, bad_data
from gateway.http.call import Call
from gateway.kafka.commands import Command, Commands
from topics.configuration.channels import Channel, Channels
from topics.contract.touchpoints import BY_NAME
from topics.records.envelope import ORDER_QUERY, iso_time
from topics.records.keys import INCREFF, destination_partition, order_key, return_key, shard_of
from topics.records.verdicts import Verdict
from topics.schema_base import CODE_MAX

QUERY_TIMEOUT_S = 10.0
"""How long a query may take. It goes through the orders role like a command, and a rebalance takes a few seconds."""
ON_ITS_WAY = ("queued", "retrying")
"""Statuses of a delivery whose end is not known yet."""


class Kind(NamedTuple):
    """The subjects that a call may name. `member`: the member of a query that names it."""

    name: str
    member: str
    key: Callable[[str, str], bytes]


KINDS = (Kind("order", "orderCode", order_key), Kind("return", "returnOrderCode", return_key))


class OrderQueries:
    def __init__(self, channels: Channels, commands: Commands) -> None:
        self._channels = channels
        self._commands = commands

    async def document(self, kind: Kind, call: Call, request: web.Request) -> tuple[Channel, dict[str, Any]]:
        """The channel, and the whole state of the order after everything that was accepted before. Raises Refused."""
        channel = channel_in_query(self._channels.channels, request)
        return channel, await self.of(kind, call, channel, _code(request))

    async def of(self, kind: Kind, call: Call, channel: Channel, code: str) -> dict[str, Any]:
        """The whole state of this order or return. Raises Refused."""
        call.channel, call.subject = channel, code
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
        return reply.body


def home_of(destination: str, entity: bytes, channels: Channels, channel: Channel, partitions: int) -> int:
    """The partition of an entity's requests to a far side."""
    far_side = channels.increff if destination == INCREFF else channel.marketplace
    return destination_partition(destination, shard_of(entity, far_side.shards), partitions)


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
