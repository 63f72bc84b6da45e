"""Redrive leaves live traffic its budget and its places: its p99 moves by less than a tenth, and redrive still ends."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from streams.delivery.admission.background_share import HEADROOM, PLACES_SHARE
from streams.delivery.lanes.ready_queue import AGEING_MS, AGEING_TURN, BACKGROUND_TURN, PriorityQueue
from tests.fakes.delivery import START_MS, Played, channels_for, request_for
from topics.contract.definition import Priority
from topics.records.deliveries import DeliveryRequest, decode_request

CREATE, UPDATE = "create-outward-order", "update-order-properties"


def taken(queue: PriorityQueue[str], now_ms: int, *, background: bool = True) -> str | None:
    """Whose turn it is, taken."""
    first = queue.peek(now_ms, lambda _: True, background=background)
    return None if first is None else queue.pop_peeked()


def redriven(code: str, request_id: str, name: str = CREATE) -> DeliveryRequest:
    request = request_for(name, code, request_id)
    return replace(request, redriven=True)


def test_it_survives_its_record() -> None:
    request = redriven("A", "A.0")
    assert decode_request(request.encode()) == request


def test_with_others_waiting_it_has_one_grant_in_twenty_and_alone_it_has_all() -> None:
    queue: PriorityQueue[str] = PriorityQueue()
    for n in range(100):
        queue.push("redriven", Priority.BACKGROUND, due_ms=0)
        queue.push("live", Priority.STOCK, due_ms=1_000 + n)
    late_ms = 10 * AGEING_MS
    order = [taken(queue, late_ms) for _ in range(200)]
    assert order[:100].count("redriven") == 100 // BACKGROUND_TURN
    assert order[-90:] == ["redriven"] * 90


def test_when_it_may_not_go_others_do() -> None:
    queue: PriorityQueue[str] = PriorityQueue()
    queue.push("redriven", Priority.BACKGROUND, due_ms=0)
    assert taken(queue, 1, background=False) is None
    queue.push("live", Priority.STOCK, due_ms=0)
    assert taken(queue, 1, background=False) == "live"
    assert taken(queue, 1) == "redriven"


@pytest.mark.parametrize("behind", [p for p in Priority if p not in (Priority.CANCEL, Priority.BACKGROUND)])
def test_no_class_starves_behind_a_flood_of_the_highest(behind: Priority) -> None:
    """Whatever is due goes after AGEING_TURN grants for each of those that were due before it; search, too."""
    queue: PriorityQueue[str] = PriorityQueue()
    queue.push("it", behind, due_ms=0)
    grants = 0
    for now_ms in range(AGEING_MS, AGEING_MS + 1_000):
        queue.push("flood", Priority.CANCEL, due_ms=now_ms)
        grants += 1
        if taken(queue, now_ms) == "it":
            break
    assert grants <= AGEING_TURN


async def _played(increff: dict[str, Any], backlog: int, live_every_ms: int, live: int) -> tuple[list[int], Played]:
    """How long each live request waited for its answer, with a redrive of `backlog` going on."""
    worker = await Played(channels_for(increff=increff)).start()
    worker.sender.takes_ms = lambda _: 100
    worker.give(*(redriven(f"old-{n}", f"old-{n}") for n in range(backlog)))
    await worker.clock.run_for(1_000)
    begun: dict[str, int] = {}
    for n in range(live):
        begun[f"live-{n}"] = worker.clock.now_ms()
        worker.give(request_for(UPDATE, f"live-{n}", f"live-{n}"))
        await worker.clock.run_for(live_every_ms)
    await worker.clock.run_for(120_000)
    arrived = {a.call.delivery_id: a.at_ms for a in worker.sender.arrivals}
    return sorted(arrived[name] + 100 - at_ms for name, at_ms in begun.items()), worker


CASES: dict[str, tuple[dict[str, Any], int]] = {
    # settings, live requests every so many ms
    "a budget of which live traffic takes a third": ({"budget": {"requests": 200, "window_s": 20}}, 300),
    "a bucket of which live traffic takes half": (
        {"budget": {"shape": "token-bucket", "rate_per_s": 10, "burst": 20}},
        200,
    ),
    "few places, no budget": ({"budget": None, "concurrency": 8}, 20),
}


@pytest.mark.parametrize("name", CASES)
async def test_live_p99_moves_by_less_than_a_tenth(name: str) -> None:
    increff, every_ms = CASES[name]
    without, _ = await _played(increff, 0, every_ms, 300)
    beside, worker = await _played(increff, 400, every_ms, 300)
    assert beside[297] < 1.1 * without[297]
    done = sum(kind == "delivered" for request, kind in worker.final().items() if request.startswith("old-"))
    assert done > 100, "redrive goes on beside it"


async def test_alone_it_leaves_room_for_whoever_comes() -> None:
    worker = await Played(channels_for(increff={"budget": {"requests": 100, "window_s": 60}})).start()
    worker.sender.takes_ms = lambda _: 100
    worker.give(*(redriven(f"old-{n}", f"old-{n}") for n in range(300)))
    await worker.clock.run_for(30_000)
    taken = len(worker.sender.arrivals)
    assert (1 - HEADROOM) * 100 - 6 <= taken <= (1 - HEADROOM) * 100 + 5
    worker.give(*(request_for(UPDATE, f"live-{n}", f"live-{n}") for n in range(40)))
    await worker.clock.run_for(1_000)
    assert sum(kind == "delivered" for name, kind in worker.final().items() if name.startswith("live-")) == 40
    await worker.clock.run_for(600_000)
    assert len(worker.final()) == 340


async def test_it_takes_few_of_the_places() -> None:
    worker = await Played(channels_for(increff={"budget": None, "concurrency": 32})).start()
    worker.sender.takes_ms = lambda _: 100
    worker.give(*(redriven(f"old-{n}", f"old-{n}") for n in range(100)))
    await worker.clock.run_for(10_000)
    assert worker.sender.in_air_max == 32 // PLACES_SHARE
    assert len(worker.final()) == 100


async def test_what_waits_behind_it_in_its_lane_makes_it_live() -> None:
    """Its lane keeps its order, so whoever is behind it would wait for redrive's share."""
    worker = await Played(channels_for(increff={"budget": {"requests": 4, "window_s": 10}})).start()
    worker.give(*(request_for(UPDATE, f"live-{n}", f"live-{n}") for n in range(40)))
    worker.give(redriven("A", "A.0"))
    await worker.clock.run_for(1_000)
    worker.give(request_for(UPDATE, "A", "A.1"))
    await worker.clock.run_for(11_000)
    assert "A.0" in worker.sender.ids()
    assert worker.sender.arrivals[0].at_ms == START_MS
