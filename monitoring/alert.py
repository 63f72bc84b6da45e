"""What an alert is: when it fires, what a person does then, and the series that prove both."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from topics.metrics.catalogue import METRICS

PAGE, TICKET = "page", "ticket"
"""Somebody is woken; somebody looks within the day."""
JOB = "sluice"
"""The name of the scrape job: alerts that look at `up` look at it alone."""
RUNBOOKS = "docs/runbooks"

KNOWN: Mapping[str, frozenset[str]] = {
    name: frozenset((*one.labels, *(("le",) if name.endswith("_bucket") else ())))
    for one in METRICS
    for name in one.series
}
"""The labels of each series that a rule may name."""
OF_TARGET = frozenset({"job", "instance", "role"})
"""Labels that Prometheus adds: the job, the address, and the role as scrape_configs say it."""
_NAME = re.compile(r"\b((?:sluice|process|python)_\w+)(\{[^}]*\})?")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")


class UnknownMetricError(ValueError):
    """A rule or a panel names a metric or a label that the catalogue does not have."""


def checked(expression: str) -> str:
    """The expression. Raises UnknownMetricError."""
    for name, selector in _NAME.findall(expression):
        if name not in KNOWN:
            raise UnknownMetricError(f"{name} is not in topics/metrics/catalogue.py: {expression}")
        for label in _LABEL.findall(re.sub(r'"[^"]*"', '""', selector)):
            if label not in KNOWN[name] | OF_TARGET:
                raise UnknownMetricError(f"{name} has no label {label}: {expression}")
    return expression


@dataclass(frozen=True, kw_only=True)
class Step:
    """A thing to do: words, and the commands that do it, each as it is typed."""

    words: str
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Series in the notation of promtool, one sample a minute, and what they come to at `at`."""

    series: Mapping[str, str]
    at: str
    labels: Mapping[str, str] | None
    """Labels of the alert that fires, beside its severity; None: none fires."""


@dataclass(frozen=True, kw_only=True)
class Alert:
    """`expr` holds for `hold` before it fires. `means` .. `over` are the sections of its page."""

    name: str
    severity: str
    expr: str
    hold: str
    summary: str
    means: str
    notice: str
    look: tuple[Step, ...]
    end: tuple[Step, ...]
    over: str
    proofs: tuple[Proof, ...]
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        return re.sub(r"(?<!^)(?=[A-Z])", "-", self.name).lower()

    @property
    def page(self) -> str:
        return f"{RUNBOOKS}/{self.slug}.md"

    @property
    def annotations(self) -> dict[str, str]:
        return {"summary": self.summary, "runbook": self.page}


def grown(counter: str, window: str, by: str) -> str:
    """A counter has grown within the window. Prometheus sees no growth from a series that is not there to its first
    value, and a counter with labels is not there before it counts for the first time: so a new series counts, too."""
    sums = f"sum by ({by}) ({counter})"
    before = f"sum by ({by}) ({counter} offset {window})"
    return f"sum by ({by}) (increase({counter}[{window}])) > 0 or ({sums} unless {before}) > 0"
