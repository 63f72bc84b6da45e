"""The limit of calls in hand against queues of known speed: it finds what keeps them busy, and no more."""

from __future__ import annotations

import pytest

from gateway.admission.limiter import SHRINK_MAX, START, VERDICT, Limiter

FLOOR, CEILING, TARGET_S = 16, 2_000, 0.25


class Pipeline:
    """Answers at most `per_s` calls a second, each after `base_s` at least: closed loop, so time follows from Little's
    law. `callers`: how many would be in hand without a limit."""

    def __init__(self, per_s: float, base_s: float) -> None:
        self.per_s, self.base_s = per_s, base_s

    def window(self, limiter: Limiter, callers: int) -> tuple[float, float]:
        """One window; the time of its answers and their rate."""
        in_hand = min(callers, limiter.limit)
        seconds = max(self.base_s, in_hand / self.per_s)
        for _ in range(20):
            limiter.answered(VERDICT, seconds)
        limiter.adjust(in_hand)
        return seconds, in_hand / seconds


def settled(pipeline: Pipeline, limiter: Limiter, callers: int, windows: int = 400) -> tuple[float, float]:
    for _ in range(windows):
        found = pipeline.window(limiter, callers)
    return found


@pytest.mark.parametrize(("per_s", "base_s"), [(2_000, 0.006), (300, 0.02), (20_000, 0.004), (1_000, 0.06)])
def test_under_overload_it_serves_nearly_all_that_can_be_served_in_good_time(per_s: float, base_s: float) -> None:
    limiter = Limiter(FLOOR, CEILING, TARGET_S)
    pipeline = Pipeline(per_s, base_s)
    settled(pipeline, limiter, callers=4)
    seconds, rate = settled(pipeline, limiter, callers=100_000)
    assert rate >= 0.9 * per_s
    assert seconds <= max(TARGET_S, 1.1 * FLOOR / per_s)


def test_it_follows_a_pipeline_that_becomes_slower_and_fast_again() -> None:
    limiter = Limiter(FLOOR, CEILING, TARGET_S)
    settled(Pipeline(2_000, 0.006), limiter, callers=100_000)
    _, slow = settled(Pipeline(500, 0.05), limiter, callers=100_000)
    assert slow >= 0.9 * min(500, FLOOR / 0.05)
    _, fast = settled(Pipeline(2_000, 0.006), limiter, callers=100_000, windows=600)
    assert fast >= 0.9 * 2_000


def test_one_stall_does_not_end_all_work() -> None:
    limiter = Limiter(FLOOR, CEILING, TARGET_S)
    before = settled(Pipeline(2_000, 0.006), limiter, callers=100_000)
    limit = limiter.limit
    limiter.answered(VERDICT, 5.0)
    limiter.adjust(limit)
    assert limiter.limit >= int(SHRINK_MAX * limit)
    assert settled(Pipeline(2_000, 0.006), limiter, callers=100_000, windows=50)[1] >= 0.9 * before[1]


def test_a_limit_that_nobody_reaches_stays() -> None:
    limiter = Limiter(FLOOR, CEILING, TARGET_S)
    settled(Pipeline(2_000, 0.006), limiter, callers=20)
    assert limiter.limit == START


def test_a_slow_cluster_with_few_calls_does_not_lower_the_limit() -> None:
    limiter = Limiter(FLOOR, CEILING, TARGET_S)
    settled(Pipeline(2_000, 0.4), limiter, callers=10)
    assert limiter.limit == START


def test_after_an_overload_the_limit_grows_again_by_itself() -> None:
    limiter = Limiter(FLOOR, CEILING, TARGET_S)
    settled(Pipeline(2_000, 0.006), limiter, callers=4)
    settled(Pipeline(2_000, 0.006), limiter, callers=100_000)
    assert limiter.limit < START
    settled(Pipeline(2_000, 0.006), limiter, callers=2)
    assert limiter.limit >= START


def test_without_answers_nothing_changes() -> None:
    limiter = Limiter(FLOOR, CEILING, TARGET_S)
    assert [limiter.adjust(START) for _ in range(10)] == [START] * 10


def test_late_answers_after_a_stall_do_not_become_the_time_at_the_floor() -> None:
    """A stall let through as usual would allow long waits for half a minute."""
    limiter = Limiter(FLOOR, CEILING, TARGET_S)
    settled(Pipeline(2_000, 0.006), limiter, callers=4)
    while limiter.limit > FLOOR:
        limiter.answered(VERDICT, 2.0)
        limiter.adjust(10 * FLOOR)
    for _ in range(20):
        limiter.answered(VERDICT, 2.0)
        limiter.adjust(FLOOR)
    assert limiter.limit == FLOOR
    assert limiter.target_s(VERDICT) < 0.5 * TARGET_S


def test_calls_of_a_higher_limit_do_not_become_the_time_at_the_floor() -> None:
    limiter = Limiter(FLOOR, CEILING, TARGET_S)
    settled(Pipeline(2_000, 0.006), limiter, callers=4)
    target_s = limiter.target_s(VERDICT)
    for _ in range(20):
        for _ in range(100):
            limiter.answered(VERDICT, 2.0)
        limiter.adjust(10 * FLOOR)
    assert limiter.limit == FLOOR
    assert limiter.target_s(VERDICT) == target_s
