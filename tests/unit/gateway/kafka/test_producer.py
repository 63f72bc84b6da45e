"""The gateway's producer, on batches that a test ends."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from aiokafka.errors import OutOfOrderSequenceNumber

from gateway.http.metrics import Metrics
from gateway.kafka.producer import SharedProducer
from gateway.ports import Outgoing, Unavailable
from topics.configuration.settings import Settings
from topics.kafka.batches.open_batches import RecordPlace

RECORD = Outgoing("orders.commands", b"k", b"v", (), 0)


class Batches:
    """Batches whose records a test ends."""

    def __init__(self) -> None:
        self.futures: list[asyncio.Future[RecordPlace]] = []

    def add(self, *record: Any) -> None:
        self.futures.append(record[5])


def writing() -> tuple[SharedProducer, Batches]:
    producer, batches = SharedProducer(Settings(), Metrics()), Batches()
    producer._loop, producer._unready = asyncio.get_running_loop(), None
    producer._batches, producer._partitions = cast("Any", batches), {"orders.commands": 4}
    return producer, batches


@pytest.mark.parametrize("is_replaced", [False, True])
async def test_what_fails_with_a_replaced_producer_replaces_no_other(*, is_replaced: bool) -> None:
    producer, batches = writing()
    call = asyncio.create_task(producer.produce(RECORD))
    await asyncio.sleep(0)
    if is_replaced:
        producer._batches = cast("Any", Batches())
    batches.futures[0].set_exception(OutOfOrderSequenceNumber())
    with pytest.raises(Unavailable):
        await call
    assert producer._broken is not is_replaced
    assert (producer.unready() is None) is is_replaced
