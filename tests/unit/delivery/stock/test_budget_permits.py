"""A permit of a channel's stock budget ends once, however its call ends."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from streams.delivery.admission.permits import PERMITS
from streams.delivery.ports import Answer
from streams.delivery.stock.location import Standing
from streams.delivery.stock.scheduler import StockScheduler
from streams.runtime.invariants import violated
from tests.fakes.stock_sending import StockWorker, stock_channels


def stock(requests: int, window_s: int) -> StockWorker:
    budget = {"requests": requests, "window_s": window_s}
    return StockWorker(stock_channels({"batch_max": 2, "gather_ms": 0, "budget": budget}))


def of_stock(worker: StockWorker) -> list[dict[str, Any]]:
    """The permits of stock budgets as they are durable."""
    tables = worker.played.durable.tables.values()
    rows = [row for table in tables for row in table[PERMITS].values.items()]
    return [limit for key, raw in rows if b"stock" in key for limit in orjson.loads(raw)["limits"].values()]


async def test_a_call_that_a_stop_cuts_off_keeps_its_permit() -> None:
    worker = stock(requests=1, window_s=60)
    worker.sender.takes_ms = lambda _call: 10_000_000
    await worker.start()
    worker.change("L1", a=1)
    await worker.clock.run_for(100)
    assert worker.told() == [("L1", {"a": 1})]
    stopping = asyncio.create_task(worker.played.role.stop())
    await worker.clock.run_for(60_000)
    assert stopping.done()
    assert sum(limit["open"] for limit in of_stock(worker)) == 1, "the far side may have counted the call"


async def test_a_resend_that_gives_way_before_its_first_step_gives_its_permit_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A location becomes dirty between the asking for a resend's turn and the first step of its task."""
    worker = stock(requests=20, window_s=10)
    failing = True
    worker.sender.far = lambda call, _before: Answer(
        status=500 if failing and (call.members or {})["locationCode"] == "L2" else 200, headers={}
    )
    await worker.start()
    worker.change("L1", a=1)
    await worker.clock.run_for(20_000)
    worker.change("L2", b=1)
    await worker.clock.run_for(50)
    (scheduler, dirty_at_ms) = next(
        (scheduler, scheduler._next_ms())
        for owned in worker.stock.partitions.values()
        for scheduler in owned._schedulers.values()
        if scheduler._timers
    )
    await worker.clock.run_for(round(dirty_at_ms) - worker.clock.now_ms() - 1)
    failing = False
    ask = StockScheduler._ask

    def ask_and_pass_time(self: StockScheduler, standing: Standing) -> None:
        ask(self, standing)
        if standing is Standing.RESEND:
            worker.clock._now_ms += 1

    monkeypatch.setattr(StockScheduler, "_ask", ask_and_pass_time)
    for owned in worker.stock.partitions.values():
        for location in owned._locations.values():
            if location is not None and location.location == "L1":
                location.send_again(["a"])
    await worker.clock.settle()
    await worker.clock.run_for(600_000)
    assert not scheduler._asked
    permits = scheduler._budget._permits
    assert permits is not None
    assert [limit.pool._in_flight for limit in permits.limits._limits] == [0]


async def test_a_violated_invariant_in_a_stock_task_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = stock(requests=9, window_s=10)
    await worker.start()
    monkeypatch.setattr(StockScheduler, "_choose", lambda *_: violated("stock_sku_in_one_call", "made by a test"))
    worker.change("L1", a=1)
    await worker.clock.run_for(100)
    assert [type(error).__name__ for error in worker.played.crashes] == ["InvariantError"]
