"""Every metric of the delivery role, by name, in one place."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from streams.delivery.admission import Admission

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
IN_AIR = Gauge("sluice_delivery_in_air", "Requests sent and not yet answered and recorded", ["destination", "shard"])
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
DROPPED = Counter(
    "sluice_delivery_dropped_total",
    "Facts for a subscription that are not sent, because it is `deleted` or `disabled`",
    ["destination", "reason"],
)
DISABLED_SUBSCRIPTIONS = Gauge(
    "sluice_delivery_disabled_subscriptions", "Subscriptions that Sluice disabled and nobody has enabled since"
)
SUBSCRIPTIONS_DISABLED = Counter(
    "sluice_delivery_subscriptions_disabled_total",
    "Subscriptions that Sluice disabled: their endpoint is `gone` (410), or was `failing` for too long",
    ["destination", "reason"],
)


class RunnerGauges:
    """The gauges of one shard of one destination, looked up once: they are set at every turn."""

    __slots__ = ("_breaker", "_budget", "_concurrency", "_gate", "_in_air", "_labels", "age", "lanes")

    def __init__(self, destination: str, shard: int) -> None:
        labels = (destination, str(shard))
        self.lanes = LANES_WAITING.labels(*labels)
        self._in_air = IN_AIR.labels(*labels)
        self.age = QUEUE_AGE_MS_MAX.labels(*labels)
        self._concurrency = CONCURRENCY_ALLOWED.labels(*labels)
        self._breaker = BREAKER_STATE.labels(*labels)
        self._gate = GATE_SECONDS_LEFT.labels(*labels)
        self._labels = labels
        self._budget: dict[str, Gauge] = {}

    def admission(self, admission: Admission, now_ms: int) -> None:
        self._in_air.set(admission.in_air)
        self._concurrency.set(admission.concurrency.allowed)
        self._breaker.set(admission.breaker.state)
        self._gate.set(max(0.0, (admission.permits.gate.opens_ms - now_ms) / 1000))
        for name, share in admission.permits.limits.used(now_ms):
            self._of_limit(name).set(share)

    def forget(self) -> None:
        """The shard is another worker's now, or nobody's: what was true of it must not be told any longer."""
        for gauge in (LANES_WAITING, IN_AIR, QUEUE_AGE_MS_MAX, CONCURRENCY_ALLOWED, BREAKER_STATE, GATE_SECONDS_LEFT):
            gauge.remove(*self._labels)
        for limit in self._budget:
            BUDGET_USED.remove(*self._labels, limit)

    def _of_limit(self, limit: str) -> Gauge:
        gauge = self._budget.get(limit)
        if gauge is None:
            gauge = self._budget[limit] = BUDGET_USED.labels(*self._labels, limit)
        return gauge
