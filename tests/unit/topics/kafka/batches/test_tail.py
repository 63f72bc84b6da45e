"""The tail of a partition, on answers of a broker that a test makes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import NodeNotReadyError, OffsetOutOfRangeError, TopicAuthorizationFailedError
from aiokafka.protocol.fetch import FetchRequest, FetchResponse_v11
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from topics.kafka.batches import tail
from topics.kafka.batches.tail import Tail

PLACE = TopicPartition("t", 3)


def batch(first: int, *values: bytes, transactional: bool = False) -> bytes:
    made = DefaultRecordBatchBuilder(2, 0, transactional, 1, 0, 0, 1 << 20)
    for offset, value in enumerate(values):
        made.append(offset, 1_000, b"k", value, [])
    raw = made.build()
    raw[:8] = first.to_bytes(8, "big")
    return bytes(raw)


class Client:
    """Answers fetches in turn: with bytes, an error code, or an error of the client; None: without any partition."""

    def __init__(self, *answers: bytes | int | Exception | None) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[int, int]] = []
        self.updates = 0
        self.leader: int | None = 1
        self.cluster = self
        self._client = self

    def leader_for_partition(self, place: TopicPartition) -> int | None:
        assert place == PLACE
        return self.leader

    def add_topic(self, topic: str) -> None:
        assert topic == PLACE.topic

    def force_metadata_update(self) -> asyncio.Future[bool]:
        self.updates += 1
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        done.set_result(True)
        return done

    async def send(self, node: int, request: FetchRequest) -> Any:
        ((_topic, ((_partition, offset, _bytes),)),) = request.topics
        self.asked.append((node, offset))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            return FetchResponse_v11(1_000, 0, 0, [])
        code, data = (answer, b"") if isinstance(answer, int) else (0, answer)
        part: tuple[Any, ...] = (PLACE.partition, code, 99, 99, 0, [], -1, data)
        return FetchResponse_v11(0, 0, 0, [(PLACE.topic, [part])])


def reading(*answers: bytes | int | Exception | None, offset: int = 5) -> tuple[Client, Tail]:
    client = Client(*answers)
    return client, Tail(client, PLACE, offset)


async def test_records_are_read_from_the_offset_on() -> None:
    client, read = reading(batch(4, b"old", b"a", b"b") + batch(7, b"c"), b"", batch(8, b"d"))
    assert [(one.offset, one.key, one.value) for one in await read.next()] == [
        (5, b"k", b"a"),
        (6, b"k", b"b"),
        (7, b"k", b"c"),
    ]
    assert await read.next() == []
    assert [one.value for one in await read.next()] == [b"d"]
    assert client.asked == [(1, 5), (1, 8), (1, 8)]
    assert client.updates == 0


async def test_a_broker_that_holds_its_client_back_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "RETRY_S", 0.0)
    _client, read = reading(None, batch(5, b"a"))
    assert await read.next() == []
    assert [one.value for one in await read.next()] == [b"a"]


async def test_what_was_written_in_a_transaction_is_passed_over() -> None:
    _client, read = reading(batch(5, b"x", transactional=True) + batch(6, b"a"))
    assert [one.value for one in await read.next()] == [b"a"]
    assert read.offset == 7


@pytest.mark.parametrize("trouble", [6, 3, 5, 9, NodeNotReadyError("away")])
async def test_a_partition_that_moves_is_read_on(trouble: int | Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "RETRY_S", 0.0)
    client, read = reading(trouble, batch(5, b"a"))
    assert await read.next() == []
    client.leader, before = None, client.updates
    assert await read.next() == []
    client.leader = 2
    assert [one.value for one in await read.next()] == [b"a"]
    assert before == 1
    assert client.updates == 2
    assert client.asked == [(1, 5), (2, 5)]


@pytest.mark.parametrize(("code", "kind"), [(1, OffsetOutOfRangeError), (29, TopicAuthorizationFailedError)])
async def test_what_does_not_pass_by_itself_is_raised(code: int, kind: type[Exception]) -> None:
    _client, read = reading(code)
    with pytest.raises(kind):
        await read.next()
