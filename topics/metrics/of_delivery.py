"""Metrics of delivery, and of the stock that it sends."""

from __future__ import annotations

from typing import Final

from topics.metrics.definition import DELIVERY, SECONDS, counter, gauge, histogram

ATTEMPT_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 45)
SUBMIT_S: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0)
"""60 is an objective."""
STOCK_S: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
"""10 is an objective."""

DELIVERY_METRICS: Final = (
    counter(
        "sluice_delivery_requests_total",
        "Requests that were taken up from `deliveries.requests`",
        DELIVERY,
        "destination",
        "channel",
        "touchpoint",
    ),
    counter(
        "sluice_delivery_attempts_total",
        "Requests sent, by the class of their answer",
        DELIVERY,
        "destination",
        "touchpoint",
        "response_class",
        "far_side",
    ),
    counter(
        "sluice_delivery_outcomes_total",
        "Ends of requests; `dead` is a dead letter",
        DELIVERY,
        "destination",
        "channel",
        "touchpoint",
        "outcome",
    ),
    histogram(
        "sluice_delivery_attempt_seconds",
        "From the send to the answer",
        DELIVERY,
        "destination",
        "far_side",
        buckets=ATTEMPT_S,
        unit=SECONDS,
    ),
    histogram(
        "sluice_delivery_submission_seconds",
        "From the request of an order's create to its end, whatever that was",
        DELIVERY,
        "channel",
        buckets=SUBMIT_S,
        unit=SECONDS,
    ),
    counter(
        "sluice_delivery_kafka_answers_total",
        "Answers of channels that live on Kafka: taken, late (kept for the next attempt), unexpected (no request of "
        "this worker waits for it: a repeat, or another worker's) or nameless (without a correlation id)",
        DELIVERY,
        "channel",
        "fate",
    ),
    counter(
        "sluice_delivery_unusable_answers_total",
        "Answers with a 2xx that are no success although they do not refuse in the contract's word, by what is wrong "
        "with them (docs/responses.md): what was sent is sent again",
        DELIVERY,
        "channel",
        "touchpoint",
        "fault",
    ),
    counter(
        "sluice_delivery_taken_before_total",
        "Requests that count as delivered although a repeat was refused: the far side had carried out an attempt whose "
        "answer was lost",
        DELIVERY,
        "destination",
        "touchpoint",
    ),
    gauge("sluice_delivery_lanes_waiting", "Lanes with something to send", DELIVERY, "destination", "shard"),
    gauge("sluice_delivery_in_air", "Requests sent and not yet answered", DELIVERY, "destination", "shard"),
    gauge(
        "sluice_delivery_queue_age_seconds",
        "Age of the first request of the lane that has waited longest",
        DELIVERY,
        "destination",
        "shard",
        unit=SECONDS,
    ),
    gauge(
        "sluice_delivery_budget_used_ratio",
        "Share of a limit that is not free: 1 when the limit is spent",
        DELIVERY,
        "destination",
        "shard",
        "limit",
    ),
    gauge(
        "sluice_delivery_concurrency_allowed",
        "Requests that may be in flight at once: as configured, fewer while the destination does not keep up",
        DELIVERY,
        "destination",
        "shard",
    ),
    gauge(
        "sluice_delivery_breaker_state",
        "0: closed, all is sent; 1: one request probes whether the destination is up again; 2: open, nothing is sent",
        DELIVERY,
        "destination",
        "shard",
    ),
    gauge(
        "sluice_delivery_gate_left_seconds",
        "Rest of the pause that the far side asked for",
        DELIVERY,
        "destination",
        "shard",
        unit=SECONDS,
    ),
    gauge(
        "sluice_delivery_paused",
        "1: an operator paused the destination, and nothing is sent to it; 0: it is not paused",
        DELIVERY,
        "destination",
        "shard",
    ),
    gauge(
        "sluice_delivery_unknown_destination_requests",
        "Requests waiting for a destination that is no longer configured",
        DELIVERY,
        "partition",
    ),
    gauge(
        "sluice_delivery_subscriptions_without_runner",
        "Subscriptions to which nothing is sent, because their settings permit no dispatcher (see the log)",
        DELIVERY,
    ),
    gauge(
        "sluice_delivery_unreadable_subscriptions",
        "Subscriptions whose record this version cannot read: their facts wait",
        DELIVERY,
    ),
    gauge(
        "sluice_delivery_withheld",
        "1: facts wait, because this worker cannot sign or address them (see the log); the endpoint is not at fault",
        DELIVERY,
        "destination",
        "shard",
    ),
    counter(
        "sluice_delivery_dropped_total", "Facts that were dropped, because their subscription was deleted", DELIVERY
    ),
    gauge(
        "sluice_delivery_disabled_subscriptions",
        "Subscriptions that Sluice disabled and that are not enabled again",
        DELIVERY,
    ),
    counter(
        "sluice_delivery_subscriptions_disabled_total",
        "Subscriptions that Sluice disabled: their endpoint is `gone` (410), or was `failing` for too long",
        DELIVERY,
        "destination",
        "reason",
    ),
    counter(
        "sluice_stock_skus_total",
        "SKUs in calls to a channel: acknowledged, failed (failureList), or what the answer to the whole call meant",
        DELIVERY,
        "channel",
        "result",
    ),
    histogram(
        "sluice_stock_out_of_stock_seconds",
        "From a change of a SKU to 0 until the channel has acknowledged the 0",
        DELIVERY,
        "channel",
        buckets=STOCK_S,
        unit=SECONDS,
    ),
    gauge(
        "sluice_stock_dirty", "SKUs whose position the channel has not acknowledged", DELIVERY, "channel", "location"
    ),
    gauge(
        "sluice_stock_dirty_age_seconds",
        "Age of the SKU that has waited longest to be sent",
        DELIVERY,
        "channel",
        "location",
        unit=SECONDS,
    ),
    counter(
        "sluice_stock_drift_total",
        "SKUs that a reconciliation found wrong at the channel",
        DELIVERY,
        "channel",
        "kind",
    ),
    gauge("sluice_stock_channel_dirty", "Positions that the channel has not acknowledged", DELIVERY, "channel"),
    gauge(
        "sluice_stock_channel_oldest_age_seconds",
        "Age of the position that has waited longest to be sent",
        DELIVERY,
        "channel",
        unit=SECONDS,
    ),
    counter("sluice_stock_changes_total", "Changes of positions that were taken in", DELIVERY, "channel"),
    gauge("sluice_stock_channel_refused", "SKUs that the channel refuses", DELIVERY, "channel"),
    gauge("sluice_stock_channel_paused_locations", "Locations whose stock an operator paused", DELIVERY, "channel"),
)
