"""How long a client waits for a broker: by what the broker has to do, so that one that hangs is left soon.

aiokafka has one time-out for connecting, heartbeats, look-ups, fetches and joining a group. Joining rightly takes as
long as the slowest member, so the one time-out is long, and a broker that hangs holds everything up for as long.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaError, NodeNotReadyError, RequestTimedOutError
from aiokafka.protocol.admin import ApiVersionRequest
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, SyncGroupRequest
from aiokafka.protocol.transaction import InitProducerIdRequest

from topics.logs.brokers import BROKERS

QUICK_S: Final = 4.0
"""For what a broker answers from its memory: connecting, metadata, heartbeats, look-ups of a coordinator, the id of a
producer. A broker that hangs costs a client several of these in a row; together they stay below a group's session."""
REPLICATED_S: Final = 10.0
"""For what may wait for other brokers or a disk: fetches, records, offsets. One that hangs is left out of the in-sync
replicas after Kafka's `broker.session.timeout.ms`, 9 s by default."""
_QUICK: Final = (HeartbeatRequest, FindCoordinatorRequest, ApiVersionRequest, InitProducerIdRequest)
_JOINING: Final = (JoinGroupRequest, SyncGroupRequest)


def bound_requests(client: AIOKafkaClient, joining_s: float = REPLICATED_S) -> None:
    """Gives each request of a client its own time-out. `joining_s`: how long a group's other members may take."""
    client._request_timeout_ms = int(QUICK_S * 1000)  # connecting and metadata go by this

    async def send(node_id: Any, request: Any, *, group: int = ConnectionGroup.DEFAULT) -> Any:
        if not await client.ready(node_id, group=group):
            BROKERS.failed(node_id, _server(client, node_id), "no connection")
            raise NodeNotReadyError(f"no connection to broker {node_id}")
        connection = client._conns[(node_id, group)]
        is_joining = isinstance(request, _JOINING)
        timeout_s = joining_s if is_joining else QUICK_S if isinstance(request, _QUICK) else REPLICATED_S
        answer = _written(connection, request, timeout_s)
        try:
            answered = await (_while_broker_answers(client, node_id, answer) if is_joining else answer)
        except (TimeoutError, _HangsError) as error:
            BROKERS.failed(node_id, _server(client, node_id), f"no answer to {type(request).__name__}")
            connection.close(reason=CloseReason.CONNECTION_TIMEOUT)  # the next request makes a new one
            raise RequestTimedOutError(f"{type(request).__name__} to broker {node_id}") from error
        if BROKERS.away:
            BROKERS.answered(node_id, _server(client, node_id))
        return answered

    client.send = send


def _server(client: AIOKafkaClient, node_id: Any) -> str:
    """The address of a broker; empty while the cluster does not name it."""
    broker = client.cluster.broker_metadata(node_id)
    return "" if broker is None else f"{broker.host}:{broker.port}"


class _HangsError(Exception):
    """The broker does not answer what it could answer at once."""


def _written(connection: AIOKafkaConnection, request: Any, timeout_s: float) -> Any:
    """Writes a request. Returns an awaitable of its answer, which raises TimeoutError."""
    usual_s, connection._request_timeout = connection._request_timeout, timeout_s
    try:
        return connection.send(request)
    finally:
        connection._request_timeout = usual_s


async def _while_broker_answers(client: AIOKafkaClient, node_id: Any, answer: Any) -> Any:
    """Waits for the members of a group, and looks now and then whether the broker lives, on another connection."""
    waiting = asyncio.ensure_future(answer)
    try:
        while not (await asyncio.wait([waiting], timeout=QUICK_S))[0]:
            try:
                await client.send(node_id, ApiVersionRequest())
            except KafkaError as error:
                raise _HangsError from error
        return waiting.result()
    finally:
        waiting.cancel()
