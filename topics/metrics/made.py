"""Makes metrics of prometheus_client as the catalogue says, so none has other labels, buckets or words than it."""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from topics.metrics.catalogue import BY_NAME
from topics.metrics.definition import COUNTER, GAUGE, HISTOGRAM, Metric


def counter(name: str, registry: CollectorRegistry | None = REGISTRY) -> Counter:
    one = _of_kind(name, COUNTER)
    return Counter(one.name, one.meaning, one.labels, registry=registry)


def gauge(name: str, registry: CollectorRegistry | None = REGISTRY) -> Gauge:
    one = _of_kind(name, GAUGE)
    return Gauge(one.name, one.meaning, one.labels, registry=registry)


def histogram(name: str, registry: CollectorRegistry | None = REGISTRY) -> Histogram:
    one = _of_kind(name, HISTOGRAM)
    return Histogram(one.name, one.meaning, one.labels, registry=registry, buckets=one.buckets)


def counter_family(name: str, value: float | None = None) -> CounterMetricFamily:
    one = _of_kind(name, COUNTER)
    return CounterMetricFamily(one.family, one.meaning, value=value, labels=one.labels or None)


def gauge_family(name: str, value: float | None = None) -> GaugeMetricFamily:
    one = _of_kind(name, GAUGE)
    return GaugeMetricFamily(one.name, one.meaning, value=value, labels=one.labels or None)


def histogram_family(name: str) -> HistogramMetricFamily:
    one = _of_kind(name, HISTOGRAM)
    return HistogramMetricFamily(one.name, one.meaning, labels=one.labels)


def _of_kind(name: str, kind: str) -> Metric:
    one = BY_NAME[name]
    if one.kind != kind:
        raise ValueError(f"{name} is a {one.kind} in topics/metrics/catalogue.py, not a {kind}")
    return one
