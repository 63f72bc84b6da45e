"""Every metric of the delivery role, by name, in one place."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

ATTEMPTS = Counter(
    "sluice_delivery_attempts_total",
    "Requests sent, by the class of their answer",
    ["destination", "touchpoint", "response_class", "far_side"],
)
OUTCOMES = Counter("sluice_delivery_outcomes_total", "Ends of requests", ["destination", "touchpoint", "outcome"])
ATTEMPT_SECONDS = Histogram(
    "sluice_delivery_attempt_seconds",
    "From the send to the answer",
    ["destination", "far_side"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 45),
)
KAFKA_ANSWERS = Counter(
    "sluice_delivery_kafka_answers_total",
    "Answers of channels that live on Kafka: taken, late (kept for the next attempt), unexpected (no request of this "
    "worker waits for it: a repeat, or another worker's) or nameless (without a correlation id)",
    ["channel", "fate"],
)
UNUSABLE = Counter(
    "sluice_delivery_unusable_answers_total",
    "Answers with a 2xx that are no success although they do not refuse in the contract's word, by what is wrong with "
    "them (docs/responses.md): what was sent is sent again",
    ["channel", "touchpoint", "fault"],
)
TAKEN_BEFORE = Counter(
    "sluice_delivery_taken_before_total",
    "Requests that count as delivered although a repeat was refused: the far side had carried out an attempt whose "
    "answer was lost",
    ["destination", "touchpoint"],
)
LANES_WAITING = Gauge("sluice_delivery_lanes_waiting", "Lanes with something to send", ["destination", "shard"])
IN_FLIGHT = Gauge("sluice_delivery_in_air", "Requests sent and not yet answered", ["destination", "shard"])
QUEUE_AGE_MS_MAX = Gauge(
    "sluice_delivery_queue_age_ms_max",
    "Age of the first request of the lane that has waited longest",
    ["destination", "shard"],
)
BUDGET_USED = Gauge(
    "sluice_delivery_budget_used_ratio",
    "Share of a limit that is not free: 1 when the limit is spent",
    ["destination", "shard", "limit"],
)
CONCURRENCY_ALLOWED = Gauge(
    "sluice_delivery_concurrency_allowed",
    "Requests that may be in flight at once: as configured, fewer while the destination does not keep up",
    ["destination", "shard"],
)
BREAKER_STATE = Gauge(
    "sluice_delivery_breaker_state",
    "0: closed, all is sent; 1: one request probes whether the destination is up again; 2: open, nothing is sent",
    ["destination", "shard"],
)
GATE_SECONDS_LEFT = Gauge(
    "sluice_delivery_gate_seconds_left", "Rest of the pause that the far side asked for", ["destination", "shard"]
)
PAUSED = Gauge(
    "sluice_delivery_paused",
    "1: an operator paused the destination, and nothing is sent to it; 0: it is not paused",
    ["destination", "shard"],
)
UNKNOWN_DESTINATION = Gauge(
    "sluice_delivery_unknown_destination_requests",
    "Requests waiting for a destination that is no longer configured",
    ["partition"],
)
NO_DISPATCHER = Gauge(
    "sluice_delivery_subscriptions_without_runner",
    "Subscriptions to which nothing is sent, because their settings permit no dispatcher (see the log)",
)
UNREADABLE_SUBSCRIPTIONS = Gauge(
    "sluice_delivery_unreadable_subscriptions", "Subscriptions whose record this version cannot read: their facts wait"
)
WITHHELD = Gauge(
    "sluice_delivery_withheld",
    "1: facts wait, because this worker cannot sign or address them (see the log); the endpoint is not at fault",
    ["destination", "shard"],
)
DROPPED = Counter(
    "sluice_delivery_dropped_total",
    "Facts that were dropped, because their subscription was deleted",
)
DISABLED_SUBSCRIPTIONS = Gauge(
    "sluice_delivery_disabled_subscriptions", "Subscriptions that Sluice disabled and that are not enabled again"
)
SUBSCRIPTIONS_DISABLED = Counter(
    "sluice_delivery_subscriptions_disabled_total",
    "Subscriptions that Sluice disabled: their endpoint is `gone` (410), or was `failing` for too long",
    ["destination", "reason"],
)


def forget(destination: str) -> None:
    """Remove the counters of a deleted destination."""
    for metric in (ATTEMPTS, OUTCOMES, ATTEMPT_SECONDS, SUBSCRIPTIONS_DISABLED):
        metric.remove_by_labels({"destination": destination})
