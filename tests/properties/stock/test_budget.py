"""A stock budget is never overspent, whatever is killed and wherever: its permits are durable before they are used.

Locations with more to say than the budget allows, answers that take their time, kills at random moments: in no window
does the channel see more calls than the budget says, of the channel as of a location; and stock moves all the same.
"""

from __future__ import annotations

import asyncio
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.stock_sending import StockWorker, stock_channels, told_by

WINDOW_MS = 10_000
CHANNEL, LOCATION = 5, 2


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 32), st.lists(st.integers(1, 8_000), max_size=6), st.sampled_from((1, 500, 4_000)))
def test_no_window_has_more_calls_than_the_budgets_say(seed: int, lives_ms: list[int], takes_ms: int) -> None:
    asyncio.run(played(Random(seed), lives_ms, takes_ms))


async def played(random: Random, lives_ms: list[int], takes_ms: int) -> None:
    stock = {
        "batch_max": 1,
        "gather_ms": 0,
        "budget": {"requests": CHANNEL, "window_s": WINDOW_MS / 1000},
        "locations": {"L1": {"budget": {"requests": LOCATION, "window_s": WINDOW_MS / 1000}}},
    }
    worker = StockWorker(stock_channels(stock))
    worker.sender.takes_ms = lambda _call: random.randint(1, takes_ms)
    worker.positions = {("demo", f"L{place}", f"s{number}"): 1 for place in (1, 2, 3) for number in range(40)}
    await worker.start()
    for life_ms in lives_ms:
        await worker.clock.run_for(life_ms)
        worker = await worker.restart()
    await worker.clock.run_for(3 * WINDOW_MS)
    calls = [(arrival.at_ms, told_by(arrival)[0]) for arrival in worker.sender.arrivals]
    within([at_ms for at_ms, _ in calls], CHANNEL)
    within([at_ms for at_ms, location in calls if location == "L1"], LOCATION)
    assert len(calls) >= CHANNEL
    await worker.played.kill()


def within(times: list[int], limit: int) -> None:
    assert all(later - earlier >= WINDOW_MS for earlier, later in zip(times, times[limit:], strict=False))
