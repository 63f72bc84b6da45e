"""Exactly which overtaking is possible in a lane: a relay passes optional notifications, if the first that waits has
kept failing for RELAY_PATIENCE_MS. Each pair is reported to the order before the relay is sent, and nothing else is."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.delivery.lanes.lane import RELAY_PATIENCE_MS
from streams.delivery.ports import Answer, Call
from tests.fakes.delivery import Played, channels_for, request_for
from topics.contract.definition import Mode, WhenDead
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import DeliveryRequest, OutcomeKind

TO_INCREFF = ("create-outward-order", "update-order-properties", "customer-cancellation")
TO_CHANNEL = ("acknowledgement", "handover-notification", "seller-cancellation", "pack-order")
OFTEN = ("handover-notification", "pack-order")
CALLS = (*TO_INCREFF, *TO_CHANNEL, *OFTEN)
RELAY_MS = 40_000
TAKES_MS = 20
SLOW_MS = 3_500
"""A failure that takes so long comes later than RELAY_PATIENCE_MS after its attempt was begun."""


def is_relay(name: str) -> bool:
    return BY_NAME[name].mode is Mode.RELAY


def takes_ms(call: Call) -> int:
    return SLOW_MS if call.touchpoint.name == "handover-notification" else TAKES_MS


async def _play(seed: int, requests: list[tuple[int, str, bool]], kills: list[int]) -> None:
    random = Random(seed)
    worker = await Played(
        channels_for(increff={"retry_for_s": 3_600}, marketplace={"retry_for_s": 3_600}), seed=seed
    ).start()
    failures: dict[str, list[int]] = defaultdict(list)
    broken = {f"r{number}" for number, (_, _, fails) in enumerate(requests) if fails}

    def far(call: Call, _before: int) -> Answer:
        if call.delivery_id in broken or random.random() < 0.1:
            failures[call.delivery_id].append(worker.clock.now_ms())
            return Answer(status=500, headers={})
        return Answer(status=200, headers={})

    worker.sender.far = far
    worker.sender.takes_ms = takes_ms
    lanes: dict[str, list[DeliveryRequest]] = defaultdict(list)
    for number, (order, name, _) in enumerate(requests):
        deadline_ms = worker.clock.now_ms() + RELAY_MS if is_relay(name) else None
        request = request_for(name, f"order-{order}", f"r{number}", deadline_ms=deadline_ms)
        lanes[request.lane].append(request)
        worker.give(request)
        await worker.clock.run_for(random.choice((0, 0, 10, 1_000, 20_000)))
        if number in kills:
            worker = await worker.restart(seed=seed + number)
    worker.sender.far = lambda _call, _: Answer(status=200, headers={})
    await worker.clock.run_for(10_000_000)
    assert worker.crashes == []
    reported = [(one.request, one.by) for one in worker.outcomes() if one.kind is OutcomeKind.OVERTAKEN]
    happened = {pair for lane in lanes.values() for pair in _overtaken(worker, lane, failures)}
    assert happened <= set(reported), "a relay passed, and nobody says so"
    if not kills:
        assert sorted(happened) == sorted(reported), "what is said happened, and is said once"


def _overtaken(worker: Played, lane: list[DeliveryRequest], failures: dict[str, list[int]]) -> set[tuple[str, str]]:
    """Each pair of a request, and a later one of its lane that was sent before its last attempt; all are allowed."""
    arrivals: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for arrival in worker.sender.arrivals:
        arrivals[arrival.call.delivery_id].append((arrival.turn, arrival.at_ms))
    found: set[tuple[str, str]] = set()
    for place, later in enumerate(lane):
        if later.id not in arrivals:
            continue
        turn, at_ms = arrivals[later.id][0]
        passed = [one for one in lane[:place] if any(again > turn for again, _ in arrivals[one.id])]
        for one in passed:
            assert is_relay(later.touchpoint), f"{later.touchpoint} passed {one.touchpoint}"
            optional = not one.relay and BY_NAME[one.touchpoint].when_dead is WhenDead.SKIP
            assert optional, f"{one.touchpoint} was passed"
            found.add((one.id, later.id))
        if passed:
            failed_ms = min(failures[passed[0].id], default=at_ms)
            assert at_ms >= failed_ms + RELAY_PATIENCE_MS, "the first of them had not kept failing"
    return found


@given(
    seed=st.integers(0, 10_000),
    requests=st.lists(st.tuples(st.integers(0, 1), st.sampled_from(CALLS), st.booleans()), min_size=2, max_size=14),
    kills=st.lists(st.integers(0, 13), max_size=2, unique=True),
)
@settings(max_examples=50, deadline=None)
def test_only_a_relay_passes_only_failing_optional_notifications_and_each_pair_is_reported(
    seed: int, requests: list[tuple[int, str, bool]], kills: list[int]
) -> None:
    asyncio.run(_play(seed, requests, kills))


def test_it_happens_in_this_play() -> None:
    """The property above is about something."""
    found: list[tuple[str, str]] = []

    async def play() -> None:
        worker = await Played(channels_for()).start()
        worker.sender.far = lambda call, _: Answer(status=500 if call.delivery_id == "ack" else 200, headers={})
        worker.give(request_for("acknowledgement", "A", "ack"))
        worker.give(request_for("pack-order", "A", "pack", deadline_ms=worker.clock.now_ms() + RELAY_MS))
        await worker.clock.run_for(20_000)
        found.extend((one.request, one.by) for one in worker.outcomes() if one.kind is OutcomeKind.OVERTAKEN)

    asyncio.run(play())
    assert found == [("ack", "pack")]
