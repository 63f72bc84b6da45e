"""The form of the catalogue: metrics and labels."""

from __future__ import annotations

from typing import Final

from topics.values import Value

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
SECONDS, BYTES = "seconds", "bytes"
"""Units; other metrics count."""

GATEWAY: Final = ("gateway",)
ORDERS: Final = ("orders",)
INVENTORY: Final = ("inventory",)
DELIVERY: Final = ("delivery",)
JOURNAL: Final = ("journal",)
STREAMS: Final = ("orders", "inventory", "delivery")
ALL: Final = ("gateway", *STREAMS, "journal")


class Metric(Value, frozen=True, kw_only=True):
    """A metric as it is exposed. `name` ends in `_total` for a counter, and in its unit where it has one. `roles`:
    those whose /metrics have it. `labels`: each is in LABELS. `buckets`: upper bounds of a histogram, one on each
    objective."""

    name: str
    kind: str
    meaning: str
    roles: tuple[str, ...]
    labels: tuple[str, ...] = ()
    unit: str = ""
    buckets: tuple[float, ...] = ()

    @property
    def family(self) -> str:
        """The name under which the client library keeps it."""
        return self.name.removesuffix("_total") if self.kind == COUNTER else self.name

    @property
    def series(self) -> tuple[str, ...]:
        """The names that queries use."""
        if self.kind != HISTOGRAM:
            return (self.name,)
        return tuple(f"{self.name}_{end}" for end in ("bucket", "count", "sum"))


class Label(Value, frozen=True):
    """A label: what its values are, and how many there can be in one process."""

    meaning: str
    bound: str


def counter(name: str, meaning: str, roles: tuple[str, ...], *labels: str, unit: str = "") -> Metric:
    return Metric(name=name, kind=COUNTER, meaning=meaning, roles=roles, labels=labels, unit=unit)


def gauge(name: str, meaning: str, roles: tuple[str, ...], *labels: str, unit: str = "") -> Metric:
    return Metric(name=name, kind=GAUGE, meaning=meaning, roles=roles, labels=labels, unit=unit)


def histogram(
    name: str, meaning: str, roles: tuple[str, ...], *labels: str, buckets: tuple[float, ...], unit: str = ""
) -> Metric:
    return Metric(name=name, kind=HISTOGRAM, meaning=meaning, roles=roles, labels=labels, unit=unit, buckets=buckets)
