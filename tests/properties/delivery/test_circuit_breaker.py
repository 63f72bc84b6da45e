"""Whatever a destination's ups and downs, and whenever its owner is killed: everything arrives soon after it is well,
in order; while the breaker is open one request at most is in the air for all shards of the process, and never before
its time. The whole role is played."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from streams.delivery.admission.circuit_breaker import BreakerState
from streams.delivery.ports import Answer, Call
from tests.fakes.delivery import Played, channels_for, request_for
from topics.records.keys import INCREFF

SHARDS = 3


async def _play(seed: int, spells: list[tuple[bool, int]], kills: list[int]) -> None:
    random = Random(seed)
    worker = await Played(channels_for(increff={"budget": None, "shards": SHARDS, "concurrency": 4}), seed=seed).start()
    probing: set[str] = set()

    def takes_ms(call: Call) -> int:
        """Looks when a request is sent."""
        state = worker.breakers[INCREFF].state
        assert state is not BreakerState.OPEN, "sent before its time"
        if state is BreakerState.PROBING:
            assert not probing, "two found out at once"
            probing.add(call.delivery_id)
        return random.choice((0, 5, 200, 3_000))

    def up(call: Call, _before: int) -> Answer:
        probing.discard(call.delivery_id)
        return Answer(status=500 if random.random() < 0.1 else 200)

    def down(call: Call, _before: int) -> Answer:
        probing.discard(call.delivery_id)
        return random.choice((Answer(status=None, error="reset"), Answer(status=503), Answer(status=500)))

    worker.sender.takes_ms = takes_ms
    sent: dict[str, list[str]] = defaultdict(list)
    for number, (is_up, seconds) in enumerate(spells):
        worker.sender.far = up if is_up else down
        for n in range(random.randrange(12)):
            lane = random.randrange(12)
            request = replace(request_for("update-order-properties", f"o{lane}", f"r{number}-{n}"), shard=lane % SHARDS)
            worker.give(request)
            sent[request.lane].append(request.id)
        await worker.clock.run_for(seconds * 1_000)
        if number in kills:
            probing.clear()
            worker = await worker.restart(seed=seed + number)
            worker.sender.takes_ms = takes_ms
    worker.sender.far = lambda call, before: (up(call, before), Answer(status=200))[1]
    # The longest pause of a request's retries, with its jitter, and of the breaker.
    await worker.clock.run_for(400_000)
    assert worker.crashes == []
    assert worker.breakers[INCREFF].state is BreakerState.CLOSED
    for ids in sent.values():
        assert [worker.final()[name] for name in ids] == ["delivered"] * len(ids)
        assert [name for name in dict.fromkeys(worker.sender.ids()) if name in ids] == ids


@given(
    seed=st.integers(0, 10_000),
    spells=st.lists(st.tuples(st.booleans(), st.integers(0, 90)), min_size=1, max_size=8),
    kills=st.lists(st.integers(0, 7), max_size=2, unique=True),
)
@settings(max_examples=25, deadline=None)
def test_everything_arrives_after_any_ups_and_downs(
    seed: int, spells: list[tuple[bool, int]], kills: list[int]
) -> None:
    asyncio.run(_play(seed, spells, kills))
