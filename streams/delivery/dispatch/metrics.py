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
    """What the attempts of one destination count, each looked up once: the look-ups cost as much as a signature."""

    __slots__ = ("_attempts", "_destination", "_outcomes", "_seconds")

    def __init__(self, destination: str) -> None:
        self._destination = destination
        self._attempts: dict[tuple[str, ResponseClass, FarSide], Counter] = {}
        self._seconds: dict[FarSide, Histogram] = {}
        self._outcomes: dict[tuple[str, OutcomeKind], Counter] = {}

    def attempted(self, touchpoint: str, result: AttemptResult) -> None:
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

    def ended(self, touchpoint: str, kind: OutcomeKind) -> None:
        counter = self._outcomes.get((touchpoint, kind))
        if counter is None:
            counter = self._outcomes[touchpoint, kind] = metrics.OUTCOMES.labels(self._destination, touchpoint, kind)
        counter.inc()


class DispatcherGauges:
    """The gauges of one shard of one destination, looked up once. What admits requests is asked when somebody looks: it
    changes with time alone, too, and with every request."""

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
        looked_at = weakref.ref(admission)
        asked: dict[Gauge, Callable[[Admission], float]] = {
            metrics.IN_AIR: lambda known: known.in_air,
            metrics.CONCURRENCY_ALLOWED: lambda known: known.concurrency.allowed,
            metrics.BREAKER_STATE: lambda known: known.breaker.state,
            metrics.GATE_SECONDS_LEFT: lambda known: known.gate_s_left,
        }
        for gauge, ask in asked.items():
            gauge.labels(*self._labels).set_function(partial(_seen, looked_at, ask))
        self._limits = list(admission.budget_used)
        for limit in self._limits:
            ask = partial(_share_used, limit)
            metrics.BUDGET_USED.labels(*self._labels, limit).set_function(partial(_seen, looked_at, ask))

    def withheld(self, *, withheld: bool) -> None:
        """Told only of those few that are."""
        if withheld:
            metrics.WITHHELD.labels(*self._labels).set(1)
        else:
            metrics.WITHHELD.remove(*self._labels)

    def forget(self) -> None:
        """The shard is another worker's now, or nobody's: what was true of it must not be told any longer."""
        for gauge in (
            metrics.LANES_WAITING,
            metrics.IN_AIR,
            metrics.QUEUE_AGE_MS_MAX,
            metrics.CONCURRENCY_ALLOWED,
            metrics.BREAKER_STATE,
            metrics.GATE_SECONDS_LEFT,
        ):
            gauge.remove(*self._labels)
        for limit in self._limits:
            metrics.BUDGET_USED.remove(*self._labels, limit)
        self.withheld(withheld=False)


def _seen(looked_at: weakref.ref[Admission], ask: Callable[[Admission], float]) -> float:
    known = looked_at()
    return 0.0 if known is None else float(ask(known))


def _share_used(limit: str, known: Admission) -> float:
    return known.budget_used.get(limit, 0.0)
