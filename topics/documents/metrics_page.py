"""docs/metrics.md: what /metrics of each role says, made from the catalogue."""

from __future__ import annotations

from collections.abc import Sequence

from topics.documents.markdown import GENERATED, document, table
from topics.metrics.catalogue import LABELS, METRICS
from topics.metrics.definition import ALL, HISTOGRAM, Metric

_ABOUT = """\
Each role answers `/metrics` on its admin port ([access.md](access.md), `SLUICE_ADMIN_PORT`), in the text format of
Prometheus. Units are seconds and bytes; a name ends in its unit, and in `_total` if it only grows. This page is made
from `topics/metrics/catalogue.py`, as the metrics themselves are: a test compares it with what each role exposes.
Alerts and dashboards are in [monitoring.md](monitoring.md)."""
_SERIES = """\
## Labels

How many series a metric has is the product of its labels' bounds, in each process. No label has a value that a caller
could invent: channels are those of channels.toml, touchpoints those of the contract and the API."""


def text() -> str:
    parts = [GENERATED, "# Which metrics are there?", _ABOUT]
    for title, roles in (
        ("Every role", ALL),
        ("The gateway", ("gateway",)),
        ("Orders, inventory and delivery", ("orders", "inventory", "delivery")),
        ("Orders", ("orders",)),
        ("Inventory", ("inventory",)),
        ("Delivery", ("delivery",)),
        ("The journal", ("journal",)),
    ):
        parts += [f"## {title}", _metrics([one for one in METRICS if one.roles == roles])]
    parts += [_SERIES, table(("label", "values", "at most"), _labels())]
    return document(parts)


def _metrics(metrics: Sequence[Metric]) -> str:
    rows = ((f"`{one.name}`", one.kind, one.unit or "-", one.meaning + _buckets(one), _bound(one)) for one in metrics)
    return table(("metric", "type", "unit", "meaning", "labels"), rows)


def _bound(one: Metric) -> str:
    return " x ".join(f"`{label}`" for label in one.labels) or "-"


def _buckets(one: Metric) -> str:
    return f" (bounds: {', '.join(f'{bound:g}' for bound in one.buckets)})" if one.kind == HISTOGRAM else ""


def _labels() -> list[tuple[str, str, str]]:
    return [(f"`{name}`", label.meaning, label.bound) for name, label in sorted(LABELS.items())]
