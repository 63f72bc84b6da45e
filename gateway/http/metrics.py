"""The metrics of the gateway. Counting is plain arithmetic; the types of Prometheus are made when it scrapes.

Each gateway has a registry of its own, so that several can run in one process.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from topics.compiled import COMPILED, COMPILED_HELP, FORM
from topics.records.unreadable import UNREADABLE

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 45.0)
"""From the time of a verdict when all is well to the time when the caller of a relay gives up."""


class _Histogram:
    """How many requests took how long. `counts`: those below each bound and not below the one before it."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(SECONDS) + 1)
        self.total = 0.0

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, as Prometheus wants them."""
        sums: list[tuple[str, float]] = []
        so_far = 0
        for bound, count in zip((*map(str, SECONDS), "+Inf"), self.counts, strict=True):
            so_far += count
            sums.append((bound, so_far))
        return sums


class Metrics(Collector):
    def __init__(self) -> None:
        self._requests: dict[tuple[str, int], int] = {}
        self._histograms: dict[str, _Histogram] = {}
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
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def count_request(self, touchpoint: str, status: int, seconds: float) -> None:
        self._requests[touchpoint, status] = self._requests.get((touchpoint, status), 0) + 1
        histogram = self._histograms.get(touchpoint)
        if histogram is None:
            histogram = self._histograms[touchpoint] = _Histogram()
        histogram.counts[bisect_left(SECONDS, seconds)] += 1
        histogram.total += seconds

    def count_reply(self, verdict: str) -> None:
        """A reply that a request waited for."""
        self._replies[verdict] = self._replies.get(verdict, 0) + 1

    def count_failed_authentication(self, side: str, brake: str) -> None:
        """A caller that was not let in. `brake`: what it did, see gateway.access.brake."""
        self._failed_authentications[side, brake] = self._failed_authentications.get((side, brake), 0) + 1

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "sluice_gateway_requests",
            "Requests answered, by touchpoint and HTTP status",
            labels=["touchpoint", "status"],
        )
        for (touchpoint, status), count in self._requests.items():
            requests.add_metric([touchpoint, str(status)], count)
        yield requests
        seconds = HistogramMetricFamily(
            "sluice_gateway_request_seconds", "From the request's head to its answer", labels=["touchpoint"]
        )
        for touchpoint, histogram in self._histograms.items():
            seconds.add_metric([touchpoint], histogram.buckets(), histogram.total)
        yield seconds
        compiled = GaugeMetricFamily(COMPILED, COMPILED_HELP, labels=["role"])
        compiled.add_metric(["gateway"], FORM.compiled)
        yield compiled
        yield CounterMetricFamily(
            "sluice_gateway_records", "Records acknowledged by all in-sync replicas", value=self.records
        )
        yield CounterMetricFamily(
            "sluice_gateway_producer_rebuilds", "Producers replaced after a fatal error", value=self.producer_rebuilds
        )
        replies = CounterMetricFamily(
            "sluice_gateway_replies", "Replies read that a request waited for, by verdict", labels=["verdict"]
        )
        for verdict, count in self._replies.items():
            replies.add_metric([verdict], count)
        yield replies
        failed = CounterMetricFamily(
            "sluice_gateway_failed_authentications",
            "Callers that were not let in, by side and what the brake did: `off`; `on`: their credentials were not "
            "looked at; `spared`: there were too many wrong ones, from an address that is trusted for this name",
            labels=["side", "brake"],
        )
        for labels, count in self._failed_authentications.items():
            failed.add_metric(labels, count)
        yield failed
        yield GaugeMetricFamily(
            "sluice_gateway_records_bytes_in_flight",
            "Bytes handed to Kafka and not acknowledged yet",
            value=self.bytes_in_flight(),
        )
        yield from UNREADABLE.collect()
        yield GaugeMetricFamily("sluice_gateway_waiters", "Requests that wait for a reply", value=self.waiters())
        yield from self.more()
        yield GaugeMetricFamily("sluice_gateway_connections", "Open connections of callers", value=self.connections())
        ended = CounterMetricFamily(
            "sluice_gateway_connections_ended",
            "Connections that the gateway ended or did not take, by reason",
            labels=["reason"],
        )
        for reason, count in self.connections_ended.items():
            ended.add_metric([reason], count)
        yield ended
        malformed = CounterMetricFamily(
            "sluice_gateway_malformed_requests", "Requests that are not well-formed HTTP, by class", labels=["class"]
        )
        for fault, count in self.malformed.items():
            malformed.add_metric([fault], count)
        yield malformed
        left_out = CounterMetricFamily(
            "sluice_gateway_refused_calls_left_out",
            "Refused calls that are in the access log, and not in the history of their order: too many came at once",
            labels=["channel"],
        )
        for channel, count in self.refused_calls_left_out.items():
            left_out.add_metric([channel], count)
        yield left_out
