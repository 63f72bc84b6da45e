"""What one dispatcher counts and shows: its labelled counters and gauges, each looked up once."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial

from prometheus_client import Counter, Gauge, Histogram

from streams.delivery import metrics
from streams.delivery.admission.admission import Admission
from streams.delivery.ports import AttemptResult, ResponseClass
from topics.configuration.channels import FarSide
from topics.records.deliveries import OutcomeKind


class DispatcherCounters:
    """The counters of one destination, each looked up once: a look-up costs as much as a signature."""

    __slots__ = ("_attempts", "_destination", "_outcomes", "_seconds")

    def __init__(self, destination: str) -> None:
        self._destination = destination
        self._attempts: dict[tuple[str, ResponseClass, FarSide], Counter] = {}
        self._seconds: dict[FarSide, Histogram] = {}
        self._outcomes: dict[tuple[str, OutcomeKind], Counter] = {}

    def count_attempt(self, touchpoint: str, result: AttemptResult) -> None:
        key = (touchpoint, result.kind, result.far_side)
        counter = self._attempts.get(key)
        if counter is None:
            counter = self._attempts[key] = metrics.ATTEMPTS.labels(self._destination, *key)
        counter.inc()
        seconds = self._seconds.get(result.far_side)
        if seconds is None:
            seconds = self._seconds[result.far_side] = metrics.ATTEMPT_SECONDS.labels(
                self._destination, result.far_side
            )
        seconds.observe(result.took_ms / 1000)

    def count_outcome(self, touchpoint: str, kind: OutcomeKind) -> None:
        counter = self._outcomes.get((touchpoint, kind))
        if counter is None:
            counter = self._outcomes[touchpoint, kind] = metrics.OUTCOMES.labels(self._destination, touchpoint, kind)
        counter.inc()


class DispatcherGauges:
    """The gauges of one shard of one destination, looked up once. Those of its admission are read when they are
    scraped: they change with every request, and with time alone."""

    __slots__ = ("_followed", "_labels", "_limits", "age", "lanes")

    def __init__(self, destination: str, shard: int) -> None:
        labels = (destination, str(shard))
        self.lanes = metrics.LANES_WAITING.labels(*labels)
        self.age = metrics.QUEUE_AGE_MS_MAX.labels(*labels)
        self._labels = labels
        self._followed = False
        self._limits: list[str] = []

    def follow(self, admission: Admission) -> None:
        if self._followed:
            return
        self._followed = True
        admission_ref = weakref.ref(admission)
        asked: dict[Gauge, Callable[[Admission], float]] = {
            metrics.IN_FLIGHT: lambda known: known.in_flight,
            metrics.CONCURRENCY_ALLOWED: lambda known: known.concurrency.allowed,
            metrics.BREAKER_STATE: lambda known: known.breaker.state,
            metrics.GATE_SECONDS_LEFT: lambda known: known.gate_s_left,
        }
        for gauge, ask in asked.items():
            gauge.labels(*self._labels).set_function(partial(_seen, admission_ref, ask))
        self._limits = list(admission.budget_used)
        for limit in self._limits:
            ask = partial(_share_used, limit)
            metrics.BUDGET_USED.labels(*self._labels, limit).set_function(partial(_seen, admission_ref, ask))

    def set_withheld(self, *, withheld: bool) -> None:
        """Exists only for shards whose requests are withheld."""
        if withheld:
            metrics.WITHHELD.labels(*self._labels).set(1)
        else:
            metrics.WITHHELD.remove(*self._labels)

    def forget(self) -> None:
        """Remove the gauges: the shard is another worker's now, or of no worker."""
        for gauge in (
            metrics.LANES_WAITING,
            metrics.IN_FLIGHT,
            metrics.QUEUE_AGE_MS_MAX,
            metrics.CONCURRENCY_ALLOWED,
            metrics.BREAKER_STATE,
            metrics.GATE_SECONDS_LEFT,
        ):
            gauge.remove(*self._labels)
        for limit in self._limits:
            metrics.BUDGET_USED.remove(*self._labels, limit)
        self.set_withheld(withheld=False)


def _seen(admission_ref: weakref.ref[Admission], ask: Callable[[Admission], float]) -> float:
    known = admission_ref()
    return 0.0 if known is None else float(ask(known))


def _share_used(limit: str, known: Admission) -> float:
    return known.budget_used.get(limit, 0.0)
