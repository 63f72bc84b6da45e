"""Whatever the tables of delivery hold, a worker that takes over runs on and sends what is whole."""

from __future__ import annotations

from random import Random

import pytest

from streams.delivery.ports import Answer
from streams.delivery.stock.ports import SENT
from streams.runtime.invariants import MODE_VARIABLE
from tests.fakes.delivery import Durable, Played, channels_for, ok, request_for
from tests.fakes.delivery_tables import MemoryTable
from tests.support.garble import SEEDS, garbled, garbled_key
from tests.support.subscriptions import fact_request, index, subscription
from tests.unit.delivery.stock.test_sending import PARTITION, staged
from topics.records.deliveries import DeliveryRequest
from topics.records.keys import join
from topics.stock.positions import DRIFT, RECONCILE, REFUSED, RESYNC


@pytest.fixture(autouse=True)
def _as_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is garbled breaks invariants, which are counted there."""
    monkeypatch.setenv(MODE_VARIABLE, "")


def garble(durable: Durable, random: Random, *names: str) -> None:
    for tables in durable.tables.values():
        for name in names or tuple(tables):
            garble_table(tables[name], random)


def garble_table(table: MemoryTable, random: Random) -> None:
    for key in [*table.values]:
        if random.random() < 0.4:
            value = garbled(table.values[key], random)
            table.put(garbled_key(key, random) if random.random() < 0.3 else key, value)


def good(code: str) -> list[DeliveryRequest]:
    return [request_for("create-outward-order", code, f"{code}.{n}", sequence=n) for n in (1, 2)]


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_worker_takes_over_and_sends_what_is_whole(seed: int) -> None:
    random = Random(seed)
    worker = await Played(channels_for(), subscriptions=index(subscription(when_dead="block"))).start()
    worker.sender.far = lambda _call, _before: Answer(status=random.choice([200, 400, 410, 429, 500, 503]))
    for number in range(12):
        worker.give(*good(f"O-{number}"), *(fact_request(f"F-{number}", n) for n in (1, 2, 3)))
    await worker.clock.run_for(random.choice([50, 5_000, 100_000]))
    garble(worker.durable, random)
    worker = await worker.restart(seed)
    worker.sender.far = ok
    fresh = [request for number in range(6) for request in good(f"N-{number}")]
    worker.give(*fresh)
    await worker.clock.run_for(600_000)
    assert (worker.crashes, worker.role.ready()) == ([], None)
    assert {request.id for request in fresh} <= {*worker.sender.ids()}
    assert in_order(worker, fresh)
    worker.give(*good("O-1"), *(fact_request("F-1", n) for n in (4, 5)))
    await worker.clock.run_for(600_000)
    assert worker.crashes == []
    assert {poison.code for poison in worker.poisoned} <= {"UNREADABLE_LANE"}


def in_order(worker: Played, requests: list[DeliveryRequest]) -> bool:
    sent = worker.sender.ids()
    return all(sent.index(f"{code}.1") < sent.index(f"{code}.2") for code in {request.subject for request in requests})


@pytest.mark.parametrize("seed", SEEDS)
async def test_stock_is_sent_over_whatever_is_left_of_it(seed: int) -> None:
    random = Random(seed)
    async with staged() as stage:
        for number in range(8):
            stage.change("L1", "demo", **{f"S{number}": number})
            stage.change("L2", "demo", **{f"S{number}": number})
        await stage.open()
        sent = stage.durable.of(PARTITION)[SENT]
        for n in range(6):
            sent.put(b"~flight|demo|L%d|%d" % (n % 3, n), b'["S1","S2"]')
            for mark in (REFUSED, DRIFT, RESYNC, RECONCILE):
                sent.put(join(mark, "demo", f"L{n}", f"S{n}"), b'{"id":"x","cursor":"","told":true}')
        garble_table(sent, random)
        await stage.kill_and_begin_again()
        stage.change("L1", fresh=7, S1=77)
        await stage.clock.run_for(600_000)
        assert (stage.sent("fresh"), stage.sent("S1")) == (7, 77)
        assert [task for task in stage.worker.tasks if task.done() and task.exception() is not None] == []
