"""Lanes that wait on disk are sent as those in memory are: each in its order, nothing lost, nothing forgotten there."""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.delivery.lanes import lane_set as lanes
from streams.delivery.ports import Answer, Call
from streams.runtime.tables.local_store import LocalStore
from tests.fakes.delivery_dispatcher import PlayedDispatcher, fact
from tests.support.subscriptions import subscription

STATUSES = (200, 200, 200, 500, 500, 503, 400, 429)


async def _play(
    seed: int, orders: list[int], kills: list[int], when_dead: str, room: int, path: Path
) -> PlayedDispatcher:
    random = Random(seed)
    config = subscription(when_dead=when_dead, concurrency=3, retry_for_s=20, retry_max_s=8)
    store = LocalStore(path)
    dispatcher = PlayedDispatcher(config, seed=seed, store=store)

    def far(_call: Call, _before: int) -> Answer:
        status = random.choice(STATUSES)
        return Answer(status=status, headers={"Retry-After": "2"} if status in (429, 503) else {})

    dispatcher.sender.far = far
    dispatcher.sender.takes_ms = lambda _: random.choice((0, 5, 300, 2_000))
    sequences: defaultdict[int, int] = defaultdict(int)
    given_to: defaultdict[str, list[str]] = defaultdict(list)
    for number, order in enumerate(orders):
        sequences[order] += 1
        request = fact(f"o{order}", sequences[order])
        given_to[request.lane].append(request.id)
        dispatcher.give(request)
        assert sum(count > room for count in dispatcher.dispatcher._requests.lanes._counts.values()) == 0
        await dispatcher.clock.run_for(random.choice((0, 0, 0, 20, 1_500)))
        if number in kills:
            dispatcher = await dispatcher.restart(seed=seed + number)
    dispatcher.sender.far = lambda _call, _: Answer(status=200)
    await dispatcher.clock.run_for(200_000)
    _check(dispatcher, given_to, when_dead)
    assert not path.exists()
    return dispatcher


def _check(dispatcher: PlayedDispatcher, given_to: dict[str, list[str]], when_dead: str) -> None:
    assert dispatcher.crashes == []
    assert dispatcher.dispatcher._requests.lanes._reader.decoded == sum(
        len(lane._decoded) for lane in dispatcher.dispatcher._requests.lanes._lanes.values()
    )
    ids = dispatcher.sender.ids()
    left = {key.split(b"||")[1].decode() for key in dispatcher.outbox.values if b"||" in key}
    for requests in given_to.values():
        places = [requests.index(name) for name in ids if name in requests]
        assert places == sorted(places), "a lane inverted"
        if when_dead == "skip":
            assert set(requests) <= set(ids), "a request was forgotten"
    if when_dead != "block":
        assert left == set()
    assert all(lane.first is None or lane.first.held for lane in dispatcher.dispatcher._requests.lanes._lanes.values())


@given(
    seed=st.integers(0, 10_000),
    orders=st.lists(st.integers(0, 9), min_size=1, max_size=40),
    kills=st.lists(st.integers(0, 39), max_size=2, unique=True),
    when_dead=st.sampled_from(["skip", "supersede"]),
    room=st.integers(1, 3),
)
@settings(max_examples=40, deadline=None)
def test_parked_lanes_keep_their_order_and_lose_nothing(
    seed: int, orders: list[int], kills: list[int], when_dead: str, room: int
) -> None:
    with tempfile.TemporaryDirectory() as directory, patch.object(lanes, "LANES_IN_MEMORY_MAX", room):
        asyncio.run(_play(seed, orders, kills, when_dead, room, Path(directory) / "lanes"))


@given(seed=st.integers(0, 10_000), orders=st.lists(st.integers(0, 9), min_size=1, max_size=30))
@settings(max_examples=15, deadline=None)
def test_what_is_sent_is_the_same_with_and_without_room(seed: int, orders: list[int]) -> None:
    """Far sides that answer by the request alone: every lane gets the same attempts, wherever it waited."""

    def far(call: Call, _before: int) -> Answer:
        return Answer(status=200 if Random(f"{seed}{call.delivery_id}{call.attempt}").random() < 0.6 else 500)

    async def attempts(room: int, path: Path) -> dict[str, list[Any]]:
        with patch.object(lanes, "LANES_IN_MEMORY_MAX", room):
            dispatcher = PlayedDispatcher(subscription(retry_for_s=3_600), seed=seed, store=LocalStore(path))
            dispatcher.sender.far = far
            sequences: defaultdict[int, int] = defaultdict(int)
            for order in orders:
                sequences[order] += 1
                dispatcher.give(fact(f"o{order}", sequences[order]))
            await dispatcher.clock.run_for(3_600_000)
            found: defaultdict[str, list[Any]] = defaultdict(list)
            for arrival in dispatcher.sender.arrivals:
                call = arrival.call
                found[call.delivery_id.split("-")[0]].append((call.delivery_id, call.attempt, call.watermark))
            return found

    with tempfile.TemporaryDirectory() as directory:
        small = asyncio.run(attempts(1, Path(directory) / "lanes"))
        assert small == asyncio.run(attempts(1_000, Path(directory) / "lanes"))
