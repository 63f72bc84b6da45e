"""Steps of a rebalance: each is measured from the end of the one before it."""

from __future__ import annotations

from streams.runtime.durability.rebalance_steps import CLAIM, DECIDE, DRAIN, JOIN, READ, RESUME, RebalanceSteps
from streams.runtime.metrics import Metrics


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_each_step_is_measured_from_the_one_before() -> None:
    clock, metrics = Clock(), Metrics("test")
    steps = RebalanceSteps(metrics, "worker", clock)
    took = {DRAIN: 0.5, JOIN: 0.25, READ: 2.0, CLAIM: 0.125, RESUME: 0.0, DECIDE: 4.0}
    for step, seconds in took.items():
        assert not steps.is_over
        clock.now += seconds
        steps.reached(step)
    assert steps.is_over
    assert {step: metrics.rebalance_seconds.labels(step)._value.get() for step in took} == took
    assert metrics.rebalance_began._value.get() == 1_000.0


def test_a_rebalance_that_begins_anew_is_measured_anew() -> None:
    clock, metrics = Clock(), Metrics("test")
    steps = RebalanceSteps(metrics, "worker", clock)
    steps.reached(DECIDE)
    clock.now += 7.0
    steps.began()
    assert not steps.is_over
    clock.now += 1.0
    steps.reached(DRAIN)
    assert metrics.rebalance_seconds.labels(DRAIN)._value.get() == 1.0
    assert metrics.rebalance_began._value.get() == 1_007.0
