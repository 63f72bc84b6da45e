"""The labelled counters and gauges of one dispatcher, each looked up once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from prometheus_client import Counter, Gauge, Histogram

from streams.delivery import metrics
from streams.delivery.admission.admission import Admission
from streams.delivery.ports import AttemptResult, ResponseClass
from topics.configuration.channels import FarSide
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import DeliveryRequest, OutcomeKind

SUBMISSION = BY_NAME["create-outward-order"].name


class DispatcherCounters:
    """The counters of one destination, each looked up once: a look-up costs as much as a signature."""

    __slots__ = ("_attempts", "_destination", "_outcomes", "_seconds", "_submissions")

    def __init__(self, destination: str) -> None:
        self._destination = destination
        self._attempts: dict[tuple[str, ResponseClass, FarSide], Counter] = {}
        self._seconds: dict[FarSide, Histogram] = {}
        self._outcomes: dict[tuple[str, str, OutcomeKind], Counter] = {}
        self._submissions: dict[str, Histogram] = {}

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

    def count_outcome(self, request: DeliveryRequest, kind: OutcomeKind, now_ms: int) -> None:
        key = request.channel, request.touchpoint, kind
        counter = self._outcomes.get(key)
        if counter is None:
            counter = self._outcomes[key] = metrics.OUTCOMES.labels(self._destination, *key)
        counter.inc()
        if request.touchpoint == SUBMISSION and kind is not OutcomeKind.RETRYING:
            seconds = self._submissions.get(request.channel)
            if seconds is None:
                seconds = self._submissions[request.channel] = metrics.SUBMISSION_SECONDS.labels(request.channel)
            seconds.observe(max(0, now_ms - request.created_ms) / 1000)


class DispatcherGauges:
    """The gauges of one shard of one destination. Those of its admission are read when they are scraped: they change
    with every request, and with time alone."""

    __slots__ = ("_labels", "_limits", "age", "lanes")

    def __init__(self, destination: str, shard: int) -> None:
        self._labels = (destination, str(shard))
        self._limits: list[str] = []
        self.lanes = metrics.LANES_WAITING.labels(*self._labels)
        self.age = metrics.QUEUE_AGE.labels(*self._labels)

    def follow(self, admission: Admission) -> None:
        """Show the state of `admission` until `forget`."""
        read: dict[Gauge, Callable[[], float]] = {
            metrics.IN_FLIGHT: lambda: admission.in_flight,
            metrics.CONCURRENCY_ALLOWED: lambda: admission.concurrency.allowed,
            metrics.BREAKER_STATE: lambda: admission.breaker.state,
            metrics.GATE_LEFT: lambda: admission.gate_s_left,
            metrics.PAUSED: lambda: admission.is_paused,
        }
        for gauge, function in read.items():
            gauge.labels(*self._labels).set_function(function)
        self._limits = list(admission.budget_used)
        for limit in self._limits:
            share = partial(_share_used, admission, limit)
            metrics.BUDGET_USED.labels(*self._labels, limit).set_function(share)

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
            metrics.QUEUE_AGE,
            metrics.IN_FLIGHT,
            metrics.CONCURRENCY_ALLOWED,
            metrics.BREAKER_STATE,
            metrics.GATE_LEFT,
            metrics.PAUSED,
        ):
            gauge.remove(*self._labels)
        for limit in self._limits:
            metrics.BUDGET_USED.remove(*self._labels, limit)
        self.set_withheld(withheld=False)


def _share_used(admission: Admission, limit: str) -> float:
    return admission.budget_used.get(limit, 0.0)
