"""Metrics of the journal role, all named here."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from topics.compiled import COMPILED, COMPILED_HELP, FORM
from topics.records.unreadable import UNREADABLE

_PREFIX = "sluice_journal_"
_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""One bound is on the objective: a record is in the journal within a second."""


class JournalMetrics:
    """A process's metrics. Labels: `topic` by its catalogue name, `table`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(UNREADABLE)
        of = self.registry
        self.age = Gauge(_PREFIX + "age_seconds", "How far the journal is behind the topics, in time", registry=of)
        self.lag = Gauge(_PREFIX + "lag_records", "Records that are not in the journal yet", ["topic"], registry=of)
        self.partitions = Gauge(_PREFIX + "partitions", "Partitions that this process follows", registry=of)
        self.records = Counter(_PREFIX + "records_total", "Records that were read", ["topic"], registry=of)
        self.rows = Counter(_PREFIX + "rows_total", "Rows that were written, repeats included", ["table"], registry=of)
        self.batch_seconds = Histogram(
            _PREFIX + "batch_seconds", "Time to read and write a batch of records", buckets=_SECONDS, registry=of
        )
        self.delay_seconds = Histogram(
            _PREFIX + "delay_seconds",
            "Time from the oldest record of a batch to its transaction's end",
            buckets=_SECONDS,
            registry=of,
        )
        self.lost = Counter(
            _PREFIX + "batches_lost_total",
            "Batches that were not written, because another process had a partition of theirs",
            registry=of,
        )
        self.failed = Counter(
            _PREFIX + "batches_failed_total", "Batches that were not written, because the database failed", registry=of
        )
        self.deleted = Counter(
            _PREFIX + "rows_deleted_total", "Rows, or partitions of a month, that retention deleted", registry=of
        )
        Gauge(COMPILED, COMPILED_HELP, ["role"], registry=of).labels("journal").set(FORM.compiled)

    def text(self) -> bytes:
        """The answer of /metrics."""
        return generate_latest(self.registry) + generate_latest()
