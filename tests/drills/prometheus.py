"""A real Prometheus beside a stack: its rules, its targets, and which alerts fire."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monitoring.__main__ import PROMETHEUS, ROOT
from monitoring.rules import CAUSE_RULES, OBJECTIVE_RULES
from sluice.dev.local.ports import free_ports
from sluice.dev.local.status import TARGETS

EVERY_S = 5
"""How often it scrapes and evaluates: a third of what the example has, so that a drill takes less."""
START_S, END_S = 60, 20


class Prometheus:
    def __init__(self, url: str) -> None:
        self.url = url

    def firing(self) -> dict[str, list[dict[str, str]]]:
        """The labels of the alerts that fire, by name."""
        found: dict[str, list[dict[str, str]]] = {}
        for alert in self._get("/api/v1/alerts")["alerts"]:
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["alertname"], []).append(alert["labels"])
        return found

    def answers(self) -> bool:
        try:
            self.targets_up()
        except OSError:
            return False
        return True

    def targets_up(self) -> int:
        return sum(one["health"] == "up" for one in self._get("/api/v1/targets")["activeTargets"])

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:  # noqa: S310 - http, on this machine
            return json.loads(answer.read())["data"]


@contextmanager
def prometheus(data_dir: Path, scratch: Path) -> Iterator[Prometheus]:
    """One that follows the targets of the `sluice up` with this data directory."""
    program = shutil.which("prometheus")
    if program is None:
        raise SystemExit("prometheus is not installed: apt-get install prometheus")
    config = scratch / "prometheus.yml"
    text = (ROOT / PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8")
    text = text.replace("15s", f"{EVERY_S}s")
    for rules in (OBJECTIVE_RULES, CAUSE_RULES):
        text = text.replace(f"- {rules}", f"- {ROOT / PROMETHEUS / rules}")
    config.write_text(text.replace("../../.sluice/" + TARGETS, str(data_dir / TARGETS)), encoding="utf-8")
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    options = [f"--web.listen-address={address}", f"--storage.tsdb.path={scratch / 'tsdb'}", "--log.level=warn"]
    process = subprocess.Popen([program, f"--config.file={config}", *options])
    try:
        at = Prometheus(f"http://{address}")
        until = time.monotonic() + START_S
        while not at.answers():
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit("prometheus does not answer; its own words are above")
            time.sleep(0.2)
        yield at
    finally:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
