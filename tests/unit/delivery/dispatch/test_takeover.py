"""One owner gives way to another, in order or not: a lane keeps its order, and an owner of old sends nothing."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from streams.delivery.admission.permits import FRESH_MS
from streams.delivery.ports import Answer
from streams.delivery.tasks import BackgroundTasks
from tests.fakes.delivery import Durable, ManualClock, Played, channels_for, ok, request_for
from topics.contract.touchpoints import BY_NAME
from topics.records.keys import channel_destination

BUDGETS = [None, {"requests": 100, "window_s": 60}]
PAUSE_MS = 30_000
"""Past the session: another worker owns the partitions by then."""


async def test_a_lane_keeps_its_order_over_a_restart_though_the_writers_clocks_differ() -> None:
    clock = ManualClock()
    worker = await Played(channels_for(), clock=clock).start()
    worker.sender.far = lambda _call, _: Answer(status=500, headers={})
    worker.give(request_for("create-outward-order", "A", "create", sequence=1))
    clock._now_ms -= 2_000  # the second record was written by a worker whose clock is behind
    worker.give(request_for("update-order-properties", "A", "update", sequence=2))
    clock._now_ms += 2_000
    await clock.settle()
    again = await worker.restart()
    again.sender.far = ok
    before = len(again.sender.arrivals)
    await clock.run_for(60_000)
    assert again.sender.ids()[before:] == ["create", "update"]


@pytest.mark.parametrize("budget", BUDGETS)
async def test_a_worker_that_stood_still_sends_nothing_old_after_the_new(budget: Any) -> None:
    channels = channels_for(marketplace={"budget": budget})
    old = await Played(channels).start()
    old.sender.far = lambda _call, _: Answer(status=500, headers={})
    old.give(request_for("acknowledgement", "A", "ack", sequence=1))
    await old.clock.run_for(100)  # it failed once; its retry is due within a second
    tables = copy.deepcopy(old.durable.tables)
    new = Played(channels, durable=Durable(tables=tables), clock=ManualClock(old.clock.now_ms() + PAUSE_MS), seed=3)
    new.sender.arrivals = old.sender.arrivals
    await new.start()
    new.give(request_for("seller-cancellation", "A", "cancel", sequence=2))
    await new.clock.run_for(10_000)
    assert new.final() == {"ack": "delivered", "cancel": "delivered"}
    old.durable.lost = True
    old.clock._now_ms += PAUSE_MS
    await old.clock.run_for(60_000)
    assert old.sender.ids()[-1] == "cancel"


@pytest.mark.parametrize("budget", BUDGETS)
async def test_stock_of_a_worker_that_stood_still_stays(budget: Any) -> None:
    worker = await Played(channels_for(marketplace={"budget": budget})).start()
    dispatcher = worker.dispatcher(channel_destination("demo"))

    async def push() -> None:
        await dispatcher.call(BY_NAME["location-wise-atp-inventory"], "demo", {})

    tasks = BackgroundTasks(worker.crashes.append)
    first = tasks.start(push())
    await worker.clock.run_for(100)
    await first
    assert len(worker.sender.arrivals) == 1
    worker.durable.lost = True
    worker.clock._now_ms += PAUSE_MS
    late = tasks.start(push())
    await worker.clock.run_for(60_000)
    late.cancel()
    assert len(worker.sender.arrivals) == 1


async def test_a_worker_that_stands_still_between_choice_and_sending_keeps_the_request() -> None:
    worker = await Played(channels_for(marketplace={"budget": None})).start()
    dispatcher = worker.dispatcher(channel_destination("demo"))
    worker.give(request_for("acknowledgement", "A", "ack"))
    while not dispatcher._tasks:  # noqa: ASYNC110 - the moment in question lies between two turns of the loop
        await asyncio.sleep(0)
    worker.durable.lost = True
    worker.clock._now_ms += PAUSE_MS
    await worker.clock.run_for(1_000)
    assert worker.sender.arrivals == []


async def test_proving_ownership_costs_no_write_while_outcomes_become_durable() -> None:
    worker = await Played(channels_for(marketplace={"budget": None})).start()
    writes = 0
    commit = worker.durable.commit

    async def counted(partition: int, effects: Any, changes: Any) -> None:
        nonlocal writes
        changes = list(changes)
        writes += any(change.table == "deliveries.permits" for change in changes)
        await commit(partition, effects, changes)

    worker.durable.commit = counted  # type: ignore[method-assign]
    for n in range(20):
        worker.give(request_for("acknowledgement", f"o{n}", f"a{n}"))
        await worker.clock.run_for(FRESH_MS // 2)
    assert len(worker.final()) == 20
    assert writes == 1


async def test_a_worker_without_a_partition_is_ready() -> None:
    worker = Played(channels_for())
    await worker.role.start(worker.durable)
    assert worker.role.ready() is None
