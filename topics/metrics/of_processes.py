"""Metrics of every role, and of the gateway."""

from __future__ import annotations

from typing import Final

from topics.metrics.definition import ALL, BYTES, GATEWAY, SECONDS, counter, gauge, histogram

ACCEPT_S: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 45.0)
"""From the time of a verdict when all is well to the time when the caller of a relay gives up; 1 is an objective."""

ALL_METRICS: Final = (
    gauge(
        "sluice_compiled",
        "1 where the compiled form of modules runs (`make compiled`), 0 where all are interpreted",
        ALL,
        "role",
    ),
    gauge("sluice_ready", "1 while /ready answers 200, else 0", ALL, "role"),
    gauge(
        "sluice_disk_free_bytes", "Bytes that are free for this process where its state directory lies", ALL, unit=BYTES
    ),
    gauge("sluice_disk_size_bytes", "Bytes of the disk with its state directory", ALL, unit=BYTES),
    counter(
        "sluice_unreadable_records_total",
        "Records of followed topics and of tables that this process cannot read",
        ALL,
        "topic",
    ),
)


GATEWAY_METRICS: Final = (
    counter("sluice_gateway_requests_total", "Requests answered", GATEWAY, "channel", "touchpoint", "status"),
    histogram(
        "sluice_gateway_request_seconds",
        "From the request's head to its answer",
        GATEWAY,
        "touchpoint",
        buckets=ACCEPT_S,
        unit=SECONDS,
    ),
    histogram(
        "sluice_gateway_verdict_seconds",
        "From a call that waits for a verdict to its verdict, or to the end of the wait; calls that wait for a far "
        "side are left out",
        GATEWAY,
        "channel",
        buckets=ACCEPT_S,
        unit=SECONDS,
    ),
    counter("sluice_gateway_records_total", "Records acknowledged by all in-sync replicas", GATEWAY),
    counter("sluice_gateway_producer_rebuilds_total", "Producers replaced after a fatal error", GATEWAY),
    counter("sluice_gateway_replies_total", "Replies read that a request waited for", GATEWAY, "verdict"),
    counter(
        "sluice_gateway_failed_authentications_total",
        "Callers that were not let in, by side and what the brake did: `off`; `on`: their credentials were not looked "
        "at; `spared`: there were too many wrong ones, from an address that is trusted for this name",
        GATEWAY,
        "side",
        "brake",
    ),
    gauge("sluice_gateway_in_flight_bytes", "Bytes handed to Kafka and not acknowledged yet", GATEWAY, unit=BYTES),
    gauge("sluice_gateway_waiters", "Requests that wait for a reply", GATEWAY),
    gauge("sluice_gateway_connections", "Open connections of callers", GATEWAY),
    counter(
        "sluice_gateway_connections_ended_total",
        "Connections that the gateway ended or did not take (connections.md)",
        GATEWAY,
        "reason",
    ),
    counter(
        "sluice_gateway_malformed_requests_total",
        "Requests that are not well-formed HTTP (connections.md)",
        GATEWAY,
        "class",
    ),
    counter(
        "sluice_gateway_refused_calls_left_out_total",
        "Refused calls that are in the access log, and not in the history of their order: too many came at once",
        GATEWAY,
        "channel",
    ),
    gauge("sluice_gateway_calls_in_hand", "Calls that are worked on", GATEWAY, "channel"),
    gauge("sluice_gateway_calls_limit", "Calls that may be in hand at once now", GATEWAY),
    gauge("sluice_gateway_relays_waiting", "Relays that wait for their far sides", GATEWAY),
    counter(
        "sluice_gateway_refused_total",
        "Requests refused because a bound was reached: calls, relays, api",
        GATEWAY,
        "channel",
        "reason",
    ),
    counter(
        "sluice_gateway_standstills_total", "Times that this process stood still for longer than two seconds", GATEWAY
    ),
    counter(
        "sluice_gateway_stood_still_refused_total",
        "Requests refused because they may have waited while this process stood still",
        GATEWAY,
    ),
    counter(
        "sluice_gateway_loop_late_seconds_total",
        "By how much the event loop was late in all",
        GATEWAY,
        unit=SECONDS,
    ),
    counter(
        "sluice_gateway_memory_trims_total",
        "Times that the process gave memory back to the system after a busy time",
        GATEWAY,
    ),
)
