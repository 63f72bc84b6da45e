"""`python -m monitoring` writes rules, their tests, runbooks and dashboards. A test fails where they are stale."""

from __future__ import annotations

from pathlib import Path

from monitoring import dashboards, rules, runbooks
from monitoring.alert import RUNBOOKS

ROOT = Path(__file__).parents[1]
PROMETHEUS = "monitoring/prometheus"
GRAFANA = "monitoring/grafana"


def files() -> dict[str, str]:
    """Text by path below the root of the repository."""
    return {
        **{f"{PROMETHEUS}/{name}": text for name, text in rules.files().items()},
        **{f"{GRAFANA}/{name}": text for name, text in dashboards.texts().items()},
        **{f"{RUNBOOKS}/{name}": text for name, text in runbooks.pages().items()},
    }


def write() -> None:
    made = files()
    for folder in (PROMETHEUS, GRAFANA, RUNBOOKS):
        (ROOT / folder).mkdir(parents=True, exist_ok=True)
        for old in (ROOT / folder).iterdir():
            if f"{folder}/{old.name}" not in made and old.name != "prometheus.yml":
                old.unlink()
    for name, text in made.items():
        (ROOT / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
