"""What the roles expose is what the catalogue says, in both directions."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from topics.metrics import made
from topics.metrics.catalogue import BY_NAME, LABELS, METRICS
from topics.metrics.client_metrics import CLIENT
from topics.metrics.definition import ALL, COUNTER, GAUGE, HISTOGRAM, Metric

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("role", ALL)
def test_a_role_exposes_what_the_catalogue_says_and_nothing_else(role: str) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "tests.unit.topics.metrics.exposed", role],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    exposed = [(name, kind) for name, kind, _ in json.loads(found.stdout)]
    assert Counter(exposed) == Counter((one.family, one.kind) for one in METRICS if role in one.roles)
    meanings = {name: said for name, _, said in json.loads(found.stdout)}
    ours = [one for one in METRICS if role in one.roles and one not in CLIENT]
    assert {one.family: one.meaning for one in ours}.items() <= meanings.items()


def test_names_are_their_own() -> None:
    assert len(BY_NAME) == len(METRICS)


@pytest.mark.parametrize("one", METRICS, ids=lambda one: one.name)
def test_a_name_says_what_it_is(one: Metric) -> None:
    assert re.fullmatch(r"(sluice|process|python)(_[a-z]+)+", one.name)
    assert one.name.endswith("_total") == (one.kind == COUNTER)
    assert not re.search(r"_(ms|millis|milliseconds|kb|mb|minutes)(_|$)", one.name)
    for unit in ("seconds", "bytes"):
        ends = one.name.removesuffix("_total").removesuffix("_timestamp").endswith(f"_{unit}")
        assert ends == (one.unit == unit), one.name
    assert bool(one.buckets) == (one.kind == HISTOGRAM)
    assert list(one.buckets) == sorted(one.buckets)
    assert one.kind in (COUNTER, GAUGE, HISTOGRAM)
    assert set(one.labels) <= set(LABELS)
    assert set(one.roles) <= set(ALL)


def test_each_label_is_used() -> None:
    assert {label for one in METRICS for label in one.labels} == set(LABELS)


def test_a_metric_outside_the_catalogue_cannot_be_made() -> None:
    with pytest.raises(KeyError):
        made.counter("sluice_new_total", registry=None)
    with pytest.raises(ValueError, match="is a counter"):
        made.gauge("sluice_delivery_attempts_total", registry=None)


def test_nothing_else_makes_metrics() -> None:
    """A metric made past the catalogue would have labels and words of its own."""
    making = re.compile(r"\b(prometheus_client\.)?(Counter|Gauge|Histogram|Summary|Info)\(\s*[f\"']|\w+MetricFamily\(")
    found = [
        str(path.relative_to(ROOT))
        for package in ("gateway", "streams", "topics", "journal", "sluice")
        for path in (ROOT / package).rglob("*.py")
        if "prometheus_client" in (text := path.read_text(encoding="utf-8")) and making.search(text)
    ]
    assert found == ["topics/metrics/made.py"]
