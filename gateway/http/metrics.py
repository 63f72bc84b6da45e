"""The metrics of the gateway. Counting is plain arithmetic; the types of Prometheus are made when it scrapes.

Each gateway has a registry of its own, so that several can run in one process.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from topics.compiled import FORM
from topics.metrics import made
from topics.metrics.disk import Disk
from topics.metrics.of_processes import ACCEPT_S
from topics.records.unreadable import UNREADABLE

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
NO_CHANNEL = "-"
"""The channel of calls of which it is not known whose they are."""


class _Histogram:
    """How many requests took how long. `counts`: those below each bound and not below the one before it."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(ACCEPT_S) + 1)
        self.total = 0.0

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, as Prometheus wants them."""
        sums: list[tuple[str, float]] = []
        so_far = 0
        for bound, count in zip((*map(str, ACCEPT_S), "+Inf"), self.counts, strict=True):
            so_far += count
            sums.append((bound, so_far))
        return sums


def _observe(histograms: dict[str, _Histogram], label: str, seconds: float) -> None:
    histogram = histograms.get(label)
    if histogram is None:
        histogram = histograms[label] = _Histogram()
    histogram.counts[bisect_left(ACCEPT_S, seconds)] += 1
    histogram.total += seconds


class Metrics(Collector):
    def __init__(self, state_dir: Path = Path()) -> None:
        self._requests: dict[tuple[str, str, int], int] = {}
        self._histograms: dict[str, _Histogram] = {}
        self._verdicts: dict[str, _Histogram] = {}
        self.records = 0
        self.producer_rebuilds = 0
        self._replies: dict[str, int] = {}
        self._failed_authentications: dict[tuple[str, str], int] = {}
        self.bytes_in_flight: Callable[[], int] = int
        self.waiters: Callable[[], int] = int
        self.more: Callable[[], Iterable[Metric]] = tuple
        """Metrics of a part that makes its own."""
        self.connections: Callable[[], int] = int
        self.connections_ended: Mapping[str, int] = {}
        self.malformed: Mapping[str, int] = {}
        self.refused_calls_left_out: Mapping[str, int] = {}
        self.is_ready: Callable[[], bool] = bool
        self.registry = CollectorRegistry()
        for collector in (self, UNREADABLE, Disk(state_dir)):
            self.registry.register(collector)
        for of_process in (ProcessCollector, PlatformCollector, GCCollector):
            of_process(registry=self.registry)

    def count_request(self, channel: str, touchpoint: str, status: int, seconds: float) -> None:
        key = channel, touchpoint, status
        self._requests[key] = self._requests.get(key, 0) + 1
        _observe(self._histograms, touchpoint, seconds)

    def count_verdict(self, channel: str, seconds: float) -> None:
        """A call whose wait for a verdict has ended, with one or without."""
        _observe(self._verdicts, channel, seconds)

    def count_reply(self, verdict: str) -> None:
        """A reply that a request waited for."""
        self._replies[verdict] = self._replies.get(verdict, 0) + 1

    def count_failed_authentication(self, side: str, brake: str) -> None:
        """A caller that was not let in. `brake`: what it did, see gateway.access.brake."""
        self._failed_authentications[side, brake] = self._failed_authentications.get((side, brake), 0) + 1

    def text(self) -> bytes:
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        requests = made.counter_family("sluice_gateway_requests_total")
        for (channel, touchpoint, status), count in self._requests.items():
            requests.add_metric([channel, touchpoint, str(status)], count)
        yield requests
        for name, histograms in (
            ("sluice_gateway_request_seconds", self._histograms),
            ("sluice_gateway_verdict_seconds", self._verdicts),
        ):
            seconds = made.histogram_family(name)
            for label, histogram in histograms.items():
                seconds.add_metric([label], histogram.buckets(), histogram.total)
            yield seconds
        for name, value in (("sluice_compiled", FORM.compiled), ("sluice_ready", self.is_ready())):
            of_role = made.gauge_family(name)
            of_role.add_metric(["gateway"], value)
            yield of_role
        yield made.counter_family("sluice_gateway_records_total", self.records)
        yield made.counter_family("sluice_gateway_producer_rebuilds_total", self.producer_rebuilds)
        yield made.gauge_family("sluice_gateway_in_flight_bytes", self.bytes_in_flight())
        yield made.gauge_family("sluice_gateway_waiters", self.waiters())
        yield made.gauge_family("sluice_gateway_connections", self.connections())
        failed = made.counter_family("sluice_gateway_failed_authentications_total")
        for labels, count in self._failed_authentications.items():
            failed.add_metric(labels, count)
        yield failed
        for name, counts in (
            ("sluice_gateway_replies_total", self._replies),
            ("sluice_gateway_connections_ended_total", self.connections_ended),
            ("sluice_gateway_malformed_requests_total", self.malformed),
            ("sluice_gateway_refused_calls_left_out_total", self.refused_calls_left_out),
        ):
            family = made.counter_family(name)
            for one, count in counts.items():
                family.add_metric([one], count)
            yield family
        yield from self.more()
