"""Metrics of orders, inventory and delivery alike, of orders, of inventory, and of the journal."""

from __future__ import annotations

from typing import Final

from topics.metrics.definition import BYTES, INVENTORY, JOURNAL, ORDERS, SECONDS, STREAMS, counter, gauge, histogram

GROUP_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
GROUP_RECORDS: Final = (1, 5, 20, 100, 500, 2_000, 10_000, 50_000)
JOURNAL_S: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""1 is an objective."""

RUNTIME_METRICS: Final = (
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

ORDERS_METRICS: Final = (
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

INVENTORY_METRICS: Final = (
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

JOURNAL_METRICS: Final = (
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
