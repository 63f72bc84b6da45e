"""Each request has the time-out of its kind, so a broker that hangs is left long before a session ends."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import RequestTimedOutError
from aiokafka.protocol.admin import ApiVersionRequest
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, SyncGroupRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.util import wait_for

from tests.support.eventually import eventually
from topics.configuration.settings import load_settings
from topics.kafka import clients, time_outs
from topics.kafka.time_outs import QUICK_S, REPLICATED_S, bound_requests

JOINING_S = 40.0


class Connection:
    """A connection to a broker that answers only some kinds of requests; the time-out of each is kept."""

    def __init__(self, answers: tuple[type, ...] = ()) -> None:
        self.asked: list[tuple[str, float]] = []
        self.reasons: list[Any] = []
        self._answers = answers
        self._request_timeout = QUICK_S

    def connected(self) -> bool:
        return True

    def send(self, request: Any, expect_response: bool = True) -> Any:
        del expect_response
        self.asked.append((type(request).__name__, self._request_timeout))
        if isinstance(request, self._answers):
            return asyncio.sleep(0, "answered")
        return wait_for(asyncio.get_running_loop().create_future(), self._request_timeout)

    def close(self, reason: Any = None, exc: Any = None) -> None:
        del exc
        self.reasons.append(reason)


def bounded(*connections: Connection) -> AIOKafkaClient:
    client = AIOKafkaClient(bootstrap_servers="nowhere:9")
    bound_requests(client, JOINING_S)
    for group, connection in zip(ConnectionGroup, connections, strict=False):
        client._conns[(1, group)] = connection
    return client


def request(kind: Any) -> Any:
    return kind.__new__(kind)


@pytest.mark.parametrize(
    ("kind", "timeout_s"),
    [
        (HeartbeatRequest, QUICK_S),
        (FindCoordinatorRequest, QUICK_S),
        (FetchRequest, REPLICATED_S),
        (ProduceRequest, REPLICATED_S),
        (OffsetCommitRequest, REPLICATED_S),
        (JoinGroupRequest, JOINING_S),
        (SyncGroupRequest, JOINING_S),
    ],
)
async def test_each_kind_of_request_has_its_time_out(kind: type, timeout_s: float) -> None:
    connection = Connection(answers=(kind,))
    assert await bounded(connection).send(1, request(kind)) == "answered"
    assert connection.asked == [(kind.__name__, timeout_s)]
    assert connection._request_timeout == QUICK_S, "what is sent beside it keeps its own"


async def test_a_broker_that_hangs_is_left_by_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_outs, "QUICK_S", 0.01)
    connection = Connection()
    with pytest.raises(RequestTimedOutError):
        await bounded(connection).send(1, request(HeartbeatRequest))
    assert connection.reasons == [CloseReason.CONNECTION_TIMEOUT]


@pytest.mark.parametrize("kind", [JoinGroupRequest, SyncGroupRequest])
async def test_a_broker_that_hangs_is_left_while_a_group_is_joined(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its other members may take long; the broker itself may not."""
    monkeypatch.setattr(time_outs, "QUICK_S", 0.01)
    others, joining = Connection(), Connection()
    with pytest.raises(RequestTimedOutError):
        await bounded(others, joining).send(1, request(kind), group=ConnectionGroup.COORDINATION)
    assert [name for name, _ in others.asked] == ["ApiVersionRequest"]
    assert joining.reasons == [CloseReason.CONNECTION_TIMEOUT]


async def test_a_broker_that_answers_is_waited_for_while_a_group_is_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_outs, "QUICK_S", 0.01)
    others, joining = Connection(answers=(ApiVersionRequest,)), Connection()
    client = bounded(others, joining)
    waiting = asyncio.create_task(client.send(1, request(JoinGroupRequest), group=ConnectionGroup.COORDINATION))
    await eventually(lambda: len(others.asked) >= 3, every_s=0.01, what="three looks at the broker")
    assert not waiting.done()
    assert joining.reasons == []
    waiting.cancel()
    await asyncio.wait([waiting])


async def test_all_clients_of_the_factory_are_bounded() -> None:
    settings = load_settings(kafka="nowhere:9")
    reader = clients.consumer(settings, "a-test", rebalance_timeout_s=30.0)
    writer = clients.producer(settings, "a-test")
    for client in (reader._client, writer.client):
        assert client._request_timeout_ms == QUICK_S * 1000
        assert client.send.__module__ == time_outs.__name__
    await writer.stop()


def test_stock_requests_share_one_time_out() -> None:
    """What the override stands on: a connection goes by one attribute, which it reads when it writes a request."""
    assert "wait_for(fut, self._request_timeout)" in inspect.getsource(AIOKafkaConnection.send)
    assert inspect.getsource(AIOKafkaClient.send).count("timeout_ms") == 0
    assert "request_timeout_ms=self._request_timeout_ms" in inspect.getsource(AIOKafkaClient._get_conn)
    assert inspect.signature(AIOKafkaClient.__init__).parameters["request_timeout_ms"].default == 40_000
