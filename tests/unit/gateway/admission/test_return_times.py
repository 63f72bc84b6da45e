"""When refused callers are told to come again: by the excess and the drain rate, and apart from each other."""

from __future__ import annotations

from statistics import mean

import pytest

from gateway.admission.limiter import WINDOW_S
from gateway.admission.retry_after import LEAST_S, MOST_S, ReturnTimes
from gateway.admission.retry_after import WINDOW_S as REMEMBERED_S


def told(refused_per_s: float, drained_per_s: float, seconds: float = 30.0) -> list[int]:
    times = ReturnTimes()
    for _ in range(int(seconds / WINDOW_S)):
        times.window(round(refused_per_s * WINDOW_S), round(drained_per_s * WINDOW_S), WINDOW_S)
    return [times.next() for _ in range(64)]


@pytest.mark.parametrize(("refused_per_s", "drained_per_s"), [(200, 1_000), (1_000, 1_000), (3_000, 1_000), (100, 30)])
def test_the_time_is_that_in_which_the_refused_could_be_served(refused_per_s: float, drained_per_s: float) -> None:
    wanted = max(LEAST_S, refused_per_s * REMEMBERED_S / drained_per_s)
    assert mean(told(refused_per_s, drained_per_s)) == pytest.approx(wanted, rel=0.35)


def test_callers_that_were_refused_together_come_back_apart() -> None:
    assert len(set(told(2_000, 1_000))) >= 6


def test_times_are_bounded_also_when_nothing_drains() -> None:
    assert set(told(1_000, 0)) <= set(range(LEAST_S, MOST_S + 1))
    assert set(told(0, 0)) == {LEAST_S}


def test_an_overload_that_is_over_is_forgotten() -> None:
    times = ReturnTimes()
    for _ in range(100):
        times.window(1_000, 100, WINDOW_S)
    for _ in range(int(5 * REMEMBERED_S / WINDOW_S)):
        times.window(0, 100, WINDOW_S)
    assert times.next() == LEAST_S


def test_callers_come_back_apart_also_at_the_longest_time() -> None:
    found = told(100_000, 10)
    assert len(set(found)) >= 6
    assert found.count(MOST_S) <= len(found) / 4
