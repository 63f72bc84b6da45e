"""METRICS: the one place where the runtime's metrics are named. Each worker has a registry of its own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client import generate_latest as _generate

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_SIZES = (1, 5, 20, 100, 500, 2_000, 10_000, 50_000)


class Metrics:
    """What a worker reports on /metrics. Labels: `partition` of the source topic, `table` by its catalogue name."""

    def __init__(self, role: str) -> None:
        registry = CollectorRegistry()
        registry_of = {"registry": registry, "namespace": "sluice", "subsystem": "runtime"}
        self.registry = registry
        self.lag = Gauge("lag_records", "Records of the source topic not yet decided", ["partition"], **registry_of)
        self.group_records = Histogram(
            "group_records", "Records written by one commit group", buckets=_SIZES, **registry_of
        )
        self.group_seconds = Histogram(
            "group_seconds",
            "Time from closing a commit group to its last acknowledgement",
            buckets=_SECONDS,
            **registry_of,
        )
        self.decided = Counter("records_decided_total", "Records of the source topic that were decided", **registry_of)
        self.redelivered = Counter(
            "records_redelivered_total", "Records skipped because the state was already made from them", **registry_of
        )
        self.rejected = Counter(
            "records_rejected_total", "Records set aside in commands.rejected", ["code"], **registry_of
        )
        self.effects = Counter("effects_total", "Records published as effects", **registry_of)
        self.table_keys = Gauge(
            "table_keys", "Keys of a table in the partitions of this worker", ["table"], **registry_of
        )
        self.table_bytes = Gauge(
            "table_bytes", "Bytes of the values of a table in the partitions of this worker", ["table"], **registry_of
        )
        self.recovery_seconds = Gauge("recovery_seconds", "What the last recovery of tables took", **registry_of)
        self.recovered = Counter("records_recovered_total", "Changelog records read by recoveries", **registry_of)
        self.partitions = Gauge("partitions", "Partitions of the source topic that this worker owns", **registry_of)
        self.rebalances = Counter("rebalances_total", "Assignments of partitions this worker got", **registry_of)
        Gauge("info", "The role of this worker", ["role"], **registry_of).labels(role).set(1)

    def text(self) -> bytes:
        return _generate(self.registry)
