"""`sluice skip`: have a role leave out one record that it cannot get past."""

# ruff: noqa: PLC0415 - what a command needs is imported when it runs

from __future__ import annotations

import asyncio
import getpass
import logging
import math
from typing import Any

import click

from sluice.cli.options import cluster_options
from sluice.cli.steps.two_steps import Wanted, check, reason_to_act
from sluice.errors import StartError


@click.command(short_help="Have a role leave out one record.")
@click.argument("record", metavar="TOPIC/PARTITION/OFFSET")
@click.option("--reason", metavar="TEXT", help="Why, for those who find it in commands.rejected. Needed to act.")
@click.option("--yes", is_flag=True, help="Skip the record that is shown, without a question.")
@click.option("--dry-run", is_flag=True, help="Only show the record.")
@click.option("--by", metavar="NAME", help="Who says so.  [default: your login name]")
@click.option("--wait", is_flag=True, help="Wait until the role has skipped it; Ctrl-C only ends the wait.")
@cluster_options
def skip(
    record: str, reason: str | None, yes: bool, dry_run: bool, by: str | None, wait: bool, **overrides: Any
) -> None:
    """Have a role leave out one record of its topic: it goes to commands.rejected, with the code `skipped`. The record
    is shown first.

    For a record that nothing else gets a role past: /ready of the role and its log name it. The role may run, wait or
    stand still.
    """
    from aiokafka.errors import KafkaConnectionError, KafkaError

    from topics.configuration.settings import load_settings
    from topics.kafka import skipping

    settings = load_settings(**{name: value for name, value in overrides.items() if value is not None})
    place = skipping.place_of(record, settings)
    wanted = Wanted(reason, yes, dry_run)
    check(wanted)
    if reason is not None and (not reason.strip() or len(reason) > skipping.REASON_CHARS_MAX):
        raise click.UsageError(f"--reason must have 1 to {skipping.REASON_CHARS_MAX} characters")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # everything it logs, it raises as well
    try:
        shown = asyncio.run(skipping.show(settings, place))
        click.echo("\n".join(shown))
        why = reason_to_act(wanted)
        if why is None:
            return
        outcome = asyncio.run(
            skipping.skip(settings, place, by or getpass.getuser(), why, math.inf if wait else skipping.TAKES_S)
        )
    except KafkaConnectionError as error:
        raise StartError(f"Kafka at {settings.kafka} does not answer; name another with --kafka HOST:PORT") from error
    except KafkaError as error:
        raise StartError(f"Kafka at {settings.kafka}: {error or type(error).__name__}") from error
    if outcome.skipped:
        click.echo(f"{place.role} has skipped {record}: it is in commands.rejected, as it came")
    else:
        click.echo(f"{place.role} will skip {record} when it reaches it; {outcome.before} records come before it")
