"""Lanes never invert, whatever far sides answer and whenever the worker is killed; every request has one final outcome;
the far side's budget holds. The whole role is played, with a clock that moves only when told."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from itertools import pairwise
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.delivery.attempts.retry_schedule import JITTER, RetrySchedule
from streams.delivery.ports import Answer, Call
from tests.fakes.delivery import Arrival, Played, channels_for, request_for
from tests.support.receivers import over
from topics.contract.definition import WhenDead
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import DeliveryRequest
from topics.records.keys import INCREFF

TO_INCREFF = ("create-outward-order", "update-order-properties", "create-return-order", "update-returns")
TO_CHANNEL = ("acknowledgement", "handover-notification", "seller-cancellation", "return-order-acknowledgement")
STATUSES = (200, 200, 200, 200, 500, 503, 429, 400, None)
BUDGETS: tuple[Any, ...] = (
    {"requests": 12, "window_s": 10},
    [{"requests": 3, "window_s": 1}, {"requests": 12, "window_s": 10}],
    {"shape": "token-bucket", "rate_per_s": 1, "burst": 4},
    [
        {"shape": "cost-bucket", "capacity": 20, "restore_per_s": 2, "cost": 2, "costs": {"create-outward-order": 9}},
        {"shape": "fixed-window", "requests": 12, "window_s": 10, "aligned": "clock"},
    ],
)


async def _play(seed: int, budget: Any, requests: list[tuple[int, str]], kills: list[int]) -> None:
    random = Random(seed)
    channels = channels_for(
        increff={"budget": budget, "retry_for_s": 30, "concurrency": 4},
        marketplace={"retry_for_s": 30},
    )
    worker = await Played(channels, seed=seed).start()

    def far(_call: Call, _before: int) -> Answer:
        status = random.choice(STATUSES)
        headers = {"Retry-After": str(random.randint(1, 4))} if status in (429, 503) else {}
        return Answer(status=status, headers=headers, error="" if status else "reset")

    worker.sender.far = far
    worker.sender.takes_ms = lambda _: random.choice((0, 5, 200, 3_000))
    given_to: dict[str, list[DeliveryRequest]] = defaultdict(list)
    for number, (order, name) in enumerate(requests):
        request = request_for(name, f"order-{order}", f"r{number}")
        given_to[request.lane].append(request)
        worker.give(request)
        await worker.clock.run_for(random.choice((0, 0, 10, 1_000)))
        if number in kills:
            worker = await worker.restart(seed=seed + number)
    worker.sender.far = lambda _call, _: Answer(status=200, headers={})
    await worker.clock.run_for(1_000_000)
    _check(worker, given_to)


def _check(worker: Played, given_to: dict[str, list[DeliveryRequest]]) -> None:
    assert worker.crashes == []
    final = worker.final()
    order_of_first = list(dict.fromkeys(worker.sender.ids()))
    for requests in given_to.values():
        ids = [request.id for request in requests]
        arrived = [name for name in order_of_first if name in ids]
        assert arrived == ids[: len(arrived)], "a lane inverted"
        _check_no_late_repeat(worker.sender.ids(), ids)
        _check_one_at_a_time([arrival for arrival in worker.sender.arrivals if arrival.call.delivery_id in ids])
        ended = [final.get(name) for name in ids]
        held = [
            n
            for n, request in enumerate(requests)
            if ended[n] == "dead" and BY_NAME[request.touchpoint].when_dead is WhenDead.HOLD
        ]
        reached = ended[: held[0] + 1] if held else ended
        assert None not in reached, "a request was forgotten"
        assert ended[len(reached) :] == [None] * (len(ended) - len(reached)), "something passed a held lane"
    arrivals = [
        (float(a.at_ms), a.call.touchpoint.name) for a in worker.sender.arrivals if a.call.destination == INCREFF
    ]
    for limit in worker.channels.increff.limits:
        assert over(limit, arrivals, phase_ms=0) <= 1e-3, limit


def _check_no_late_repeat(arrivals: list[str], lane: list[str]) -> None:
    """No attempt of a request after the first attempt of a later one of its lane."""
    order = [lane.index(name) for name in arrivals if name in lane]
    assert order == sorted(order), f"a repeat came after its successor: {order}"


def _check_one_at_a_time(lane: list[Arrival]) -> None:
    for earlier, later in pairwise(lane):
        assert earlier.ended_turn is not None
        assert earlier.ended_turn < later.turn, "two requests of a lane were in the air at once"


@given(
    seed=st.integers(0, 10_000),
    budget=st.sampled_from(BUDGETS),
    requests=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(TO_INCREFF + TO_CHANNEL)), min_size=1, max_size=25),
    kills=st.lists(st.integers(0, 24), max_size=3, unique=True),
)
@settings(max_examples=40, deadline=None)
def test_lanes_keep_their_order_through_everything(
    seed: int, budget: Any, requests: list[tuple[int, str]], kills: list[int]
) -> None:
    asyncio.run(_play(seed, budget, requests, kills))


@given(
    first_ms=st.floats(1, 10_000),
    factor=st.floats(1, 1_000),
    failures=st.integers(0, 10_000),
    seed=st.integers(0, 1_000),
    floor=st.none() | st.integers(0, 10_000_000),
)
def test_a_retry_is_within_the_jitter_and_never_before_the_floor(
    first_ms: float, factor: float, failures: int, seed: int, floor: int | None
) -> None:
    schedule = RetrySchedule(first_ms, first_ms * factor, 1e9)
    moment = schedule.next_ms(failures, 1_000, Random(seed), floor)
    pause = min(first_ms * factor, first_ms * 2.0 ** min(max(failures - 1, 0), 60))
    assert moment > 1_000
    assert moment >= (floor or 0)
    if floor is None or floor <= 1_000:
        assert (1 - JITTER) * pause - 1 <= moment - 1_000 <= (1 + JITTER) * pause + 1
