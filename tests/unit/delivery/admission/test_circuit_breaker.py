"""A destination that is down is asked by one request at a time, and all go on when it is well; nobody's retries are
used up meanwhile, lanes keep their order, and one order's trouble is nobody else's."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from prometheus_client import REGISTRY

from streams.delivery.admission.circuit_breaker import (
    FAILED_MIN,
    JITTER,
    PAUSE_FIRST_MS,
    PROBE_MAX_MS,
    SAMPLE_PER_PLACE,
    BreakerState,
    CircuitBreaker,
    is_failure,
)
from streams.delivery.ports import Answer, AttemptResult, Call, ResponseClass
from tests.fakes.delivery import START_MS, Played, channels_for, ok, request_for
from tests.fakes.delivery_dispatcher import PlayedDispatcher, fact
from tests.support.subscriptions import subscription
from topics.records.keys import INCREFF

CREATE, UPDATE = "create-outward-order", "update-order-properties"
NOW_MS = START_MS
PAUSE_MAX_MS = 8_000


def result(status: int | None, not_before_ms: int | None = None) -> AttemptResult:
    kind = ResponseClass.DELIVERED if status == 200 else ResponseClass.RETRY
    return AttemptResult(kind=kind, at_ms=0, took_ms=1, status=status, not_before_ms=not_before_ms)


FAILURES: dict[str, tuple[AttemptResult, bool]] = {
    "success": (result(200), False),
    "no answer": (result(None), True),
    "500": (result(500), True),
    "503": (result(503), True),
    "wrong credentials": (result(401), False),
    "429": (AttemptResult(kind=ResponseClass.THROTTLED, at_ms=0, took_ms=1, status=429), False),
    "a refusal": (AttemptResult(kind=ResponseClass.REFUSED, at_ms=0, took_ms=1, status=400), False),
    "not sendable": (AttemptResult(kind=ResponseClass.REFUSED, at_ms=0, took_ms=0, error="a line break"), False),
}


@pytest.mark.parametrize("name", FAILURES)
def test_what_is_the_endpoints_own_failure(name: str) -> None:
    attempt, failed = FAILURES[name]
    assert is_failure(attempt) is failed


class Asked:
    """A breaker and a moment."""

    def __init__(self) -> None:
        self.breaker = CircuitBreaker(Random(1))
        self.now_ms = NOW_MS

    def state(self) -> BreakerState:
        return self.breaker.state

    def ends(self, lane: str, status: int | None, *, probe: bool = False, not_before_ms: int | None = None) -> None:
        ended = result(status, not_before_ms)
        self.breaker.on_answered(ended, lane, probe=probe, now_ms=self.now_ms, pause_max_ms=PAUSE_MAX_MS)

    def open(self) -> None:
        for n in range(FAILED_MIN):
            self.ends(f"lane-{n}", None)
        assert self.state() is BreakerState.OPEN

    def probe(self, status: int | None, not_before_ms: int | None = None) -> int:
        """The pause before it, and what it found out."""
        pause_ms = self.breaker.opens_ms - self.now_ms
        self.now_ms = self.breaker.opens_ms
        assert self.breaker.on_admitted(self.now_ms)
        self.ends("lane-0", status, probe=True, not_before_ms=not_before_ms)
        return pause_ms


def test_it_opens_on_a_share_of_the_lanes_and_not_on_one_that_always_fails() -> None:
    asked = Asked()
    for _ in range(1_000):
        asked.ends("poisoned", 500)
    assert asked.state() is BreakerState.CLOSED
    for n in range(FAILED_MIN - 1):
        asked.ends(f"well-{n}", 200)
        asked.ends(f"lane-{n}", 500)
    assert asked.state() is BreakerState.OPEN


def test_a_lane_that_was_served_since_does_not_count_as_failing() -> None:
    asked = Asked()
    for n in range(100):
        asked.ends(f"lane-{n % 10}", 500)
        asked.ends(f"lane-{n % 10}", 200)
    assert asked.state() is BreakerState.CLOSED


def test_old_failures_do_not_count() -> None:
    asked = Asked()
    for n in range(FAILED_MIN * 3):
        asked.ends(f"lane-{n}", 500)
        asked.now_ms += 20_000
    assert asked.state() is BreakerState.CLOSED


def test_what_hangs_when_the_far_side_asks_for_quiet_is_not_all_there_is() -> None:
    """Nothing new goes then, and nearly every place may be held by a request that ends by its time-out."""
    places, told = 64, lambda: None
    for known, state in ((places, BreakerState.CLOSED), (0, BreakerState.OPEN)):
        asked = Asked()
        asked.breaker.listen(told, known)
        for n in range(1_000):
            asked.ends(f"served-{n}", 200)
        for n in range(places):
            asked.ends(f"hangs-{n}", None)
        assert asked.state() is state
    asked = Asked()
    asked.breaker.listen(told, places)
    for n in range(1_000):
        asked.ends(f"served-{n}", 200)
    for n in range(SAMPLE_PER_PLACE * places):
        asked.ends(f"down-{n}", None)
    assert asked.state() is BreakerState.OPEN, "when it really is down it opens"


def test_pauses_grow_with_jitter_up_to_the_longest() -> None:
    asked = Asked()
    asked.open()
    pauses = [asked.probe(None) for _ in range(6)]
    for pause, planned in zip(pauses, (1, 2, 4, 8, 8, 8), strict=True):
        assert (1 - JITTER) * planned * PAUSE_FIRST_MS - 1 <= pause <= (1 + JITTER) * planned * PAUSE_FIRST_MS + 1
    assert len(set(pauses[3:])) == 3


def test_a_success_closes_it_and_flapping_goes_on_from_the_last_pause() -> None:
    asked = Asked()
    asked.open()
    asked.probe(None)
    asked.probe(200)
    assert asked.state() is BreakerState.CLOSED
    assert asked.breaker.opens_ms == 0
    asked.open()
    assert asked.breaker.opens_ms - asked.now_ms > 3_000
    asked.probe(200)
    asked.now_ms += 3_600_000
    asked.open()
    assert asked.breaker.opens_ms - asked.now_ms < 1_500


def test_one_request_finds_out_while_others_wait() -> None:
    asked = Asked()
    asked.open()
    asked.now_ms = asked.breaker.opens_ms
    assert asked.breaker.on_admitted(asked.now_ms)
    assert asked.breaker.opens_ms > asked.now_ms
    asked.ends("lane-1", 200)  # it was in the air when the breaker opened
    assert asked.state() is BreakerState.PROBING


def test_a_probe_waits_for_a_retry_after() -> None:
    asked = Asked()
    asked.open()
    asked.probe(503, not_before_ms=asked.breaker.opens_ms + 90_000)
    assert asked.breaker.opens_ms >= asked.now_ms + 90_000


def test_a_probe_that_never_ends_or_was_not_sent_lets_another_find_out() -> None:
    asked = Asked()
    asked.open()
    asked.now_ms = asked.breaker.opens_ms
    told: list[int] = []
    asked.breaker.listen(lambda: told.append(asked.now_ms))
    assert asked.breaker.on_admitted(asked.now_ms)
    asked.breaker.on_not_sent(probe=False, now_ms=asked.now_ms)
    assert asked.state() is BreakerState.PROBING
    asked.breaker.on_not_sent(probe=True, now_ms=asked.now_ms)
    assert asked.breaker.opens_ms == asked.now_ms
    assert told == [asked.now_ms]
    assert asked.breaker.on_admitted(asked.now_ms)
    assert asked.breaker.opens_ms == asked.now_ms + PROBE_MAX_MS


def _down_until(worker: Played, until_ms: int) -> None:
    def far(call: Call, _before: int) -> Answer:
        down = call.destination == INCREFF and worker.clock.now_ms() < until_ms
        return Answer(status=None, error="connection refused") if down else Answer(status=200)

    worker.sender.far = far


async def test_an_outage_costs_few_requests_and_all_arrive_in_order_soon_after() -> None:
    worker = await Played(channels_for(increff={"budget": None})).start()
    _down_until(worker, START_MS + 600_000)
    for n in range(100):
        worker.give(request_for(CREATE, f"o{n}", f"o{n}.0", sequence=1), request_for(UPDATE, f"o{n}", f"o{n}.1"))
    await worker.clock.run_for(600_000)
    assert len(worker.sender.arrivals) < 32 + 600 / 4
    dispatcher = worker.dispatcher(INCREFF)
    assert dispatcher._admission.breaker.state is not BreakerState.CLOSED
    await worker.clock.run_for(60_000)
    assert set(worker.final().values()) == {"delivered"}
    assert len(worker.final()) == 200
    for n in range(100):
        assert [i for i in worker.sender.ids() if i.startswith(f"o{n}.")][-2:] == [f"o{n}.0", f"o{n}.1"]


async def test_while_it_is_open_no_request_uses_up_its_schedule() -> None:
    """Ten minutes of outage, and whoever was not the probe was tried a few times: its next pause is still short."""
    worker = await Played(channels_for(increff={"budget": None})).start()
    _down_until(worker, START_MS + 600_000)
    worker.give(*(request_for(CREATE, f"o{n}", f"o{n}") for n in range(100)))
    await worker.clock.run_for(600_000)
    tried = [worker.sender.ids().count(f"o{n}") for n in range(100)]
    assert sorted(tried)[90] <= 3


async def test_a_relay_is_served_when_the_far_side_comes_back_within_its_deadline() -> None:
    worker = await Played(channels_for(increff={"budget": None})).start()
    _down_until(worker, START_MS + 300_000)
    worker.give(*(request_for(CREATE, f"o{n}", f"o{n}") for n in range(50)))
    await worker.clock.run_for(290_000)
    worker.give(request_for("customer-cancellation", "X", "cancel", deadline_ms=worker.clock.now_ms() + 40_000))
    await worker.clock.run_for(18_000)
    assert worker.final()["cancel"] == "delivered"


async def test_a_relay_is_answered_at_its_deadline_when_the_far_side_stays_down() -> None:
    worker = await Played(channels_for()).start()

    def far(call: Call, _before: int) -> Answer:
        return Answer(status=None, error="no answer within 30 s")

    worker.sender.far = far
    worker.give(*(request_for("handover-notification", f"o{n}", f"o{n}") for n in range(50)))
    await worker.clock.run_for(120_000)
    begun_ms = worker.clock.now_ms()
    worker.give(request_for("pack-order", "X", "pack", deadline_ms=begun_ms + 40_000))
    await worker.clock.run_for(38_900)
    assert "pack" not in worker.final()
    await worker.clock.run_for(200)
    assert worker.final()["pack"] == "expired"


async def test_a_probe_that_is_cut_off_by_a_restart_is_followed_by_another() -> None:
    worker = await Played(channels_for(increff={"budget": None})).start()
    _down_until(worker, START_MS + 60_000)
    worker.give(*(request_for(CREATE, f"o{n}", f"o{n}") for n in range(50)))
    await worker.clock.run_for(30_000)
    again = await worker.restart()
    await again.clock.run_for(120_000)
    assert set(again.final().values()) == {"delivered"}
    assert len(again.final()) == 50


async def test_a_probe_that_is_cut_off_before_it_begins_keeps_no_other_shard_waiting() -> None:
    played = PlayedDispatcher(subscription())
    breaker = played.dispatcher._admission.breaker
    breaker.state = BreakerState.OPEN
    played.give(fact("O-1", 1))
    while breaker.state is BreakerState.OPEN:  # noqa: ASYNC110 - between two turns of the event loop is the moment that counts
        await asyncio.sleep(0)
    tasks = played.dispatcher.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert played.sender.arrivals == []
    assert (breaker.state, breaker.opens_ms) == (BreakerState.OPEN, played.clock.now_ms())


async def test_one_order_whose_request_always_fails_holds_up_nobody() -> None:
    worker = await Played(channels_for(increff={"budget": None, "retry_max_s": 1})).start()
    worker.sender.far = lambda call, _: Answer(status=500) if call.delivery_id == "poisoned" else Answer(status=200)
    worker.give(request_for(CREATE, "P", "poisoned"))
    for n in range(60):
        worker.give(request_for(CREATE, f"o{n}", f"o{n}"))
        await worker.clock.run_for(1_000)
        assert worker.final()[f"o{n}"] == "delivered"
    worker.sender.far = ok


async def test_what_is_open_and_what_is_used_is_told_when_somebody_looks() -> None:
    worker = await Played(channels_for(increff={"budget": {"requests": 100, "window_s": 60}})).start()
    _down_until(worker, START_MS + 600_000)
    worker.give(*(request_for(CREATE, f"o{n}", f"o{n}") for n in range(20)))
    await worker.clock.run_for(100)
    labels = {"destination": INCREFF, "shard": "0"}

    def told(name: str, **more: str) -> float | None:
        return REGISTRY.get_sample_value(f"sluice_delivery_{name}", {**labels, **more})

    assert told("breaker_state") == BreakerState.OPEN
    assert told("in_air") == 0
    assert told("concurrency_allowed") == 32
    assert told("budget_used_ratio", limit="window/60s") == 0.2
    await worker.clock.run_for(1_200_000)
    assert told("breaker_state") == BreakerState.CLOSED
    assert (told("budget_used_ratio", limit="window/60s") or 0) <= 0.05
