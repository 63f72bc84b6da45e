"""DATA_DIR/status.json: which roles run and which are ready. Always current, always whole. Beside it, the admin ports
of all processes, as Prometheus reads targets from a file (monitoring/prometheus)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sluice.dev.local.terminal import TableRow
from topics.metrics.definition import ALL

TARGETS = "prometheus-targets.json"


class Status:
    """The status file: `{"ready": bool, "roles": {name: {"pid", "ready"}}}`.

    A role that is down has the pid null. A change replaces the whole file at once, so a reader gets the old or the new.
    """

    def __init__(self, path: Path, roles: list[str]) -> None:
        self.path = path
        self._roles: dict[str, dict[str, Any]] = {name: {"pid": None, "ready": False} for name in roles}
        self._write()

    @property
    def ready(self) -> bool:
        return bool(self._roles) and all(role["ready"] for role in self._roles.values())

    def set(self, name: str, *, pid: int | None, ready: bool) -> None:
        """Record the state of one role; roles that the file does not list are ignored."""
        state = {"pid": pid, "ready": ready}
        if name in self._roles and self._roles[name] != state:
            self._roles[name] = state
            self._write()

    @classmethod
    def forget(cls, path: Path) -> None:
        """Write that nothing runs, whatever an earlier run left there.

        Its pids may belong to other programs by now, which the janitor must not end.
        """
        cls(path, [])

    def _write(self) -> None:
        text = json.dumps({"ready": self.ready, "roles": self._roles}, indent=2)
        scratch = self.path.with_suffix(".json.new")
        scratch.write_text(text + "\n", encoding="utf-8")
        os.replace(scratch, self.path)  # noqa: PTH105 - the atomic one, by its usual name


def write_targets(data_dir: Path, rows: Iterable[TableRow]) -> None:
    """`rows`: those of the terminal; each process with /metrics is a target, with its role as a label."""
    targets = [
        {"targets": [row.url.partition("//")[2]], "labels": {"role": row.name if row.name in ALL else "gateway"}}
        for row in rows
        if "/metrics" in row.what
    ]
    (data_dir / TARGETS).write_text(json.dumps(targets, indent=1) + "\n", encoding="utf-8")
