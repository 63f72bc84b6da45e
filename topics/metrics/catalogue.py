"""The catalogue of metrics: everything that /metrics of a role says. docs/metrics.md is made from it.

Metrics are made from these entries (topics/metrics/made.py), and a test compares them with what each role exposes. Base
units: seconds, bytes. A label has a bound, so that no caller can make series: a channel, for one, is a name of
channels.toml, never one that a request claims.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from topics.metrics.client_metrics import CLIENT
from topics.metrics.definition import (
    ALL,
    DELIVERY,
    GATEWAY,
    INVENTORY,
    JOURNAL,
    ORDERS,
    STREAMS,
    Label,
    Metric,
    counter,
    gauge,
    histogram,
)

SECONDS, BYTES = "seconds", "bytes"
ACCEPT_S: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 45.0)
"""From the time of a verdict when all is well to the time when the caller of a relay gives up; 1 is an objective."""
ATTEMPT_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 45)
SUBMIT_S: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0)
"""60 is an objective."""
STOCK_S: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
"""10 is an objective."""
GROUP_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
GROUP_RECORDS: Final = (1, 5, 20, 100, 500, 2_000, 10_000, 50_000)
JOURNAL_S: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""1 is an objective."""

LABELS: Final[Mapping[str, Label]] = MappingProxyType(
    {
        "brake": Label("what the brake on guesses did", "3"),
        "channel": Label("a name of channels.toml; `-` where it is not known whose call it is", "channels"),
        "class": Label("class of what came", "10"),
        "code": Label("code of the reason", "20"),
        "destination": Label("`increff`, `channel:NAME`, `subscription:ID`", "destinations"),
        "far_side": Label("http, kafka, self", "3"),
        "fate": Label("what became of it", "4"),
        "fault": Label("what is wrong", "10"),
        "generation": Label("of Python's garbage collector", "3"),
        "how": Label("how it ended", "6"),
        "implementation": Label("of Python", "1"),
        "invariant": Label("name of the check", "30"),
        "kind": Label("kind of the difference", "3"),
        "limit": Label("name of a limit of the destination's budget", "limits"),
        "location": Label("code of a location of the channel", "locations"),
        "major": Label("of Python's version", "1"),
        "minor": Label("of Python's version", "1"),
        "outcome": Label("how the request ended", "6"),
        "partition": Label("partition of the role's source topic", "partitions"),
        "patchlevel": Label("of Python's version", "1"),
        "reason": Label("why", "12"),
        "response_class": Label("class of the answer (responses.md)", "8"),
        "result": Label("what the answer meant", "8"),
        "role": Label("the role of the process", "1"),
        "shard": Label("part of the destination, by partition", "partitions"),
        "side": Label("marketplace, increff, api", "3"),
        "status": Label("HTTP status of the answer", "20"),
        "step": Label("a step of the order (orders.md), or of a rebalance (operations.md)", "12"),
        "table": Label("a table, by its catalogue name", "20"),
        "topic": Label("a topic, by its catalogue name", "20"),
        "touchpoint": Label("a call of the contract, or the label of a route of `/api`", "100"),
        "verdict": Label("a verdict of the orders role", "12"),
        "version": Label("of Python", "1"),
    }
)

_GATEWAY: Final = (
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

_RUNTIME: Final = (
    gauge(
        "sluice_runtime_lag_records",
        "Records of the source topic not yet finished: decided and durable",
        STREAMS,
        "partition",
    ),
    histogram("sluice_runtime_group_records", "Records written by one commit group", STREAMS, buckets=GROUP_RECORDS),
    histogram(
        "sluice_runtime_group_seconds",
        "Time from closing a commit group to its last acknowledgement",
        STREAMS,
        buckets=GROUP_S,
        unit=SECONDS,
    ),
    counter("sluice_runtime_records_decided_total", "Records of the source topic that were decided", STREAMS),
    counter(
        "sluice_runtime_records_redelivered_total",
        "Records skipped because the state was already made from them",
        STREAMS,
    ),
    counter("sluice_runtime_records_rejected_total", "Records set aside in commands.rejected", STREAMS, "code"),
    gauge(
        "sluice_runtime_partition_paused",
        "1 for a partition that waits at a record whose decision fails: alert on any",
        STREAMS,
        "partition",
    ),
    counter("sluice_runtime_effects_total", "Records published as effects", STREAMS),
    counter(
        "sluice_runtime_replies_unaddressed_total",
        "Replies that were not sent: the topic or partition they name does not exist",
        STREAMS,
    ),
    gauge("sluice_runtime_table_keys", "Keys of a table in this worker's partitions", STREAMS, "table"),
    gauge(
        "sluice_runtime_table_bytes",
        "Bytes of a table's values in this worker's partitions",
        STREAMS,
        "table",
        unit=BYTES,
    ),
    gauge("sluice_runtime_recovery_seconds", "What the last recovery of tables took", STREAMS, unit=SECONDS),
    gauge(
        "sluice_runtime_rebalance_began_timestamp_seconds",
        "When this worker learned of the last rebalance, in Unix time",
        STREAMS,
        unit=SECONDS,
    ),
    gauge(
        "sluice_runtime_rebalance_seconds",
        "What the steps of the last rebalance took (docs/operations.md)",
        STREAMS,
        "step",
        unit=SECONDS,
    ),
    counter("sluice_runtime_records_recovered_total", "Changelog records read by recoveries", STREAMS),
    counter(
        "sluice_runtime_records_late_total",
        "Records a former owner wrote into a changelog behind its successor's claim",
        STREAMS,
    ),
    gauge(
        "sluice_runtime_standby_partitions",
        "Partitions of other workers whose tables are kept current here",
        STREAMS,
    ),
    counter(
        "sluice_runtime_standby_records_total",
        "Changelog records of other workers' partitions that were applied here",
        STREAMS,
    ),
    gauge("sluice_runtime_partitions", "Partitions of the source topic that this worker owns", STREAMS),
    counter("sluice_runtime_rebalances_total", "Assignments of partitions this worker got", STREAMS),
    gauge("sluice_runtime_info", "1, with the role of this worker", STREAMS, "role"),
    counter(
        "sluice_invariant_violations_total",
        "Checks of durable state that failed; each is a defect: alert on any",
        STREAMS,
        "invariant",
    ),
)

_ORDERS: Final = (
    counter(
        "sluice_orders_verdicts_total",
        "Commands decided, over HTTP and Kafka, by what became of them",
        ORDERS,
        "channel",
        "verdict",
    ),
    gauge(
        "sluice_orders_stuck",
        "Waits of this worker's orders that are longer than their channel allows",
        ORDERS,
        "partition",
        "step",
    ),
)

_INVENTORY: Final = (
    counter(
        "sluice_inventory_stale_skus_total",
        "SKUs of records that came so late that a newer word was known; they changed nothing",
        INVENTORY,
    ),
    counter(
        "sluice_inventory_snapshot_records_ignored_total",
        "Records of snapshots that count for nothing: `unknown` (no such snapshot is open), `over` (it ended or was "
        "abandoned), `repeated`",
        INVENTORY,
        "reason",
    ),
    counter(
        "sluice_inventory_snapshots_total", "Snapshots that ended: applied, or abandoned and why", INVENTORY, "how"
    ),
)

_DELIVERY: Final = (
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

_JOURNAL: Final = (
    gauge("sluice_journal_age_seconds", "How far the journal is behind the topics, in time", JOURNAL, unit=SECONDS),
    gauge("sluice_journal_lag_records", "Records that are not in the journal yet", JOURNAL, "topic"),
    gauge("sluice_journal_partitions", "Partitions that this process follows", JOURNAL),
    counter("sluice_journal_records_total", "Records that were read", JOURNAL, "topic"),
    counter("sluice_journal_rows_total", "Rows that were written, repeats included", JOURNAL, "table"),
    histogram(
        "sluice_journal_batch_seconds",
        "Time to read and write a batch of records",
        JOURNAL,
        buckets=JOURNAL_S,
        unit=SECONDS,
    ),
    histogram(
        "sluice_journal_delay_seconds",
        "Time from the oldest record of a batch to its transaction's end",
        JOURNAL,
        buckets=JOURNAL_S,
        unit=SECONDS,
    ),
    counter(
        "sluice_journal_batches_lost_total",
        "Batches that were not written, because another process had a partition of theirs",
        JOURNAL,
    ),
    counter(
        "sluice_journal_batches_failed_total", "Batches that were not written, because the database failed", JOURNAL
    ),
    counter("sluice_journal_rows_deleted_total", "Rows, or partitions of a month, that retention deleted", JOURNAL),
)

_ALL: Final = (
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

METRICS: Final[tuple[Metric, ...]] = (
    *_ALL,
    *_GATEWAY,
    *_RUNTIME,
    *_ORDERS,
    *_INVENTORY,
    *_DELIVERY,
    *_JOURNAL,
    *CLIENT,
)
BY_NAME: Final[Mapping[str, Metric]] = MappingProxyType({one.name: one for one in METRICS})
