"""The rules of Prometheus, and the series that prove them, as `promtool` reads both."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from monitoring.alert import Alert, checked
from monitoring.catalogue import ALERTS, BURNS, GROUPS
from monitoring.objectives import OBJECTIVES

HEAD = "# Made by `python -m monitoring`; do not edit.\n"
OBJECTIVE_RULES, CAUSE_RULES = "objectives.rules.yml", "causes.rules.yml"
"""Two files, so that the proofs of one do not evaluate the rules of the other: that takes three times as long."""


def files() -> dict[str, str]:
    """Text by name: the rules, and for each file of rules the tests of promtool."""
    return {
        OBJECTIVE_RULES: HEAD + yaml({"groups": _objectives()}),
        CAUSE_RULES: HEAD + yaml({"groups": _causes()}),
        "objectives.tests.yml": _tests(OBJECTIVE_RULES, "5m", _objective_tests()),
        "causes.tests.yml": _tests(CAUSE_RULES, "1m", _cause_tests()),
    }


def _objectives() -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = [
        {
            "name": f"sluice objective: {objective.name}",
            "rules": [{"record": name, "expr": expr} for name, expr in objective.rules()],
        }
        for objective in OBJECTIVES
    ]
    return [*groups, {"name": "sluice error budgets", "rules": [_rule(alert) for alert in BURNS]}]


def _causes() -> list[dict[str, Any]]:
    return [{"name": f"sluice {name}", "rules": [_rule(alert) for alert in alerts]} for name, alerts in GROUPS.items()]


def _rule(alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": checked(alert.expr),
        "for": alert.hold,
        "labels": {"severity": alert.severity, **alert.labels},
        "annotations": alert.annotations,
    }


def _tests(rules: str, every: str, tests: list[dict[str, Any]]) -> str:
    return HEAD + yaml({"rule_files": [rules], "evaluation_interval": every, "tests": tests})


def _objective_tests() -> list[dict[str, Any]]:
    return [
        _test(series, "70m", alerts[-1].name if alerts else objective.alerts()[0].name, [(one, {}) for one in alerts])
        for objective in OBJECTIVES
        for series, alerts in objective.proofs()
    ]


def _cause_tests() -> list[dict[str, Any]]:
    return [
        _test(proof.series, proof.at, alert.name, [] if proof.labels is None else [(alert, proof.labels)])
        for alert in ALERTS
        for proof in alert.proofs
    ]


def _test(
    series: Mapping[str, str], at: str, name: str, fired: Sequence[tuple[Alert, Mapping[str, str]]]
) -> dict[str, Any]:
    expected = [
        {
            "exp_labels": {"severity": alert.severity, **alert.labels, **labels},
            "exp_annotations": alert.annotations,
        }
        for alert, labels in fired
    ]
    return {
        "name": f"{name} {f'fires ({len(fired)})' if fired else 'does not fire'}",
        "interval": "1m",
        "input_series": [{"series": one, "values": values} for one, values in series.items()],
        "alert_rule_test": [{"eval_time": at, "alertname": name, "exp_alerts": expected}],
    }


def yaml(value: Any, indent: str = "") -> str:
    """Plain YAML: texts are quoted as JSON quotes them, which YAML reads."""
    return "".join(f"{line}\n" for line in _lines(value, indent))


def _lines(value: Any, indent: str) -> Iterable[str]:
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _member(f"{indent}{key}:", one, indent)
    else:
        for one in value:
            first, *rest = _lines(one, f"{indent}  ")
            yield f"{indent}- {first.strip()}"
            yield from rest


def _member(start: str, value: Any, indent: str) -> Iterable[str]:
    if isinstance(value, Mapping | list) and value:
        if isinstance(value, list) and not isinstance(value[0], Mapping):
            yield f"{start} {json.dumps(value)}"
            return
        yield start
        yield from _lines(value, f"{indent}  ")
    else:
        yield f"{start} {json.dumps(value, ensure_ascii=False)}"
