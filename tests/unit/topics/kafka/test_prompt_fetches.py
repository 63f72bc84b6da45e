"""A node's next fetch leaves as soon as the one before has ended, whatever woke the fetcher at that moment."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import Fetcher

from topics.kafka.prompt_fetches import fetch_from_idle_nodes

BUSY, IDLE = TopicPartition("source", 0), TopicPartition("source", 1)
NODES = {BUSY: 1, IDLE: 2}
LONG_S = 3_600.0
TURNS = 20
"""Turns of the event loop in which a fetch would leave, if it left at once."""


class Broker:
    """Answers a fetch when the test says so, with no records."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._metadata_max_age_ms = LONG_S * 1000
        self.fetches: list[tuple[int, set[TopicPartition]]] = []
        self.answers: list[asyncio.Future[Any]] = []
        self.leaders = dict.fromkeys(NODES, 1)
        self.cluster = SimpleNamespace(leader_for_partition=lambda tp: self.leaders[tp])

    def send(self, node: int, request: Any) -> asyncio.Future[Any]:
        asked = {TopicPartition(topic, partition) for topic, places in request.topics for partition, *_ in places}
        self.fetches.append((node, asked))
        self.answers.append(asyncio.get_running_loop().create_future())
        return self.answers[-1]

    def answer(self, number: int) -> None:
        self.answers[number].set_result(SimpleNamespace(topics=[], API_VERSION=4))


def fetcher_of(broker: Broker) -> Any:
    """aiokafka's fetcher, whose reader has not taken the records of BUSY yet."""
    loop = asyncio.get_running_loop()
    assignment = MagicMock(active=True, tps=list(NODES), unassign_future=loop.create_future())
    assignment.state_value.return_value = MagicMock(has_valid_position=True, paused=False, position=7)
    subscriptions = MagicMock()
    subscriptions.subscription.assignment = None

    async def assigned() -> None:
        subscriptions.subscription.assignment = assignment
        made._records[BUSY] = MagicMock(calculate_backoff=lambda: 0)

    subscriptions.wait_for_assignment = assigned
    made = Fetcher(broker, subscriptions, fetcher_timeout=LONG_S)
    return made


def take_records(fetcher: Any) -> None:
    """Does what a reader does when it takes the last records."""
    fetcher._records.clear()
    fetcher._notify(fetcher._wait_consume_future)


async def some_turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def fetches_after_both_at_once(change: Callable[[Any], None]) -> list[tuple[int, set[TopicPartition]]]:
    """The fetches that leave when the reader takes its records in the turn in which the fetch beside them ends."""
    broker = Broker()
    fetcher = fetcher_of(broker)
    change(fetcher)
    try:
        await some_turns()
        assert broker.fetches == [(1, {IDLE})], "the busy partition's records are unread"
        take_records(fetcher)
        broker.answer(0)
        await some_turns()
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            await fetcher.close()
    return broker.fetches


async def test_stock_fetcher_waits_for_a_fetch_that_has_ended() -> None:
    """Until its time-out of 0.2 s, which is an hour here."""
    assert await fetches_after_both_at_once(lambda _: None) == [(1, {IDLE})]


async def test_the_next_fetch_leaves_when_records_are_taken_as_the_one_before_ends() -> None:
    assert await fetches_after_both_at_once(fetch_from_idle_nodes) == [(1, {IDLE}), (1, {BUSY, IDLE})]


@pytest.mark.parametrize("late", [1, 3])
async def test_a_node_that_has_not_answered_is_not_asked_again(late: int) -> None:
    """Also not where the end of the fetch before is noticed late, after the next one has left."""
    broker = Broker()
    fetcher = fetcher_of(broker)
    fetch_from_idle_nodes(fetcher)
    try:
        await some_turns()
        take_records(fetcher)
        broker.answer(0)
        for _ in range(late):
            await some_turns()
            fetcher._notify(fetcher._wait_consume_future)
        await some_turns()
        assert broker.fetches == [(1, {IDLE}), (1, {BUSY, IDLE})]
    finally:
        await fetcher.close()


async def test_a_fetch_that_began_before_is_waited_for() -> None:
    """As when a consumer is made with its topics: it fetches while it starts."""
    broker = Broker()
    fetcher = fetcher_of(broker)
    try:
        await some_turns()
        assert broker.fetches == [(1, {IDLE})]
        fetch_from_idle_nodes(fetcher)
        take_records(fetcher)
        await some_turns()
        assert broker.fetches == [(1, {IDLE})], "the node has not answered"
        broker.answer(0)
        await some_turns()
        assert broker.fetches == [(1, {IDLE}), (1, {BUSY, IDLE})]
    finally:
        await fetcher.close()


async def test_a_slow_node_does_not_hold_up_another() -> None:
    broker = Broker()
    broker.leaders = dict(NODES)
    fetcher = fetcher_of(broker)
    fetch_from_idle_nodes(fetcher)
    try:
        await some_turns()
        take_records(fetcher)
        await some_turns()
        assert broker.fetches == [(2, {IDLE}), (1, {BUSY})]
        broker.answer(1)
        await some_turns()
        assert broker.fetches[2:] == [(1, {BUSY})], "the other node has not answered"
    finally:
        await fetcher.close()
