"""`sluice doctor`: looks at everything that Sluice needs, and says what to do about what is wrong."""

# ruff: noqa: PLC0415 - what a command needs is imported when it runs

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sluice.cli.options import FILE
from sluice.demo_channels import ADMIN_URL

if TYPE_CHECKING:
    from sluice.cli.doctor.findings import Examination

SIGNS = {"ok": "ok", "unknown": "?", "warning": "!", "problem": "!!"}


@click.command(short_help="Look at all that Sluice needs, and say what to do.")
@click.option("--url", default=ADMIN_URL, show_default=True, envvar="SLUICE_URL", help="URL of a gateway's admin port.")
@click.option("--kafka", metavar="HOST:PORT[,...]", help="Bootstrap servers of Kafka (SLUICE_KAFKA).")
@click.option("--channels", "channels_file", type=FILE, help="Path of channels.toml (SLUICE_CHANNELS_FILE).")
@click.option("--topic-prefix", help="First part of each topic's name (SLUICE_TOPIC_PREFIX).")
@click.option("--tls", is_flag=True, help="The brokers' ports are to speak TLS.")
@click.option("--all", "show_all", is_flag=True, help="Show what is well, too.")
@click.option("--json", "as_json", is_flag=True, help="Print everything that was looked at as JSON.")
def doctor(
    url: str,
    kafka: str | None,
    channels_file: Path | None,
    topic_prefix: str | None,
    tls: bool,
    show_all: bool,
    as_json: bool,
) -> None:
    """Look at the broker, topics, workers, clocks, disk, far sides, gateway and journal, as this machine sees them, and
    say what to do about what is wrong. Nothing is changed.

    Run it where a role runs, with the same environment. Exit code 1: there is a problem; warnings are none.
    """
    from sluice.cli.doctor.examination import examine
    from sluice.demo_channels import demo_channels

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL + 1)  # what it logs is found here in other words
    overrides = {"kafka": kafka, "channels_file": channels_file, "topic_prefix": topic_prefix}
    report = asyncio.run(examine(overrides, demo_channels(), url, tls=tls))
    if as_json:
        click.echo(json.dumps(report.model_dump(mode="json"), indent=2, ensure_ascii=False))
    else:
        click.echo(_shown(report, show_all=show_all))
    sys.exit(0 if report.healthy else 1)


def _shown(report: Examination, *, show_all: bool) -> str:
    lines = []
    for one in report.findings:
        if one.level == "ok" and not show_all:
            continue
        lines.append(f"{SIGNS[one.level]:3} {one.check:14} {one.about}: {one.what}")
        if one.do:
            lines.append(f"{'':18} -> {one.do}")
    counts = {level: sum(one.level == level for one in report.findings) for level in SIGNS}
    words = {"problem": "problems", "warning": "warnings", "unknown": "not looked at", "ok": "well"}
    return "\n".join([*lines, ", ".join(f"{counts[level]} {word}" for level, word in words.items())])
