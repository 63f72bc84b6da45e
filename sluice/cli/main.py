"""The command `sluice`. What a command needs is imported when it runs, so that `--help` and roles start fast."""

# ruff: noqa: PLC0415 - for the reason above

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from sluice.cli.configuration import load
from sluice.cli.deliveries import deliveries
from sluice.cli.dev_tools import dev_commands
from sluice.cli.doctor.command import doctor
from sluice.cli.lists.commands import audit, dead_letters, due, list_deliveries, list_destinations, rejected, status
from sluice.cli.lists.order import order
from sluice.cli.lists.orders import list_orders
from sluice.cli.lists.pages import with_list
from sluice.cli.options import FILE, topics_options
from sluice.cli.orders import orders
from sluice.cli.redrive import redrive
from sluice.cli.run import MainGroup, run
from sluice.cli.skip import skip
from sluice.cli.steps.destinations import destinations
from sluice.cli.stock.commands import inventory
from sluice.cli.subscriptions import subscriptions
from sluice.errors import StartError

if TYPE_CHECKING:
    from topics.configuration.channels import Channels
    from topics.configuration.settings import Settings


@click.group(cls=MainGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="sluice-gateway")
def main() -> None:
    """Sluice: a streaming gateway on Kafka between online marketplaces and Increff OMS."""


with_list(deliveries, list_deliveries)
with_list(orders, list_orders)
with_list(destinations, list_destinations)
for command in (
    run,
    status,
    order,
    orders,
    deliveries,
    dead_letters,
    rejected,
    destinations,
    due,
    audit,
    inventory,
    subscriptions,
    redrive,
    skip,
    doctor,
    *dev_commands(),
):
    main.add_command(command)


# --- topics ------------------------------------------------------------------------------------------------------


@main.group(short_help="Make or check Kafka's topics.")
def topics() -> None:
    """Make Kafka's topics from the catalogue, or compare them with it."""


def _with_admin(work: Callable[[Any, Settings, Channels | None], Any], overrides: dict[str, Any]) -> Any:
    """Do one piece of work on Kafka; a Kafka that does not answer is an expected error."""
    from aiokafka.errors import KafkaConnectionError, KafkaError

    from sluice.demo_channels import demo_channels
    from topics.kafka import admin

    settings, channels = load(overrides, demo_channels())
    own = channels if settings.channels_file is not None else None
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # everything it logs, it raises as well
    try:
        return asyncio.run(work(admin, settings, own))
    except KafkaConnectionError as error:
        raise StartError(f"Kafka at {settings.kafka} does not answer; name another with --kafka HOST:PORT") from error
    except KafkaError as error:
        raise StartError(f"Kafka at {settings.kafka}: {error or type(error).__name__}") from error


@topics.command("create")
@topics_options
def topics_create(**overrides: Any) -> None:
    """Make the topics that do not exist yet."""
    _with_admin(lambda admin, settings, channels: admin.create(settings, channels), overrides)
    click.echo("every topic of the catalogue exists")


@topics.command("check", short_help="Compare the cluster's topics with the catalogue.")
@topics_options
def topics_check(**overrides: Any) -> None:
    """Compare the cluster's topics with the catalogue; exit code 1 when they differ."""
    differences = _with_admin(lambda admin, settings, channels: admin.check(settings, channels), overrides)
    for difference in differences:
        click.echo(difference)
    if differences:
        sys.exit(1)
    click.echo("the cluster's topics are as in the catalogue")


# --- questions ---------------------------------------------------------------------------------------------------


@main.command(short_help="Say what would become of records, without sending them.")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option("--channels", "channels_file", type=FILE, help="Path of channels.toml (SLUICE_CHANNELS_FILE).")
@click.option("--touchpoint", help="Take each record of FILE as a body of this call.")
@click.option("--channel", help="Channel of records that name none.  [default: the first]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each record.")
def check(
    file: IO[str], channels_file: Path | None, touchpoint: str | None, channel: str | None, as_json: bool
) -> None:
    """Say what would become of the records in FILE (- for standard input), without sending anything.

    FILE has one JSON object a line, or is a JSON object or array. A record is written as it would be produced,
    {"headers": {"ce_id": .., "ce_type": .., "sluice-channel": ..}, "value": {..}}, or in short
    {"touchpoint": "create-outward-order", "channel": "demo", "body": {..}}; with --touchpoint it is the body. Only
    the orders of FILE are known, in the order of its lines. Exit code 1 when a record would not be taken.
    """
    import time
    from dataclasses import asdict

    from sluice.cli.dry_run import DryRun, entries
    from sluice.demo_channels import demo_channels

    settings, channels = load({"channels_file": channels_file}, demo_channels())
    if channel is not None and channel not in channels.channels:
        where = settings.channels_file or "the built-in channels.toml"
        known = ", ".join(channels.channels)
        raise StartError(f"--channel {channel}: {where} has no such channel; there are: {known}")
    try:
        text = file.read()
    except UnicodeDecodeError as error:
        raise StartError(f"{file.name}: is not UTF-8: {error}") from error
    dry_run = DryRun(settings, channels, round(time.time() * 1000), touchpoint=touchpoint, channel=channel)
    findings = [dry_run.check(line, entry) for line, entry in entries(text)]
    for one in findings:
        place = f"{one.topic}/{one.partition} {one.key}" if one.partition is not None else ""
        line = json.dumps(asdict(one)) if as_json else f"{one.line:>4}  {one.verdict:10} {one.touchpoint}  {place}"
        click.echo(line if as_json or not one.message else f"{line}\n      {one.message}")
    bad = sum(one.bad for one in findings)
    if not as_json:
        click.echo(f"{len(findings)} records: {len(findings) - bad} would be taken, {bad} would not")
    sys.exit(1 if bad or not findings else 0)
