"""Every metric of the delivery role, by name, in one place."""

from __future__ import annotations

from prometheus_client import Counter

from topics.metrics import made
from topics.records.deliveries import DeliveryRequest

REQUESTS = made.counter("sluice_delivery_requests_total")
ATTEMPTS = made.counter("sluice_delivery_attempts_total")
OUTCOMES = made.counter("sluice_delivery_outcomes_total")
ATTEMPT_SECONDS = made.histogram("sluice_delivery_attempt_seconds")
SUBMISSION_SECONDS = made.histogram("sluice_delivery_submission_seconds")
KAFKA_ANSWERS = made.counter("sluice_delivery_kafka_answers_total")
UNUSABLE = made.counter("sluice_delivery_unusable_answers_total")
TAKEN_BEFORE = made.counter("sluice_delivery_taken_before_total")
LANES_WAITING = made.gauge("sluice_delivery_lanes_waiting")
IN_FLIGHT = made.gauge("sluice_delivery_in_air")
QUEUE_AGE = made.gauge("sluice_delivery_queue_age_seconds")
BUDGET_USED = made.gauge("sluice_delivery_budget_used_ratio")
CONCURRENCY_ALLOWED = made.gauge("sluice_delivery_concurrency_allowed")
BREAKER_STATE = made.gauge("sluice_delivery_breaker_state")
GATE_LEFT = made.gauge("sluice_delivery_gate_left_seconds")
PAUSED = made.gauge("sluice_delivery_paused")
UNKNOWN_DESTINATION = made.gauge("sluice_delivery_unknown_destination_requests")
NO_DISPATCHER = made.gauge("sluice_delivery_subscriptions_without_runner")
UNREADABLE_SUBSCRIPTIONS = made.gauge("sluice_delivery_unreadable_subscriptions")
WITHHELD = made.gauge("sluice_delivery_withheld")
DROPPED = made.counter("sluice_delivery_dropped_total")
DISABLED_SUBSCRIPTIONS = made.gauge("sluice_delivery_disabled_subscriptions")
SUBSCRIPTIONS_DISABLED = made.counter("sluice_delivery_subscriptions_disabled_total")


_REQUESTED: dict[tuple[str, str, str], Counter] = {}
"""Counters of requests, each looked up once."""


def count_request(request: DeliveryRequest) -> None:
    """A request that was taken up."""
    key = request.destination, request.channel, request.touchpoint
    counter = _REQUESTED.get(key)
    if counter is None:
        counter = _REQUESTED[key] = REQUESTS.labels(*key)
    counter.inc()


def forget(destination: str) -> None:
    """Remove the counters of a deleted destination."""
    for key in [key for key in _REQUESTED if key[0] == destination]:
        del _REQUESTED[key]
    for metric in (REQUESTS, ATTEMPTS, OUTCOMES, ATTEMPT_SECONDS, SUBSCRIPTIONS_DISABLED):
        metric.remove_by_labels({"destination": destination})
