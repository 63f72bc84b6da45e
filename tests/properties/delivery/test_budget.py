"""The far side never counts more than a limit allows, in any window of the limit's own definition, however long
requests take and whenever an owner is killed; and the budget is used, not only kept.

A random walk over the owners' calls with a manual clock. Arrivals are anywhere between a request's send and its end, or
a little after it when nobody answered; the far side's clock and those of the owners differ; an owner may be killed
between any two steps, and the next one knows what was durable.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from streams.delivery.admission.limiters import pool
from streams.delivery.admission.limiters.limits import Limits, limits_for
from streams.delivery.admission.limiters.pool import LATE_MS, PoolState
from streams.delivery.admission.limiters.windows import SlidingWindowPool, margin_ms
from streams.delivery.admission.permits import PermitRecord, decode_permits
from tests.support.receivers import over
from topics.configuration.budgets import AnyBudget, Limit, limits_of

START_MS = 1_700_000_000_000
CHEAP, DEAR = "update-order-properties", "create-outward-order"
ROUNDING = 1e-3
"""Of a unit: floating point over many refills."""


@dataclass
class InAir:
    sent_ms: int
    kind: str
    part: float
    """Where between send and end the far side counts it."""


class Walk:
    """Owners, one after the other, what is durable of them, and what the far side has counted. `part`: where between
    send and end the next request is counted."""

    def __init__(self, configured: tuple[Limit, ...], seed: int) -> None:
        self.configured = configured
        self.random = Random(seed)
        self.true_ms = START_MS + self.random.randrange(100_000)
        self.far_skew_ms = self.random.randint(-490, 490)
        self.durable: bytes | None = None
        self.in_air: list[InAir] = []
        self.arrivals: list[tuple[float, str]] = []
        self.part = 0.0
        self.planned: list[int] | None = None
        self.limits = self._take_over()

    @property
    def now_ms(self) -> int:
        return self.true_ms + self.skew_ms

    def _take_over(self) -> Limits:
        self.skew_ms = self.random.randint(-240, 240)
        self.planned = None
        limits = limits_for(self.configured)
        limits.take_over(decode_permits(self.durable, self.now_ms).limits, self.now_ms)
        return limits

    def step(self, kind: str) -> bool:
        """The next step of an owner who wants to send: plan and write, then note what is reserved, then send."""
        if self.planned is not None:
            self.limits.add_reserved(self.planned)
            self.planned = None
        elif self.limits.has(kind):
            self.limits.acquire(kind)
            self.in_air.append(InAir(self.true_ms, kind, self.part))
        else:
            self.planned = self.limits.plan(kind, self.now_ms)
            if self.planned is None:
                return False
            self.durable = PermitRecord(self.limits.state(self.now_ms, self.planned)).encode()
        return True

    def send(self, kind: str) -> bool:
        waiting = len(self.in_air)
        while len(self.in_air) == waiting:
            if not self.step(kind):
                return False
        return True

    def end(self, which: int, *, answered: bool = True) -> None:
        if self.in_air:
            request = self.in_air.pop(which % len(self.in_air))
            self._count(request, 0 if answered else self.random.randrange(LATE_MS))
            self.limits.request_ended(request.kind, self.now_ms, answered=answered)

    def kill(self) -> None:
        """The process is gone between two steps; what it had sent arrives, and another takes over."""
        while self.in_air:
            self._count(self.in_air.pop(), self.random.randrange(LATE_MS))
        self.limits = self._take_over()

    def stop(self) -> None:
        while self.in_air:
            self.end(0)
        if self.planned is not None:
            self.limits.add_reserved(self.planned)
        self.limits.give_back()
        self.durable = PermitRecord(self.limits.state(self.now_ms)).encode()
        self.limits = self._take_over()

    def _count(self, request: InAir, late_ms: int = 0) -> None:
        until_ms = self.true_ms + late_ms
        moment = request.sent_ms + (until_ms - request.sent_ms) * request.part
        self.arrivals.append((moment + self.far_skew_ms, request.kind))

    def check(self) -> None:
        self.kill()
        for limit in self.configured:
            for phase_ms in (0.0, self.random.random() * 1e6):
                assert over(limit, self.arrivals, phase_ms) <= ROUNDING, limit


REQUESTS = st.integers(1, 30)
WINDOWS = st.sampled_from([0.2, 1.0, 7.5, 60.0])
SLIDING = st.builds(lambda n, w: {"requests": n, "window_s": w}, REQUESTS, WINDOWS)
FIXED = st.builds(lambda n, w: {"shape": "fixed-window", "requests": n, "window_s": w}, REQUESTS, WINDOWS)
CLOCK = st.builds(
    lambda n, w, o: {"shape": "fixed-window", "requests": n, "window_s": w, "aligned": "clock", "offset_s": o},
    REQUESTS,
    st.sampled_from([4.0, 10.0, 60.0]),
    st.integers(0, 100),
)
QUOTA = st.builds(
    lambda n, per, a: {"shape": "quota", "requests": n, "per": per, "aligned": a},
    st.sampled_from([1, 7, 40, 2_500]),
    st.sampled_from(["hour", "day"]),
    st.sampled_from(["any", "clock"]),
)
BUCKET = st.builds(
    lambda r, b, s: {"shape": "token-bucket", "rate_per_s": r, "burst": b, "step": min(s, b)},
    st.sampled_from([0.0167, 0.5, 3.0, 40.0]),
    REQUESTS,
    st.sampled_from([1, 1, 3, 10]),
)
COST = st.builds(
    lambda r, c, d: {"shape": "cost-bucket", "restore_per_s": r, "capacity": 60 + c, "cost": 2, "costs": {DEAR: d}},
    st.sampled_from([1.0, 10.0, 50.0]),
    st.integers(0, 200),
    st.integers(1, 60),
)
ANY = st.one_of(SLIDING, FIXED, CLOCK, QUOTA, BUCKET, COST)
SHAPES = {"sliding": SLIDING, "fixed": FIXED, "clock": CLOCK, "quota": QUOTA, "bucket": BUCKET, "cost": COST}


def _rush(walk: Walk, steps: int) -> None:
    """A sender in a hurry, and a far side that counts what came first late and what came last early."""
    random = walk.random
    for _ in range(steps):
        walk.part = random.choice((0.0, 0.0, 1.0, 1.0, random.random()))
        kind = random.choice((CHEAP, DEAR))
        match random.choices(range(7), (40, 30, 25, 8, 2, 1, 4))[0]:
            case 0:
                for _ in range(random.choice((1, 5, 60))):
                    if not walk.send(kind):
                        break
            case 1:
                free_ms = walk.limits.free_at_ms(kind, walk.now_ms)
                if free_ms is not None and free_ms > walk.now_ms:
                    walk.true_ms += free_ms - walk.now_ms
                else:
                    walk.true_ms += random.choice((1, 50, 1_000))
            case 2:
                for _ in range(random.choice((1, 5, 60))):
                    walk.end(random.randrange(60))
            case 3:
                for _ in range(random.choice((1, 3))):
                    walk.end(random.randrange(60), answered=False)
            case 4:
                walk.kill()
            case 5:
                walk.stop()
            case _:
                walk.step(kind)


def configured(*tables: dict[str, object]) -> tuple[Limit, ...]:
    # Several limits of one window are refused where they are configured; the last one stands here.
    by_name = {limit.name: limit for limit in limits_of(TypeAdapter(AnyBudget).validate_python(list(tables)))}
    return tuple(by_name.values())


@pytest.mark.parametrize("shape", SHAPES)
@given(data=st.data(), seed=st.integers(0, 1 << 30))
@settings(max_examples=60, deadline=None)
def test_no_window_holds_more_than_the_limit(shape: str, data: st.DataObject, seed: int) -> None:
    walk = Walk(configured(data.draw(SHAPES[shape])), seed)
    _rush(walk, 150)
    walk.check()


@given(tables=st.lists(ANY, min_size=2, max_size=4), seed=st.integers(0, 1 << 30))
@settings(max_examples=80, deadline=None)
def test_limits_hold_together(tables: list[dict[str, object]], seed: int) -> None:
    walk = Walk(configured(*tables), seed)
    _rush(walk, 150)
    walk.check()


@dataclass(frozen=True)
class Busy:
    tables: tuple[dict[str, object], ...]
    per_hour: float
    """What the far side would take."""
    share: float
    """How much of it is used at least."""
    minutes: int


BUSY = {
    "Increff's 200 a minute": Busy(({"requests": 200, "window_s": 60},), 12_000, 0.95, 40),
    "10 a second": Busy(({"requests": 10, "window_s": 1},), 36_000, 0.85, 5),
    "a small bucket": Busy(({"shape": "token-bucket", "rate_per_s": 5, "burst": 10},), 18_000, 0.95, 10),
    "a slow bucket": Busy(({"shape": "token-bucket", "rate_per_s": 0.0167, "burst": 20},), 60, 0.95, 600),
    "a bucket that is refilled each second": Busy(
        ({"shape": "token-bucket", "rate_per_s": 4, "burst": 8, "step": 4},), 14_400, 0.95, 10
    ),
    "points": Busy(({"shape": "cost-bucket", "capacity": 1000, "restore_per_s": 50, "cost": 10},), 18_000, 0.95, 10),
    "a minute by the clock": Busy(
        ({"shape": "fixed-window", "requests": 200, "window_s": 60, "aligned": "clock"},), 12_000, 0.95, 40
    ),
    "a minute by any clock": Busy(({"shape": "fixed-window", "requests": 200, "window_s": 60},), 12_000, 0.95, 40),
    "10 a second and 1,000 an hour": Busy(
        ({"requests": 10, "window_s": 1}, {"shape": "quota", "requests": 1_000, "per": "hour"}), 1_000, 0.95, 600
    ),
}


@pytest.mark.parametrize("name", BUSY)
def test_a_budget_is_used_and_kept_by_a_sender_who_always_has_work(name: str) -> None:
    """Answers come after 50 ms; half-way the owner stops in order and another goes on."""
    busy = BUSY[name]
    walk = Walk(configured(*busy.tables), seed=5)
    ends: deque[int] = deque()
    stop_ms = walk.true_ms + busy.minutes * 30_000
    until_ms = walk.true_ms + busy.minutes * 60_000
    while walk.true_ms < until_ms:
        while ends and ends[0] <= walk.true_ms:
            ends.popleft()
            walk.end(0)
        while walk.send(CHEAP):
            ends.append(walk.true_ms + 50)
        free_ms = walk.limits.free_at_ms(CHEAP, walk.now_ms)
        moments = [*([ends[0]] if ends else []), *([free_ms - walk.skew_ms] if free_ms is not None else [])]
        walk.true_ms = max(walk.true_ms + 1, min(moments))
        if walk.true_ms >= stop_ms:
            ends.clear()
            walk.stop()
            stop_ms = until_ms
    walk.check()
    assert len(walk.arrivals) >= busy.share * busy.per_hour * busy.minutes / 60, len(walk.arrivals)


@given(requests=st.integers(1, 50), times=st.lists(st.integers(0, 500), min_size=1, max_size=50))
@settings(max_examples=100, deadline=None)
def test_the_whole_budget_is_usable_again_after_the_window(requests: int, times: list[int]) -> None:
    walk = Walk(configured({"requests": requests, "window_s": 60}), seed=1)
    for pause in times:
        walk.true_ms += pause
        walk.send(CHEAP)
        walk.end(0)
    walk.true_ms += 60_000 + margin_ms(60_000)
    before = len(walk.arrivals)
    for _ in range(requests):
        walk.send(CHEAP)
    while walk.in_air:
        walk.end(0)
    assert len(walk.arrivals) - before == requests


def test_a_lowered_budget_holds_from_the_first_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "SKEW_MS", 0)
    window = SlidingWindowPool(3, 60_000)
    window.take_over(PoolState([(1_000, 1), (2_000, 1), (3_000, 1), (4_000, 1), (5_000, 1)], 0), now_ms=6_000)
    assert window.plan_reserve(6_000) == 0
    assert window.free_at_ms(6_000) == 3_000 + 60_000 + margin_ms(60_000)


def test_a_clock_that_was_ahead_holds_permits_from_now() -> None:
    window = SlidingWindowPool(1, 60_000)
    window.take_over(PoolState([(900_000, 1)], 0), now_ms=6_000)
    assert window.free_at_ms(6_000) == 6_000 + 60_000 + margin_ms(60_000)


def test_a_limit_that_is_new_counts_what_is_remembered() -> None:
    """From 5 a minute to 5 a second and 100 an hour: the five that were sent a moment ago are not forgotten."""
    walk = Walk(configured({"requests": 5, "window_s": 60}), seed=3)
    while walk.send(CHEAP):
        walk.end(0)
    walk.configured = configured({"requests": 5, "window_s": 30}, {"shape": "quota", "requests": 7, "per": "hour"})
    walk.stop()
    assert not walk.send(CHEAP)
    walk.true_ms += 32_000
    sent = 0
    while walk.send(CHEAP):
        sent += 1
    assert sent == 2


def test_what_is_durable_of_a_large_budget_stays_small() -> None:
    [limit] = configured({"shape": "quota", "requests": 1_000_000, "per": "day"})
    limits = limits_for((limit,))
    walk_ms = START_MS
    for _ in range(20_000):
        if not limits.has(CHEAP):
            counts = limits.plan(CHEAP, walk_ms)
            assert counts
            limits.add_reserved(counts)
        limits.acquire(CHEAP)
        walk_ms += 4_000
        limits.request_ended(CHEAP, walk_ms, answered=True)
    assert len(PermitRecord(limits.state(walk_ms)).encode()) < 64 << 10
