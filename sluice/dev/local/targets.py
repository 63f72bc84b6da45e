"""The admin ports of a running `sluice up`, as Prometheus reads targets from a file (monitoring/prometheus)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from sluice.dev.local.terminal import TableRow
from topics.metrics.definition import ALL

FILE = "prometheus-targets.json"


def write_targets(data_dir: Path, rows: Iterable[TableRow]) -> None:
    """`rows`: those of the terminal; each process with /metrics is a target, with its role as a label."""
    targets = [
        {"targets": [row.url.partition("//")[2]], "labels": {"role": row.name if row.name in ALL else "gateway"}}
        for row in rows
        if "/metrics" in row.what
    ]
    (data_dir / FILE).write_text(json.dumps(targets, indent=1) + "\n", encoding="utf-8")
