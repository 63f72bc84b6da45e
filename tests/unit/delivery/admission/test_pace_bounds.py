"""Whatever a destination's settings may be, a worker runs with them; and one that cannot serve a subscriber serves the
others."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import REGISTRY
from pydantic import ValidationError

from streams.delivery.admission.permits import PermitRecord, permits_key, permits_left
from streams.delivery.dispatch import dispatcher_factory
from streams.delivery.ports import Answer
from streams.runtime.role import Table
from tests.fakes.delivery import Played, channels_for, ok
from tests.support.subscriptions import A, B, fact_request, index, subscription
from topics.configuration.budgets import RATE_MAX, RATE_MIN, UNITS_MAX, WINDOW_S_MAX, WINDOW_S_MIN
from topics.configuration.pace import CONCURRENCY_MAX, PROBE_S_MAX, RETRY_S_MAX, SHARDS_MAX, Pace
from topics.records.keys import order_key, shard_of, subscription_destination

CLOCK = {"shape": "fixed-window", "requests": 5, "aligned": "clock"}
BUCKET = {"shape": "token-bucket", "burst": 5}
POINTS = {"shape": "cost-bucket", "cost": 1}
DAY = {"shape": "quota", "per": "day", "aligned": "clock"}

BEYOND: dict[str, dict[str, Any]] = {
    "a window that rounds to nothing": {"budget": {**CLOCK, "window_s": 0.0004, "clock_error_s": 0.0001}},
    "a window past all time": {"budget": {"requests": 5, "window_s": 1e306}},
    "a window without end": {"budget": {"requests": 5, "window_s": float("inf")}},
    "a window that is no number": {"budget": {"requests": 5, "window_s": float("nan")}},
    "more requests than a record can say": {"budget": {"requests": 9 * 10**18, "window_s": 1}},
    "a quota of as many": {"budget": {**DAY, "requests": UNITS_MAX + 1}},
    "a burst of as many": {"budget": {**BUCKET, "burst": 10**25, "rate_per_s": 1}},
    "as many points": {"budget": {**POINTS, "capacity": 10**25, "restore_per_s": 1}},
    "tokens that never come back": {"budget": {**BUCKET, "rate_per_s": 1e-306}},
    "points that never come back": {"budget": {**POINTS, "capacity": 5, "restore_per_s": 1e-306}},
    "an offset past all time": {"budget": {**CLOCK, "window_s": 60, "offset_s": 1e308}},
    "a quota's offset past all time": {"budget": {**DAY, "requests": 5, "offset_s": 1e308}},
    "clocks that have nothing to do with each other": {"budget": {**CLOCK, "window_s": 60, "clock_error_s": 1e308}},
    "a first pause past all time": {"retry_first_s": 1e308, "retry_max_s": 1e308},
    "a longest pause past all time": {"retry_max_s": float("inf")},
    "tries past all time": {"retry_for_s": 1e308},
    "a pause past all time": {"retry_pauses_s": [1e306]},
    "a probe past all time": {"probe_max_s": 1e308},
    "more shards than anybody has workers": {"shards": SHARDS_MAX + 1},
    "more connections than a process can open": {"concurrency": CONCURRENCY_MAX + 1},
}
WITHIN: dict[str, dict[str, Any]] = {
    "the shortest window of the clock": {
        "budget": {**CLOCK, "window_s": WINDOW_S_MIN, "clock_error_s": WINDOW_S_MIN / 4}
    },
    "the longest window of the clock": {
        "budget": {**CLOCK, "window_s": WINDOW_S_MAX, "offset_s": WINDOW_S_MAX, "clock_error_s": WINDOW_S_MAX / 4}
    },
    "the shortest window": {"budget": {"requests": 1, "window_s": WINDOW_S_MIN}},
    "the largest window": {"budget": {"requests": UNITS_MAX, "window_s": WINDOW_S_MAX}},
    "the largest quota": {"budget": {**DAY, "requests": UNITS_MAX, "offset_s": WINDOW_S_MAX}},
    "the slowest large bucket": {"budget": {**BUCKET, "burst": UNITS_MAX, "rate_per_s": RATE_MIN}},
    "the quickest small bucket": {"budget": {**BUCKET, "burst": 1, "rate_per_s": RATE_MAX}},
    "the dearest call": {"budget": {**POINTS, "capacity": UNITS_MAX, "cost": UNITS_MAX, "restore_per_s": RATE_MIN}},
    "the longest pauses": {"retry_pauses_s": [RETRY_S_MAX] * 100, "retry_for_s": RETRY_S_MAX},
    "the longest first pause": {"retry_first_s": RETRY_S_MAX, "retry_max_s": RETRY_S_MAX, "probe_max_s": PROBE_S_MAX},
    "the shortest pauses": {"retry_first_s": 1e-300, "retry_max_s": 1e-300, "retry_for_s": 0.1, "probe_max_s": 1e-300},
    "all shards": {"shards": SHARDS_MAX, "concurrency": CONCURRENCY_MAX},
}


def without_runner() -> float | None:
    return REGISTRY.get_sample_value("sluice_delivery_subscriptions_without_runner")


@pytest.mark.parametrize("pace", BEYOND.values(), ids=BEYOND)
def test_what_no_worker_could_run_with_is_refused_where_it_is_written(pace: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Pace.model_validate(pace)


@pytest.mark.parametrize("pace", WITHIN.values(), ids=WITHIN)
async def test_a_worker_runs_with_whatever_is_taken(pace: dict[str, Any]) -> None:
    config = subscription(**pace)
    worker = await Played(channels_for(), subscriptions=index(config)).start()
    worker.sender.far = lambda _call, before: Answer(status=500 if before < 2 else 200)
    codes = [f"O-{number}" for number in range(20)]
    worker.give(*(fact_request(code, 1, shard=shard_of(order_key("demo", code), config.shards)) for code in codes))
    await worker.clock.run_for(3_000)
    worker = await worker.restart()
    await worker.clock.run_for(3_000)
    assert worker.crashes == []
    assert worker.sender.arrivals
    assert without_runner() == 0


async def test_a_subscription_that_no_runner_can_be_made_for_costs_itself_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = await Played(channels_for(), subscriptions=index(subscription(), subscription(B))).start()
    destination = subscription_destination(A)

    def fails_for_one(permits: Table, key: bytes, partition: int, now_ms: int) -> PermitRecord | None:
        if key == permits_key(destination, 0):
            raise RuntimeError("no runner can be made")
        return permits_left(permits, key, partition, now_ms)

    monkeypatch.setattr(dispatcher_factory, "permits_left", fails_for_one)
    held, passed = fact_request("O-1", 1), fact_request("O-1", 1, B)
    worker.give(held, fact_request("O-2", 1), passed)
    await worker.clock.run_for(1_000)
    assert (worker.sender.ids(), worker.crashes, without_runner()) == ([passed.id], [], 1)
    worker = await worker.restart()
    await worker.clock.run_for(1_000)
    assert (worker.sender.ids(), worker.crashes, without_runner()) == ([passed.id], [], 1)
    monkeypatch.undo()
    worker.sender.far = ok
    changed = subscription(revision=2)
    worker.subscriptions.apply(A.encode(), changed.encode())
    await worker.clock.run_for(1_000)
    assert held.id in worker.sender.ids(), "what waited goes when its subscription can be served"
    assert without_runner() == 0
