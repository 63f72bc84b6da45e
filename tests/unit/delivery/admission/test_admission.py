"""What a destination takes bounds the requests in the air. That Kafka is waited for holds no place at it, and what is
not durable yet is bounded apart: a worker that dies leaves at most five times its concurrency to be sent again."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from streams.delivery.admission.admission import UNRECORDED_PER_PLACE, Admission, Flight
from streams.delivery.admission.circuit_breaker import CircuitBreaker
from streams.delivery.admission.limiters.limits import Limits
from streams.delivery.admission.pause_gate import PauseGate
from streams.delivery.admission.permits import PermitRecord, Permits
from streams.delivery.admission.retry_after_gate import RetryAfterGate
from streams.delivery.clock import NEVER
from streams.delivery.ports import AttemptResult, ResponseClass
from streams.runtime.invariants import InvariantError
from tests.fakes.delivery import ManualClock
from topics.configuration.pace import Pace
from topics.destinations.pauses import PauseIndex

TAKEN = AttemptResult(kind=ResponseClass.DELIVERED, at_ms=0, took_ms=1.0, status=200)
MOST = 3
UNRECORDED_MOST = UNRECORDED_PER_PLACE * MOST


def admission() -> Admission:
    clock = ManualClock()
    committer: Any = None  # nothing is written here
    permits = Permits(
        key=b"k",
        partition=0,
        limits=Limits(),
        gate=RetryAfterGate(),
        left=PermitRecord(),
        committer=committer,
        clock=clock,
    )
    permits.proved(clock.now_ms())
    return Admission(
        permits=permits,
        pause=PauseGate(PauseIndex(), "increff"),
        breaker=CircuitBreaker(Random(1)),
        config=Pace(concurrency=MOST),
        clock=clock,
    )


def leave(here: Admission) -> list[Flight]:
    """All that may leave now."""
    left: list[Flight] = []
    while here.blocked_until(0) is None:
        left.append(here.admit("fact", f"lane-{len(left)}"))
    return left


def test_a_place_is_free_when_its_answer_is_in() -> None:
    here = admission()
    first = leave(here)
    assert len(first) == MOST
    here.on_answered(first[0], TAKEN)
    assert len(leave(here)) == 1
    assert here.in_flight == MOST


def test_while_nothing_becomes_durable_a_bounded_number_of_outcomes_waits() -> None:
    here = admission()
    first: list[Flight] = []
    while more := leave(here):
        first += more
        for flight in more:
            here.on_answered(flight, TAKEN)
    assert here.unrecorded == len(first) == UNRECORDED_MOST
    assert here.blocked_until(0) == NEVER
    here.on_recorded(first[0])
    second = leave(here)
    assert len(second) == MOST
    assert here.in_flight + here.unrecorded < UNRECORDED_MOST + MOST
    for flight in (*first[1:], *second):
        if not flight.answered:
            here.on_answered(flight, TAKEN)
        here.on_recorded(flight)
    assert (here.in_flight, here.unrecorded) == (0, 0)


def test_a_request_that_is_not_sent_after_all_gives_its_place_back() -> None:
    here = admission()
    (flight, *_) = leave(here)
    here.on_recorded(flight)
    assert (here.in_flight, here.unrecorded) == (MOST - 1, 0)


def test_a_request_gives_its_place_back_once() -> None:
    here = admission()
    first, second = leave(here)[:2]
    here.on_answered(first, TAKEN)
    with pytest.raises(InvariantError, match="permit_ends_once"):
        here.on_answered(first, TAKEN)
    here.give_back(second)
    with pytest.raises(InvariantError, match="permit_ends_once"):
        here.on_recorded(second)
