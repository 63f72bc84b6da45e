"""A backlog without room in memory waits on disk, and keeps nobody waiting who has a turn of his own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streams.delivery.lanes import lane_set as lanes
from streams.delivery.outbox.records import LaneHeader
from streams.delivery.ports import Answer
from streams.runtime.invariants import MODE_VARIABLE, InvariantError
from streams.runtime.tables.local_store import LocalStore
from tests.fakes.delivery import Played, channels_for, ok, request_for
from tests.fakes.delivery_dispatcher import PlayedDispatcher, fact
from tests.support.subscriptions import subscription
from topics.contract.definition import Priority
from topics.records.deliveries import LaneAction
from topics.records.keys import entry_key

CREATE = "create-outward-order"
SELLER_CANCEL = "seller-cancellation"


@pytest.fixture(autouse=True)
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "LANES_IN_MEMORY_MAX", 4)


def played(tmp_path: Path, **pace: Any) -> PlayedDispatcher:
    return PlayedDispatcher(subscription(**pace), store=LocalStore(tmp_path / "lanes"))


async def test_failing_lanes_do_not_keep_others_from_their_first_attempt(tmp_path: Path) -> None:
    dispatcher = played(tmp_path, retry_first_s=600)
    dispatcher.sender.far = lambda call, _: Answer(status=500 if call.delivery_id.startswith("bad") else 200)
    dispatcher.give(*(fact(f"bad{n}", 1) for n in range(20)))
    await dispatcher.clock.run_for(1_000)
    assert len(dispatcher.dispatcher._requests.lanes._lanes) == 4, "the others wait on disk"
    dispatcher.give(*(fact(f"good{n}", 1) for n in range(3)))
    await dispatcher.clock.run_for(100)
    assert dispatcher.sender.ids()[20:] == ["good0-1", "good1-1", "good2-1"]
    dispatcher.sender.far = ok
    await dispatcher.clock.run_for(1_000_000)
    assert len(set(dispatcher.sender.ids()[23:])) == 20
    assert len(dispatcher.dispatcher._requests.lanes) == 0


async def test_lanes_come_back_in_the_order_of_their_times(tmp_path: Path) -> None:
    dispatcher = played(tmp_path, concurrency=1)
    dispatcher.dispatcher.pause(paused=True)
    for number in range(30):
        dispatcher.give(fact(f"o{number}", 1))
        await dispatcher.clock.run_for(10)
    for number in range(30):
        dispatcher.give(fact(f"o{number}", 2))
    assert len(dispatcher.dispatcher._requests.lanes) == 30
    dispatcher.dispatcher.pause(paused=False)
    await dispatcher.clock.run_for(60_000)
    firsts = [name for name in dispatcher.sender.ids() if name.endswith("-1")]
    assert firsts == [f"o{number}-1" for number in range(30)]
    assert len(dispatcher.sender.ids()) == 60


async def test_a_steady_load_does_not_pass_what_waits_on_disk(tmp_path: Path) -> None:
    dispatcher = played(tmp_path, concurrency=1)
    dispatcher.sender.takes_ms = lambda _: 100
    dispatcher.give(*(fact(f"old{n}", 1) for n in range(20)))
    for number in range(60):
        await dispatcher.clock.run_for(100)
        dispatcher.give(fact(f"new{number}", 1))
    sent = dispatcher.sender.ids()
    assert len(sent) > 50
    assert sent == [f"old{n}-1" for n in range(20)] + [f"new{n}-1" for n in range(len(sent) - 20)]


async def test_a_request_of_a_clock_that_is_ahead_does_not_wait_for_it_on_disk(tmp_path: Path) -> None:
    dispatcher = played(tmp_path, concurrency=1)
    dispatcher.dispatcher.pause(paused=True)
    dispatcher.give(*(fact(f"o{n}", 1) for n in range(5)))
    ahead = LaneHeader().append(fact("ahead", 1), dispatcher.clock.now_ms() + 3_600_000)
    dispatcher.outbox.put(entry_key(ahead.request.lane, ahead.request.id), ahead.encode())
    dispatcher.dispatcher.enqueue(ahead)
    dispatcher.dispatcher.pause(paused=False)
    await dispatcher.clock.run_for(1_000)
    assert len(dispatcher.sender.ids()) == 6


async def test_a_cancellation_does_not_wait_on_disk_behind_creates(tmp_path: Path) -> None:
    worker = Played(channels_for(increff={"budget": {"requests": 4, "window_s": 10}}), state_dir=tmp_path)
    await worker.start()
    worker.give(*(request_for(CREATE, f"o{n}", f"o{n}") for n in range(60)))
    await worker.clock.run_for(15_000)
    sent = len(worker.sender.arrivals)
    worker.give(request_for("customer-cancellation", "X", "cancel", deadline_ms=worker.clock.now_ms() + 39_000))
    worker.give(request_for("cancel-return-order-items", "Y", "cancel-return"))
    await worker.clock.run_for(12_000)
    assert {"cancel", "cancel-return"} <= set(worker.sender.ids()[sent : sent + 4])
    await worker.clock.run_for(600_000)
    assert len(worker.final()) == 62


async def test_an_operator_finds_held_lanes_on_disk(tmp_path: Path) -> None:
    worker = Played(channels_for(), state_dir=tmp_path)
    await worker.start()
    worker.sender.far = lambda call, _: Answer(status=400 if call.touchpoint.name == SELLER_CANCEL else 200)
    cancels = [request_for(SELLER_CANCEL, f"o{n}", f"c{n}", sequence=1) for n in range(12)]
    worker.give(*cancels)
    await worker.clock.run_for(1_000)
    worker.give(*(request_for("acknowledgement", f"o{n}", f"a{n}", sequence=2) for n in range(12)))
    await worker.clock.run_for(1_000)
    assert not any(name.startswith("a") for name in worker.sender.ids())
    worker.sender.far = ok
    for number, cancel in enumerate(cancels):
        worker.decide_lane(cancel, LaneAction.RETRY if number % 2 else LaneAction.SKIP)
    await worker.clock.run_for(10_000)
    final = worker.final()
    assert [final[f"c{n}"] for n in range(12)] == ["refused", "delivered"] * 6
    assert [final[f"a{n}"] for n in range(12)] == ["delivered"] * 12


async def test_what_waited_on_disk_is_there_after_a_takeover_and_the_file_goes_with_its_lanes(tmp_path: Path) -> None:
    worker = Played(channels_for(increff={"budget": None}), state_dir=tmp_path)
    await worker.start()
    worker.sender.far = lambda _call, _: Answer(status=500)
    worker.give(*(request_for(CREATE, f"o{n}", f"o{n}", sequence=1) for n in range(20)))
    await worker.clock.run_for(100)
    worker.give(*(request_for("update-order-properties", f"o{n}", f"u{n}", sequence=2) for n in range(20)))
    assert list(tmp_path.iterdir())
    worker.sender.far = ok
    again = await worker.restart()
    await again.clock.run_for(1_000_000)
    ids = again.sender.ids()
    assert len(again.final()) == 40
    assert all(ids.index(f"u{n}") > max(i for i, name in enumerate(ids) if name == f"o{n}") for n in range(20))
    assert not list(tmp_path.iterdir())
    assert again.crashes == []


async def test_a_lane_is_in_memory_or_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dispatcher = played(tmp_path, retry_first_s=600)
    dispatcher.sender.far = lambda _call, _before: Answer(status=500)
    dispatcher.give(*(fact(f"bad{n}", 1) for n in range(6)))
    await dispatcher.clock.run_for(1_000)
    lane_set = dispatcher.dispatcher._lanes
    name = next(iter(lane_set._lanes))
    lane_set._spilled.spill(name, {"again": 2}, Priority.UPDATE, 0, 0)
    with pytest.raises(InvariantError, match="spilled_lane_returns_once"):
        lane_set.wake_due(dispatcher.clock.now_ms())
    monkeypatch.delenv(MODE_VARIABLE)
    lane_set._spilled.spill(name, {"again": 2}, Priority.UPDATE, 0, 0)
    lane_set.wake_due(dispatcher.clock.now_ms())
    assert "again" in lane_set._lanes[name].requests, "in production its requests go on waiting"
