"""Following the answers of channels on Kafka: each partition of a topic is read, and an end is never a quiet one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from streams.delivery.admission.gate_view import GateRegistry
from streams.delivery.clock import SystemClock
from streams.delivery.role import DeliveryRole
from streams.delivery.senders import kafka as kafka_sender
from streams.delivery.senders.kafka import KafkaSender
from streams.delivery.senders.router import SenderRouter
from streams.delivery.tasks import Failure
from streams.runtime.role import Change, Effect
from tests.support.eventually import eventually
from tests.support.orders_log import make_channels
from topics.configuration.channels import Channels
from topics.configuration.settings import Settings
from topics.destinations.pauses import PauseIndex
from topics.kafka.channel_topics import answer_topic, request_topic
from topics.subscriptions.index import SubscriptionIndex

ANSWERS = answer_topic("demo").full_name(Settings().topic_prefix)
REQUESTS = request_topic("demo").full_name(Settings().topic_prefix)
START, END = 3, 7
"""First and next offset of every partition."""


def on_kafka() -> Channels:
    return make_channels(far_side="kafka")


class PlayedKafka:
    """Producer and consumer in one; its topics may grow."""

    def __init__(self) -> None:
        self.partitions = {REQUESTS: {0}, ANSWERS: {0}}
        self.positions: dict[TopicPartition, int] = {}
        self.client = self._fetcher = self

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def fetch_all_metadata(self) -> Any:
        there = {topic: set(numbers) for topic, numbers in self.partitions.items()}
        return SimpleNamespace(topics=lambda: set(there), partitions_for_topic=there.get)

    def assign(self, places: Iterable[TopicPartition]) -> None:
        assert isinstance(places, list | set | tuple), "the client takes nothing else"
        self.positions = dict.fromkeys(places, -1)

    async def beginning_offsets(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, START)

    async def end_offsets(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, END)

    def seek(self, place: TopicPartition, offset: int) -> None:
        self.positions[place] = offset

    async def getmany(self, **_: Any) -> dict[Any, Any]:
        await asyncio.sleep(0)
        return {}


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> PlayedKafka:
    kafka = PlayedKafka()
    monkeypatch.setattr(KafkaSender, "_make_producer", lambda _: kafka)
    monkeypatch.setattr(KafkaSender, "_make_consumer", lambda _: kafka)
    return kafka


async def test_a_partition_that_a_followed_topic_got_is_read_from_its_beginning(
    played: PlayedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer may be in it before it is noticed; what stood in the topic before it was followed is nobody's."""
    monkeypatch.setattr(kafka_sender, "LOOK_AGAIN_S", 0.0)
    crashes: list[BaseException] = []
    sender = KafkaSender(Settings(), on_kafka(), crashes.append)
    await sender.start()
    await eventually(lambda: played.positions == {TopicPartition(ANSWERS, 0): END})
    played.partitions[ANSWERS].add(1)
    await eventually(lambda: played.positions == {TopicPartition(ANSWERS, 0): END, TopicPartition(ANSWERS, 1): START})
    await sender.stop()
    assert crashes == []


class FakeCommitter:
    failed: BaseException | None = None

    async def commit(self, partition: int, effects: Iterable[Effect], changes: Iterable[Change]) -> None: ...

    def fail(self, error: BaseException) -> None:
        self.failed = error


async def test_an_error_that_nobody_expected_ends_the_role(
    played: PlayedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role that no longer reads answers would ask for ever; a restart heals it."""
    error = AssertionError("a fault of the client's")

    async def fail(**_: Any) -> Any:
        raise error

    monkeypatch.setattr(played, "getmany", fail)
    settings, channels, subscriptions = Settings(), on_kafka(), SubscriptionIndex()
    failure, clock, committer = Failure(), SystemClock(), FakeCommitter()
    role = DeliveryRole(
        settings,
        channels,
        subscriptions=subscriptions,
        gates=GateRegistry(),
        pauses=PauseIndex(),
        sender=SenderRouter(settings, channels, subscriptions=subscriptions, clock=clock, crashed=failure.report),
        stock=None,
        clock=clock,
        random=Random(),
        failure=failure,
    )
    await role.start(committer)
    await eventually(lambda: committer.failed is error)
    assert str(error) in (role.ready() or "")
    await role.stop()
