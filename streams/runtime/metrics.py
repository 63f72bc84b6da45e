"""Metrics of the runtime. Each worker has a registry of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from topics.compiled import FORM
from topics.metrics import made
from topics.metrics.disk import Disk
from topics.records.unreadable import UNREADABLE

PREFIX = "sluice_runtime_"

INVARIANT_VIOLATIONS = made.counter("sluice_invariant_violations_total", registry=None)
"""One per process, in every worker's registry: pure code counts here without being handed the worker's metrics."""


class Metrics:
    """A worker's metrics. Labels: `partition` of the source topic, `table` by its catalogue name."""

    def __init__(self, role: str, state_dir: Path = Path()) -> None:
        self.role = role
        self.registry = CollectorRegistry()
        for collector in (INVARIANT_VIOLATIONS, UNREADABLE, Disk(state_dir)):
            self.registry.register(collector)
        self.lag = self._gauge("lag_records")
        self.group_records = self._histogram("group_records")
        self.group_seconds = self._histogram("group_seconds")
        self.decided = self._counter("records_decided_total")
        self.redelivered = self._counter("records_redelivered_total")
        self.rejected = self._counter("records_rejected_total")
        self.paused = self._gauge("partition_paused")
        self.effects = self._counter("effects_total")
        self.unaddressed = self._counter("replies_unaddressed_total")
        self.table_keys = self._gauge("table_keys")
        self.table_bytes = self._gauge("table_bytes")
        self.recovery_seconds = self._gauge("recovery_seconds")
        self.rebalance_began = self._gauge("rebalance_began_timestamp_seconds")
        self.rebalance_seconds = self._gauge("rebalance_seconds")
        self.recovered = self._counter("records_recovered_total")
        self.late = self._counter("records_late_total")
        self.standby_partitions = self._gauge("standby_partitions")
        self.standby_records = self._counter("standby_records_total")
        self.partitions = self._gauge("partitions")
        self.rebalances = self._counter("rebalances_total")
        self._gauge("info").labels(role).set(1)
        made.gauge("sluice_compiled", self.registry).labels(role).set(FORM.compiled)
        self._ready = made.gauge("sluice_ready", self.registry).labels(role)

    def text(self) -> bytes:
        """The answer of /metrics, with the role's own metrics from prometheus_client's default registry."""
        return generate_latest(self.registry) + generate_latest()

    def set_ready(self, *, ready: bool) -> None:
        self._ready.set(ready)

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

    def _gauge(self, name: str) -> Gauge:
        return made.gauge(PREFIX + name, self.registry)

    def _counter(self, name: str) -> Counter:
        return made.counter(PREFIX + name, self.registry)

    def _histogram(self, name: str) -> Histogram:
        return made.histogram(PREFIX + name, self.registry)
