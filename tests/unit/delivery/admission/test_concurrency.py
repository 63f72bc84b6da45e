"""A destination that cannot keep up gets fewer requests at once, one that can gets all; a few failures are none."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.delivery.admission.concurrency import ROUND_MIN, STEPS, Concurrency, is_burdened
from streams.delivery.ports import Answer, AttemptResult, ResponseClass
from tests.fakes.delivery import Played, channels_for, request_for

BURDENED: dict[str, tuple[AttemptResult, bool]] = {
    "success": (AttemptResult(kind=ResponseClass.DELIVERED, at_ms=0, took_ms=1, status=200), False),
    "no answer in time": (AttemptResult(kind=ResponseClass.RETRY, at_ms=0, took_ms=1, error="no answer"), True),
    "429": (AttemptResult(kind=ResponseClass.THROTTLED, at_ms=0, took_ms=1, status=429), True),
    "503": (AttemptResult(kind=ResponseClass.RETRY, at_ms=0, took_ms=1, status=503), True),
    "408": (AttemptResult(kind=ResponseClass.RETRY, at_ms=0, took_ms=1, status=408), True),
    "a refusal": (AttemptResult(kind=ResponseClass.REFUSED, at_ms=0, took_ms=1, status=400), False),
    "wrong credentials": (AttemptResult(kind=ResponseClass.RETRY, at_ms=0, took_ms=1, status=401), False),
    "not sendable": (AttemptResult(kind=ResponseClass.REFUSED, at_ms=0, took_ms=0, error="a line break"), False),
}


@pytest.mark.parametrize("name", BURDENED)
def test_what_shows_that_a_destination_has_too_many(name: str) -> None:
    result, burdened = BURDENED[name]
    assert is_burdened(result) is burdened


def _rounds(concurrency: Concurrency, rounds: int, *, burdened: bool) -> list[int]:
    seen = []
    for _ in range(rounds):
        for _ in range(max(ROUND_MIN, concurrency.allowed)):
            concurrency.on_answered(burdened=burdened)
        seen.append(concurrency.allowed)
    return seen


def test_it_halves_with_each_bad_round_and_comes_back_step_by_step() -> None:
    concurrency = Concurrency(32)
    assert _rounds(concurrency, 7, burdened=True) == [16, 8, 4, 2, 1, 1, 1]
    assert _rounds(concurrency, 4, burdened=False) == [2, 3, 4, 5]
    assert _rounds(concurrency, STEPS, burdened=False)[-1] == 32


def test_a_thousand_come_back_as_fast() -> None:
    concurrency = Concurrency(1_000)
    _rounds(concurrency, 20, burdened=True)
    assert concurrency.allowed == 1
    assert _rounds(concurrency, STEPS, burdened=False)[-1] == 1_000


@pytest.mark.parametrize("most", [4, 32, 1_000])
def test_random_failures_of_fifteen_in_a_hundred_leave_most_of_it(most: int) -> None:
    random, concurrency = Random(most), Concurrency(most)
    seen = []
    for _ in range(200 * most):
        concurrency.on_answered(burdened=random.random() < 0.15)
        seen.append(concurrency.allowed)
    assert sum(seen) / len(seen) > 0.7 * most


@given(most=st.integers(1, 200), answers=st.lists(st.booleans(), max_size=500))
def test_it_stays_between_one_and_what_is_configured(most: int, answers: list[bool]) -> None:
    concurrency = Concurrency(most)
    for burdened in answers:
        concurrency.on_answered(burdened=burdened)
        assert 1 <= concurrency.allowed <= most


async def test_an_overloaded_destination_is_sent_what_it_can_take() -> None:
    """It answers 503 to what is more than four at once: it soon gets about four, and everything arrives."""
    worker = await Played(channels_for(increff={"budget": None, "concurrency": 32, "retry_max_s": 2})).start()
    worker.sender.takes_ms = lambda _: 100
    at_once: list[int] = []

    def far(_call: object, _before: int) -> Answer:
        at_once.append(worker.sender.in_air + 1)
        return Answer(status=503 if worker.sender.in_air >= 4 else 200)

    worker.sender.far = far
    worker.give(*(request_for("create-outward-order", f"o{n}", f"o{n}") for n in range(300)))
    await worker.clock.run_for(120_000)
    assert set(worker.final().values()) == {"delivered"}
    assert len(worker.final()) == 300
    assert len(at_once) < 2 * 300
