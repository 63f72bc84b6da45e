"""A loop that was late knows it, and a producer on it does not take its own lateness for Kafka's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from gateway.admission.loop_lag import PERIOD_S, LoopLag
from gateway.http.metrics import Metrics
from gateway.kafka.producer import LATE_GRACE_S, SharedProducer
from gateway.ports import Lateness, Outgoing, Unavailable
from tests.support.eventually import eventually
from topics.configuration.settings import load_settings

TIMEOUT_S = 0.4
RECORD = Outgoing("orders.commands", b"key", b"value", ())


@asynccontextmanager
async def lag() -> AsyncIterator[LoopLag]:
    found = LoopLag()
    found.start()
    try:
        yield found
    finally:
        found.stop()


async def test_a_turn_that_comes_late_is_noted() -> None:
    async with lag() as found:
        time.sleep(0.3)  # noqa: ASYNC251 - the fault itself
        assert found.late_s(10.0) >= 0.3 - PERIOD_S - 0.02, "also before the late turn"
        await asyncio.sleep(0)
        await eventually(lambda: found.total_s >= 0.2)
        assert found.late_s(10.0) >= 0.2
        assert found.late_s(0.1) <= 0.1


async def test_a_turn_is_told_how_late_the_loop_is_now() -> None:
    turns: list[float] = []
    found = LoopLag(turns.append)
    found.start()
    await eventually(lambda: len(turns) >= 3)
    found.stop()
    count = len(turns)
    await asyncio.sleep(3 * PERIOD_S)
    assert len(turns) == count, "a stopped one has no timer"


class InTime:
    """A loop that is never late, however busy this machine is."""

    def late_s(self, within_s: float) -> float:
        return 0.0


class SilentBatches:
    """Kafka's acknowledgements come when a test says so."""

    def __init__(self) -> None:
        self.sent: list[asyncio.Future[Any]] = []

    def add(self, *record: Any) -> None:
        self.sent.append(record[5])


def producer_on(batches: SilentBatches, found: Lateness) -> SharedProducer:
    producer = SharedProducer(load_settings(produce_timeout_s=TIMEOUT_S), Metrics(), found)
    producer._loop = asyncio.get_running_loop()
    producer._batches = cast("Any", batches)
    producer._partitions[RECORD.topic] = 1
    producer._unready = None
    return producer


async def test_an_acknowledgement_that_came_while_the_loop_was_late_counts() -> None:
    async with lag() as found:
        batches = SilentBatches()
        producer = producer_on(batches, found)
        call = asyncio.create_task(producer.produce(RECORD))
        await eventually(lambda: batches.sent)
        time.sleep(TIMEOUT_S + 0.1)  # noqa: ASYNC251 - the fault itself
        # Timers run before sockets are read: the time-out ends before the acknowledgement is seen.
        asyncio.get_running_loop().call_later(LATE_GRACE_S / 5, batches.sent[0].set_result, ("t", 0, 7))
        assert (await call).offset == 7
        assert producer.unready() is None


async def test_a_busy_gateway_does_not_call_kafka_away() -> None:
    async with lag() as found:
        batches = SilentBatches()
        producer = producer_on(batches, found)
        call = asyncio.create_task(producer.produce(RECORD))
        await eventually(lambda: batches.sent)
        time.sleep(TIMEOUT_S + 0.1)  # noqa: ASYNC251 - the fault itself
        with pytest.raises(Unavailable, match="busy"):
            await call
        assert producer.unready() is None, "the next caller is not refused"


async def test_a_kafka_that_is_away_is_still_found_out() -> None:
    producer = producer_on(SilentBatches(), InTime())
    with pytest.raises(Unavailable):
        await producer.produce(RECORD)
    assert "no acknowledgement" in (producer.unready() or "")
