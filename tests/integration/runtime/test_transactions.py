"""Kafka transactions of other producers: an aborted one is not carried out, an open one holds up its partition only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError

from tests.support.eventually import eventually
from tests.support.kafka import Kafka
from tests.support.runtime.lab import PARTITIONS, Lab, WorkerProcess
from tests.support.runtime.worker import OUT, SOURCE, STATE
from topics.configuration.settings import load_settings
from topics.kafka.compacted_view import CompactedView
from topics.records.keys import partition_of
from topics.records.reading import MADE_BY

KEY = b"k0"
HOME = partition_of(KEY, PARTITIONS)


@pytest.fixture
async def lab(kafka: Kafka, prefix: str, tmp_path: Path) -> AsyncIterator[Lab]:
    lab = await Lab(kafka.bootstrap, prefix, tmp_path).open()
    yield lab
    await lab.close()


@asynccontextmanager
async def transaction(lab: Lab, topic: str, *values: bytes, commit: bool = False) -> AsyncIterator[None]:
    """Records of KEY in a transaction that is open for the duration of the block."""
    producer = AIOKafkaProducer(bootstrap_servers=lab.bootstrap, transactional_id=f"{lab.prefix}-{topic}")
    await producer.start()
    try:
        await producer.begin_transaction()
        for value in values:
            headers = [("ce_id", b"1"), (MADE_BY, b"99/99")]
            await producer.send_and_wait(lab.name(topic), value, key=KEY, partition=HOME, headers=headers)
        yield
        await (producer.commit_transaction() if commit else producer.abort_transaction())
    finally:
        await producer.stop()


def seq(number: int) -> bytes:
    return orjson.dumps({"id": f"0-{number}", "seq": number})


async def finishes(worker: WorkerProcess) -> None:
    """Returns when nothing is left to do: transactions end in markers, which nobody reads."""
    lines = [f'lag_records{{partition="{partition}"}} 0.0' for partition in range(PARTITIONS)]
    await eventually(lambda: all(line in worker.ask("/metrics")[1] for line in lines), what="no lag")


async def test_records_of_an_aborted_transaction_are_not_carried_out(lab: Lab) -> None:
    worker = await lab.start().ready()
    await lab.feed(1, 1, 2)
    async with transaction(lab, SOURCE, seq(3), seq(9)):
        pass
    async with transaction(lab, SOURCE, seq(3), commit=True):
        pass
    await lab.decided(1, 3)
    await finishes(worker)
    await lab.feed(1, 4, 5)
    async with transaction(lab, SOURCE, seq(6)):
        pass
    await lab.decided(1, 5)
    await finishes(worker)
    await lab.check(1, 5)


async def test_an_open_transaction_holds_up_its_partition_and_no_other(lab: Lab) -> None:
    worker = await lab.start().ready()
    await lab.feed(16, 1, 1)
    await lab.decided(16, 1)
    others = {b"k%d" % key for key in range(16) if partition_of(b"k%d" % key, PARTITIONS) != HOME}
    async with transaction(lab, SOURCE, seq(9)):
        await lab.feed(16, 2, 3)

        async def others_are_decided() -> bool:
            return all(state["last"] == 3 for key, state in (await lab.states()).items() if key in others)

        await eventually(others_are_decided, what="the other partitions go on")
        assert (await lab.states())[KEY]["last"] == 1, "what is behind it waits: it may be of the same transaction"
        assert f'lag_records{{partition="{HOME}"}} 0.0' not in worker.ask("/metrics")[1]
    await lab.decided(16, 3)
    await lab.check(16, 3)
    await finishes(worker)


async def test_state_is_read_beside_transactions_that_nobody_ends(lab: Lab) -> None:
    """A role that takes over must neither wait for one, nor begin with state that ends before it."""
    worker = await lab.start().ready()
    await lab.feed(1, 1, 3)
    await lab.decided(1, 3)
    wrong = orjson.dumps({"n": 99, "last": 99, "missing": 0, "repeated": 0})
    async with transaction(lab, STATE, wrong):
        pass
    async with transaction(lab, STATE, wrong):
        await lab.feed(1, 4, 6)  # written behind it

        async def effects(count: int) -> bool:
            return len(await lab.read(OUT)) == count

        await eventually(lambda: effects(6), every_s=0.1, what="six effects")
        await worker.kill()
        second = await lab.start().ready()
        await lab.feed(1, 7, 8)
        await eventually(lambda: effects(8), every_s=0.1, what="eight effects")
        assert "is not ended; what it wrote does not count" in second.log.read_text()
    assert await lab.check(1, 8) == 0


async def test_a_view_starts_and_goes_on_beside_an_open_transaction(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only Sluice writes what it follows, and never in a transaction."""
    found: dict[bytes, bytes | None] = {}

    def on_record(_: int, key: bytes, value: bytes | None) -> None:
        found[key] = value

    topic = lab.name(STATE)

    async def write(key: bytes, value: bytes) -> None:
        await lab.producer.send_and_wait(topic, value, key=key, partition=HOME, headers=[(MADE_BY, b"1/1")])

    await write(b"before", b"1")
    view = CompactedView(load_settings(kafka=lab.bootstrap), topic, on_record, lambda _: None, one_owner=False)
    made: list[Any] = []
    make = view._consumer

    def consumer() -> Any:
        made.append(make())
        return made[-1]

    monkeypatch.setattr(view, "_consumer", consumer)
    async with transaction(lab, STATE, b"aborted"):
        await write(b"behind", b"1")
        await view.start()
        await view.set_partitions(None)
        try:
            await view.until_ready()
            await eventually(lambda: b"behind" in found, what="records behind the open transaction")
            await write(b"later", b"1")
            await eventually(lambda: b"later" in found, what="later records")
            made[-1].getmany = AsyncMock(side_effect=KafkaConnectionError("told so"))
            await eventually(
                lambda: len(made) > 1, what="a new connection, which stands behind the transaction's begin"
            )
            await write(b"last", b"1")
            await eventually(lambda: b"last" in found, what="records after a new connection")
        finally:
            await view.stop()
    assert KEY not in found
