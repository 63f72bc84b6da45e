"""Rules, runbooks and dashboards are made from their definitions, name what is there, and do what they say."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from monitoring.__main__ import GRAFANA, PROMETHEUS, files
from monitoring.alert import JOB, KNOWN, RUNBOOKS, UnknownMetricError, checked
from monitoring.catalogue import ALERTS
from monitoring.objectives import OBJECTIVES, bucket
from monitoring.rules import CAUSE_RULES, OBJECTIVE_RULES
from sluice.cli.main import main

ROOT = Path(__file__).parents[3]
PAGES = sorted((ROOT / RUNBOOKS).glob("*.md"))
COMMANDS = sorted({command for alert in ALERTS for step in (*alert.look, *alert.end) for command in step.commands})
NEEDS_PROMTOOL = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="promtool is not installed: apt-get install prometheus",
)


def test_the_files_are_not_stale() -> None:
    made = files()
    for name, text in made.items():
        assert (ROOT / name).read_text(encoding="utf-8") == text, f"{name}: run `python -m monitoring`"
    there = {
        str(path.relative_to(ROOT)) for folder in (PROMETHEUS, GRAFANA, RUNBOOKS) for path in (ROOT / folder).iterdir()
    }
    assert there == {*made, f"{PROMETHEUS}/prometheus.yml"}


def test_each_alert_has_its_page_and_each_page_its_alert() -> None:
    assert {alert.page for alert in ALERTS} | {f"{RUNBOOKS}/README.md"} == {
        str(page.relative_to(ROOT)) for page in PAGES
    }
    rules = [(ROOT / PROMETHEUS / name).read_text(encoding="utf-8") for name in (OBJECTIVE_RULES, CAUSE_RULES)]
    assert set(re.findall(r'runbook: "(.*)"', "".join(rules))) == {alert.page for alert in ALERTS}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_a_page_says_all_and_no_link_is_dead(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if page.name != "README.md":
        titles = ("What users notice", "How do I see the cause?", "What ends it?", "When is it over?")
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == list(titles)
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert (page.parent / link).exists(), link
    index = (ROOT / RUNBOOKS / "README.md").read_text(encoding="utf-8")
    assert page.name == "README.md" or f"]({page.name})" in index


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.startswith("sluice ")])
def test_a_command_of_a_page_is_one(command: str) -> None:
    words = shlex.split(command.replace("FILE", str(Path(__file__))))[1:]
    found: click.Command = main
    while isinstance(found, click.Group) and words and words[0] in found.commands:
        found = found.commands[words.pop(0)]
    assert found is not main, command
    with found.make_context(found.name, list(words)):
        """Each option and argument is one of the command, and none that it needs is missing."""
    assert "--yes" not in words or "--reason" in words, "what acts at once needs a reason"


def test_every_alert_but_those_of_objectives_is_proved_both_ways() -> None:
    for alert in ALERTS:
        if not alert.name.endswith("BudgetBurns"):
            assert {proof.labels is None for proof in alert.proofs} == {True, False}, alert.name


def test_names_are_their_own() -> None:
    named = [(alert.name, tuple(alert.labels.items())) for alert in ALERTS]
    assert len(set(named)) == len(named)


@pytest.mark.parametrize("objective", [one for one in OBJECTIVES if one.bound], ids=lambda one: str(one.name))
def test_an_objective_has_a_bucket_with_its_bound(objective: object) -> None:
    bound = objective.bound  # type: ignore[attr-defined]
    assert bucket(*bound) in objective.error  # type: ignore[attr-defined]


def test_a_rule_cannot_name_what_is_not_there() -> None:
    with pytest.raises(UnknownMetricError, match="sluice_nothing"):
        checked("rate(sluice_nothing_total[5m])")
    with pytest.raises(UnknownMetricError, match="no label colour"):
        checked('sluice_ready{colour="red"}')
    with pytest.raises(ValueError, match="no bucket"):
        bucket("sluice_journal_delay_seconds", 7.0)


def test_dashboards_ask_for_metrics_of_the_catalogue() -> None:
    for path in sorted((ROOT / GRAFANA).iterdir()):
        board = json.loads(path.read_text(encoding="utf-8"))
        panels = [panel for panel in board["panels"] if panel["type"] != "row"]
        assert panels
        assert len({panel["id"] for panel in board["panels"] if "id" in panel} or {0}) >= 1
        for panel in panels:
            assert panel["description"]
            assert panel["datasource"] == {"type": "prometheus", "uid": "${source}"}
            for target in panel["targets"]:
                asked = set(re.findall(r"\b(?:sluice|process)_\w+", target["expr"]))
                assert asked <= set(KNOWN)


def test_the_example_of_prometheus_has_the_job_and_the_rules() -> None:
    text = (ROOT / PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8")
    assert f"job_name: {JOB}\n" in text
    assert "honor_labels: true\n" in text
    assert re.findall(r"^  - (.*rules.yml)$", text, re.MULTILINE) == [OBJECTIVE_RULES, CAUSE_RULES]


@NEEDS_PROMTOOL
@pytest.mark.parametrize(
    "what",
    [
        ["check", "rules", OBJECTIVE_RULES, CAUSE_RULES],
        ["test", "rules", "objectives.tests.yml"],
        ["test", "rules", "causes.tests.yml"],
    ],
)
def test_promtool_finds_no_fault(what: list[str]) -> None:
    done = subprocess.run(
        ["promtool", *what],  # noqa: S607 - where the package put it
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT / PROMETHEUS,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@NEEDS_PROMTOOL
def test_promtool_reads_the_example(tmp_path: Path) -> None:
    done = subprocess.run(
        ["promtool", "check", "config", "--syntax-only", "prometheus.yml"],  # noqa: S607 - where the package put it
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT / PROMETHEUS,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
