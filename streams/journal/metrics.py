"""Metrics of the journal role, all named here."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from topics.compiled import FORM
from topics.metrics import made
from topics.metrics.disk import Disk
from topics.records.unreadable import UNREADABLE

_PREFIX = "sluice_journal_"


class JournalMetrics:
    """A process's metrics. Labels: `topic` by its catalogue name, `table`."""

    def __init__(self, state_dir: Path = Path()) -> None:
        self.registry = CollectorRegistry()
        for collector in (UNREADABLE, Disk(state_dir)):
            self.registry.register(collector)
        self.age = self._gauge("age_seconds")
        self.lag = self._gauge("lag_records")
        self.partitions = self._gauge("partitions")
        self.records = self._counter("records_total")
        self.rows = self._counter("rows_total")
        self.batch_seconds = self._histogram("batch_seconds")
        self.delay_seconds = self._histogram("delay_seconds")
        self.lost = self._counter("batches_lost_total")
        self.failed = self._counter("batches_failed_total")
        self.deleted = self._counter("rows_deleted_total")
        made.gauge("sluice_compiled", self.registry).labels("journal").set(FORM.compiled)
        self._ready = made.gauge("sluice_ready", self.registry).labels("journal")

    def set_ready(self, *, ready: bool) -> None:
        self._ready.set(ready)

    def text(self) -> bytes:
        """The answer of /metrics."""
        return generate_latest(self.registry) + generate_latest()

    def _gauge(self, name: str) -> Gauge:
        return made.gauge(_PREFIX + name, self.registry)

    def _counter(self, name: str) -> Counter:
        return made.counter(_PREFIX + name, self.registry)

    def _histogram(self, name: str) -> Histogram:
        return made.histogram(_PREFIX + name, self.registry)
