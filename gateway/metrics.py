"""Every metric of the gateway, by name. One registry per gateway, so that several may live in one process."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 45.0)
"""From a verdict when all is well to the moment when a caller of a relay gives up."""


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "sluice_gateway_requests",
            "Requests answered, by touchpoint and HTTP status",
            ["touchpoint", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "sluice_gateway_request_seconds",
            "From the request's head to its answer",
            ["touchpoint"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.records = Counter(
            "sluice_gateway_records", "Records acknowledged by all in-sync replicas", registry=self.registry
        )
        self.records_bytes_in_flight = Gauge(
            "sluice_gateway_records_bytes_in_flight", "Handed to Kafka, not acknowledged yet", registry=self.registry
        )
        self.producer_rebuilds = Counter(
            "sluice_gateway_producer_rebuilds", "Producers replaced after a fatal error", registry=self.registry
        )
        self.replies = Counter(
            "sluice_gateway_replies", "Replies read that somebody waited for", registry=self.registry
        )
        self.waiters = Gauge("sluice_gateway_waiters", "Requests that wait for a reply", registry=self.registry)
        self._children: dict[tuple[str, int], Counter] = {}
        self._timers: dict[str, Histogram] = {}

    def answered(self, touchpoint: str, status: int, seconds: float) -> None:
        """One request. Label children are kept: looking them up costs more than counting."""
        child = self._children.get((touchpoint, status))
        if child is None:
            child = self._children[touchpoint, status] = self._requests.labels(touchpoint, str(status))
        timer = self._timers.get(touchpoint)
        if timer is None:
            timer = self._timers[touchpoint] = self._seconds.labels(touchpoint)
        child.inc()
        timer.observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self.registry)
