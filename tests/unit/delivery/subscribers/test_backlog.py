"""What does not keep up is told: of how many orders something waits, since when, and which facts block theirs, by the
ids that an operator decides with; and that it is over. Who keeps up writes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from streams.delivery.lanes import lane_set as lanes
from streams.delivery.ports import Answer
from streams.delivery.subscribers import backlog
from streams.delivery.subscribers.backlog import LATE_MS, REPEAT_EVERY_MS, REPORT_EVERY_MS
from tests.fakes.delivery import START_MS, Played, channels_for, ok
from tests.support.subscriptions import A, fact_request, index, subscription
from topics.records.deliveries import LaneAction
from topics.records.keys import return_key
from topics.subscriptions.index import backlog_key, health_key
from topics.subscriptions.model import Backlog, Subscription

BLOCKING = subscription(when_dead="block", retry_for_s=60)
NOT_AT_ONCE_MS = LATE_MS + REPORT_EVERY_MS


async def started(one: Subscription, tmp_path: Path) -> Played:
    return await Played(channels_for(), subscriptions=index(one), state_dir=tmp_path).start()


def written(worker: Played) -> list[Backlog]:
    key = backlog_key(A, 0)
    return [Backlog.model_validate_json(effect.value) for effect in worker.durable.effects if effect.key == key]


def followed(worker: Played) -> Backlog:
    """As a gateway knows it."""
    for effect in worker.durable.effects:
        if effect.topic == "subscriptions.status":
            worker.subscriptions.apply_status(effect.key, effect.value)
    return worker.subscriptions.backlog(A).get(0, Backlog())


async def test_who_keeps_up_writes_nothing(tmp_path: Path) -> None:
    worker = await started(subscription(), tmp_path)
    for number in range(100):
        worker.give(fact_request("O-1", number + 1))
        await worker.clock.run_for(REPORT_EVERY_MS // 10)
    assert len(worker.sender.arrivals) == 100
    assert written(worker) == []


async def test_what_waits_again_a_moment_after_all_had_left_is_told(tmp_path: Path) -> None:
    worker = await started(subscription(), tmp_path)
    worker.give(fact_request("O-1", 1))
    await worker.clock.run_for(100)
    assert len(worker.sender.arrivals) == 1
    worker.subscriptions.apply(A.encode(), subscription(revision=2, enabled=False).encode())
    worker.give(fact_request("O-1", 2))
    await worker.clock.run_for(NOT_AT_ONCE_MS)
    assert followed(worker).orders == 1


async def test_what_waits_is_told_with_its_oldest_and_that_it_is_over(tmp_path: Path) -> None:
    worker = await started(subscription(), tmp_path)
    worker.sender.far = lambda _call, _before: Answer(status=503)
    worker.give(*(fact_request(f"O-{n}", sequence) for n in range(7) for sequence in (1, 2)))
    await worker.clock.run_for(NOT_AT_ONCE_MS)
    (told,) = written(worker)
    assert (told.orders, told.oldest_ms, told.blocked) == (7, START_MS, 0)
    await worker.clock.run_for(2 * REPEAT_EVERY_MS)
    times = [one.at_ms for one in written(worker)]
    assert len(times) == 3, "its time says that somebody still looks"
    worker.sender.far = ok
    await worker.clock.run_for(600_000)
    assert followed(worker).is_empty
    assert written(worker)[-1].is_empty
    number = len(written(worker))
    await worker.clock.run_for(600_000)
    assert len(written(worker)) == number


@pytest.mark.parametrize("room", [1, 10_000])
async def test_blocked_ones_are_told_by_the_ids_that_decide_about_them(
    room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In memory or on disk."""
    monkeypatch.setattr(lanes, "LANES_IN_MEMORY_MAX", room)
    monkeypatch.setattr(backlog, "BLOCKED_LISTED_MAX", 3)
    worker = await started(BLOCKING, tmp_path)
    worker.sender.far = lambda call, _: Answer(status=413 if call.sequence == 1 else 200)
    of_return = replace(fact_request("R-1", 1), entity=return_key("demo", "R-1").decode())
    worker.give(*(fact_request(f"O-{n}", 1) for n in range(4)), of_return, fact_request("O-0", 2))
    await worker.clock.run_for(NOT_AT_ONCE_MS)
    told = followed(worker)
    assert (told.orders, told.blocked, len(told.blocked_facts)) == (5, 5, 3)
    assert {one.error for one in told.blocked_facts} == {"status 413"}
    every = {fact_request(f"O-{n}", 1).id: ("order", f"O-{n}") for n in range(4)}
    every[of_return.id] = ("return", "R-1")
    for one in told.blocked_facts:
        assert every[one.delivery] == (one.kind, one.code)
        assert one.channel == "demo"
    for number in range(4):
        worker.decide_lane(fact_request(f"O-{number}", 1), LaneAction.SKIP)
    worker.sender.far = ok
    await worker.clock.run_for(NOT_AT_ONCE_MS)
    told = followed(worker)
    assert (told.orders, [one.code for one in told.blocked_facts]) == (1, ["R-1"])
    worker.decide_lane(of_return, LaneAction.RETRY)
    await worker.clock.run_for(NOT_AT_ONCE_MS)
    assert followed(worker).is_empty
    assert fact_request("O-0", 2).id in worker.sender.ids()


async def test_a_new_owner_tells_what_is_so_now(tmp_path: Path) -> None:
    """A worker that died before it told that all is well, or after somebody else told otherwise."""
    worker = await started(BLOCKING, tmp_path)
    worker.sender.far = lambda _call, _before: Answer(status=413)
    worker.give(fact_request("O-1", 1))
    await worker.clock.run_for(NOT_AT_ONCE_MS)
    assert followed(worker).blocked == 1
    again = await worker.restart()
    await again.clock.run_for(NOT_AT_ONCE_MS)
    assert followed(again).blocked == 1
    again.decide_lane(fact_request("O-1", 1), LaneAction.SKIP)
    await again.clock.settle()
    third = await again.restart()
    await third.clock.run_for(NOT_AT_ONCE_MS)
    assert followed(third).is_empty
    assert third.crashes == []


async def test_a_disabled_one_tells_what_waits(tmp_path: Path) -> None:
    worker = await started(subscription(enabled=False), tmp_path)
    worker.give(fact_request("O-1", 1))
    await worker.clock.run_for(NOT_AT_ONCE_MS)
    assert followed(worker).orders == 1


def test_what_is_known_of_a_shard_is_kept_apart_and_leaves_with_its_subscription() -> None:
    known = index(subscription())
    known.apply_status(backlog_key(A, 2), Backlog(orders=1).encode())
    known.apply_status(health_key(A, 2), b'{"revision": 3}')
    assert known.health(A)[2].revision == 3
    assert known.with_backlog() == [(A, 2)]
    known.apply(A.encode(), b'{"id": "%s", "deleted_ms": 1}' % A.encode())
    assert known.with_backlog() == []
