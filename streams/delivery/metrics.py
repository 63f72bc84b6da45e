"""Every metric of the delivery role, by name, in one place."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial

from prometheus_client import Counter, Gauge, Histogram

from streams.delivery.admission.admission import Admission
from streams.delivery.ports import AttemptResult, ResponseClass
from topics.configuration.settings import FarSide
from topics.records.deliveries import OutcomeKind

ATTEMPTS = Counter(
    "sluice_delivery_attempts_total",
    "Requests sent, by what their answer meant",
    ["destination", "touchpoint", "response_class", "far_side"],
)
OUTCOMES = Counter(
    "sluice_delivery_outcomes_total", "What became of requests", ["destination", "touchpoint", "outcome"]
)
ATTEMPT_SECONDS = Histogram(
    "sluice_delivery_attempt_seconds",
    "From the send to the answer",
    ["destination", "far_side"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 45),
)
KAFKA_ANSWERS = Counter(
    "sluice_delivery_kafka_answers_total",
    "Answers of channels that live on Kafka: taken, late (kept for the next attempt), unexpected (nobody waits here: a "
    "repeat, or another worker's) or nameless (without a correlation id)",
    ["channel", "fate"],
)
LANES_WAITING = Gauge("sluice_delivery_lanes_waiting", "Lanes with something to send", ["destination", "shard"])
IN_AIR = Gauge("sluice_delivery_in_air", "Requests sent and not yet answered", ["destination", "shard"])
QUEUE_AGE_MS_MAX = Gauge(
    "sluice_delivery_queue_age_ms_max",
    "Age of the first request of the lane that has waited longest",
    ["destination", "shard"],
)
BUDGET_USED = Gauge(
    "sluice_delivery_budget_used_ratio",
    "Share of a limit that is not free: 1 when it is spent",
    ["destination", "shard", "limit"],
)
CONCURRENCY_ALLOWED = Gauge(
    "sluice_delivery_concurrency_allowed",
    "Requests that may be in the air at once: as configured, fewer while the destination does not keep up",
    ["destination", "shard"],
)
BREAKER_STATE = Gauge(
    "sluice_delivery_breaker_state",
    "0: closed, all goes; 1: one request finds out whether the destination is well again; 2: open, nothing goes",
    ["destination", "shard"],
)
GATE_SECONDS_LEFT = Gauge(
    "sluice_delivery_gate_seconds_left", "Quiet that the far side asked for", ["destination", "shard"]
)
UNKNOWN_DESTINATION = Gauge(
    "sluice_delivery_unknown_destination_requests",
    "Requests waiting for a destination that is no longer configured",
    ["partition"],
)
NO_RUNNER = Gauge(
    "sluice_delivery_subscriptions_without_runner",
    "Subscriptions to which nothing is sent, because no runner can be made of their settings (see the log)",
)
UNREADABLE_SUBSCRIPTIONS = Gauge(
    "sluice_delivery_unreadable_subscriptions", "Subscriptions whose record this version cannot read: their facts wait"
)
WITHHELD = Gauge(
    "sluice_delivery_withheld",
    "1: facts wait, because they cannot be signed or addressed from here (see the log); the endpoint is not to blame",
    ["destination", "shard"],
)
DROPPED = Counter(
    "sluice_delivery_dropped_total",
    "Facts that are not sent, because their subscription was deleted",
)
DISABLED_SUBSCRIPTIONS = Gauge(
    "sluice_delivery_disabled_subscriptions", "Subscriptions that Sluice disabled and nobody has enabled since"
)
SUBSCRIPTIONS_DISABLED = Counter(
    "sluice_delivery_subscriptions_disabled_total",
    "Subscriptions that Sluice disabled: their endpoint is `gone` (410), or was `failing` for too long",
    ["destination", "reason"],
)


def forget(destination: str) -> None:
    """What was counted of a destination that is gone for good."""
    for metric in (ATTEMPTS, OUTCOMES, ATTEMPT_SECONDS, SUBSCRIPTIONS_DISABLED):
        metric.remove_by_labels({"destination": destination})


class RunnerCounters:
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
            counter = self._attempts[key] = ATTEMPTS.labels(self._destination, *key)
        counter.inc()
        seconds = self._seconds.get(result.far_side)
        if seconds is None:
            seconds = self._seconds[result.far_side] = ATTEMPT_SECONDS.labels(self._destination, result.far_side)
        seconds.observe(result.took_ms / 1000)

    def ended(self, touchpoint: str, kind: OutcomeKind) -> None:
        counter = self._outcomes.get((touchpoint, kind))
        if counter is None:
            counter = self._outcomes[touchpoint, kind] = OUTCOMES.labels(self._destination, touchpoint, kind)
        counter.inc()


class RunnerGauges:
    """The gauges of one shard of one destination, looked up once. What admits requests is asked when somebody looks: it
    changes with time alone, too, and with every request."""

    __slots__ = ("_followed", "_labels", "_limits", "age", "lanes")

    def __init__(self, destination: str, shard: int) -> None:
        labels = (destination, str(shard))
        self.lanes = LANES_WAITING.labels(*labels)
        self.age = QUEUE_AGE_MS_MAX.labels(*labels)
        self._labels = labels
        self._followed = False
        self._limits: list[str] = []

    def follow(self, admission: Admission) -> None:
        if self._followed:
            return
        self._followed = True
        looked_at = weakref.ref(admission)
        asked: dict[Gauge, Callable[[Admission], float]] = {
            IN_AIR: lambda known: known.in_air,
            CONCURRENCY_ALLOWED: lambda known: known.concurrency.allowed,
            BREAKER_STATE: lambda known: known.breaker.state,
            GATE_SECONDS_LEFT: lambda known: known.gate_s_left,
        }
        for gauge, ask in asked.items():
            gauge.labels(*self._labels).set_function(partial(_seen, looked_at, ask))
        self._limits = list(admission.budget_used)
        for limit in self._limits:
            ask = partial(_share_used, limit)
            BUDGET_USED.labels(*self._labels, limit).set_function(partial(_seen, looked_at, ask))

    def withheld(self, *, withheld: bool) -> None:
        """Told only of those few that are."""
        if withheld:
            WITHHELD.labels(*self._labels).set(1)
        else:
            WITHHELD.remove(*self._labels)

    def forget(self) -> None:
        """The shard is another worker's now, or nobody's: what was true of it must not be told any longer."""
        for gauge in (LANES_WAITING, IN_AIR, QUEUE_AGE_MS_MAX, CONCURRENCY_ALLOWED, BREAKER_STATE, GATE_SECONDS_LEFT):
            gauge.remove(*self._labels)
        for limit in self._limits:
            BUDGET_USED.remove(*self._labels, limit)
        self.withheld(withheld=False)


def _seen(looked_at: weakref.ref[Admission], ask: Callable[[Admission], float]) -> float:
    known = looked_at()
    return 0.0 if known is None else float(ask(known))


def _share_used(limit: str, known: Admission) -> float:
    return known.budget_used.get(limit, 0.0)
