"""Metrics of the runtime, all named here. Each worker has a registry of its own."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from topics.compiled import COMPILED, COMPILED_HELP, FORM
from topics.records.unreadable import UNREADABLE

PREFIX = "sluice_runtime_"
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_SIZES = (1, 5, 20, 100, 500, 2_000, 10_000, 50_000)

INVARIANT_VIOLATIONS = Counter(
    "sluice_invariant_violations_total",
    "Checks of durable state that failed; each is a defect: alert on any",
    ["invariant"],
    registry=None,
)
"""One per process, in every worker's registry: pure code counts here without being handed the worker's metrics."""


class Metrics:
    """A worker's metrics. Labels: `partition` of the source topic, `table` by its catalogue name."""

    def __init__(self, role: str) -> None:
        self.role = role
        self.registry = CollectorRegistry()
        self.registry.register(INVARIANT_VIOLATIONS)
        self.registry.register(UNREADABLE)
        self.lag = self._gauge(
            "lag_records", "Records of the source topic not yet finished: decided and durable", "partition"
        )
        self.group_records = self._histogram("group_records", "Records written by one commit group", _SIZES)
        self.group_seconds = self._histogram(
            "group_seconds", "Time from closing a commit group to its last acknowledgement", _SECONDS
        )
        self.decided = self._counter("records_decided_total", "Records of the source topic that were decided")
        self.redelivered = self._counter(
            "records_redelivered_total", "Records skipped because the state was already made from them"
        )
        self.rejected = self._counter("records_rejected_total", "Records set aside in commands.rejected", "code")
        self.paused = self._gauge(
            "partition_paused",
            "1 for a partition that waits at a record whose decision fails: alert on any",
            "partition",
        )
        self.effects = self._counter("effects_total", "Records published as effects")
        self.unaddressed = self._counter(
            "replies_unaddressed_total", "Replies that were not sent: the topic or partition they name does not exist"
        )
        self.table_keys = self._gauge("table_keys", "Keys of a table in this worker's partitions", "table")
        self.table_bytes = self._gauge("table_bytes", "Bytes of a table's values in this worker's partitions", "table")
        self.recovery_seconds = self._gauge("recovery_seconds", "What the last recovery of tables took")
        self.rebalance_began = self._gauge(
            "rebalance_began_timestamp_seconds", "When this worker learned of the last rebalance, in Unix time"
        )
        self.rebalance_seconds = self._gauge(
            "rebalance_seconds", "What the steps of the last rebalance took (docs/operations.md)", "step"
        )
        self.recovered = self._counter("records_recovered_total", "Changelog records read by recoveries")
        self.late = self._counter(
            "records_late_total", "Records a former owner wrote into a changelog behind its successor's claim"
        )
        self.standby_partitions = self._gauge(
            "standby_partitions", "Partitions of other workers whose tables are kept current here"
        )
        self.standby_records = self._counter(
            "standby_records_total", "Changelog records of other workers' partitions that were applied here"
        )
        self.partitions = self._gauge("partitions", "Partitions of the source topic that this worker owns")
        self.rebalances = self._counter("rebalances_total", "Assignments of partitions this worker got")
        self._gauge("info", "The role of this worker", "role").labels(role).set(1)
        compiled = Gauge(COMPILED, COMPILED_HELP, ["role"], registry=self.registry)
        compiled.labels(role).set(FORM.compiled)

    def text(self) -> bytes:
        """The answer of /metrics, with the role's own metrics from prometheus_client's default registry."""
        return generate_latest(self.registry) + generate_latest()

    def set_lag(self, lag: Mapping[int, int]) -> None:
        """By partition; those that left have none."""
        self.lag.clear()
        for partition, records in lag.items():
            self.lag.labels(str(partition)).set(records)

    def set_sizes(self, sizes: Mapping[str, tuple[int, int]]) -> None:
        """By table: keys, and bytes of values."""
        for table, (keys, size) in sizes.items():
            self.table_keys.labels(table).set(keys)
            self.table_bytes.labels(table).set(size)

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(PREFIX + name, what, labels, registry=self.registry)

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, what, labels, registry=self.registry)

    def _histogram(self, name: str, what: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(PREFIX + name, what, buckets=buckets, registry=self.registry)
