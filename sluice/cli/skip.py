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
from sluice.errors import StartError


@click.command(short_help="Have a role leave out one record.")
@click.argument("record", metavar="TOPIC/PARTITION/OFFSET")
@click.option("--reason", required=True, help="Why, for those who find it in commands.rejected.")
@click.option("--by", metavar="NAME", help="Who says so.  [default: your login name]")
@click.option("--wait", is_flag=True, help="Wait until the role has skipped it; Ctrl-C only ends the wait.")
@cluster_options
def skip(record: str, reason: str, by: str | None, wait: bool, **overrides: Any) -> None:
    """Have a role leave out one record of its topic: it goes to commands.rejected, with the code `skipped`.

    For a record that nothing else gets a role past: /ready of the role and its log name it. The role may run, wait or
    stand still.
    """
    from aiokafka.errors import KafkaConnectionError, KafkaError

    from topics.configuration.settings import load_settings
    from topics.kafka import skipping

    settings = load_settings(**{name: value for name, value in overrides.items() if value is not None})
    place = skipping.place_of(record, settings)
    if not reason.strip() or len(reason) > skipping.REASON_CHARS_MAX:
        raise click.UsageError(f"--reason must have 1 to {skipping.REASON_CHARS_MAX} characters")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # everything it logs, it raises as well
    try:
        outcome = asyncio.run(
            skipping.skip(
                settings, place, by or getpass.getuser(), reason.strip(), math.inf if wait else skipping.TAKES_S
            )
        )
    except KafkaConnectionError as error:
        raise StartError(f"Kafka at {settings.kafka} does not answer; name another with --kafka HOST:PORT") from error
    except KafkaError as error:
        raise StartError(f"Kafka at {settings.kafka}: {error or type(error).__name__}") from error
    if outcome.skipped:
        click.echo(f"{place.role} has skipped {record}: it is in commands.rejected, as it came")
    else:
        click.echo(f"{place.role} will skip {record} when it reaches it; {outcome.before} records come before it")
