"""`sluice destinations`: pause a destination and resume it, over a gateway's API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from sluice.cli.gateway_client import in_path
from sluice.cli.options import gateway_options
from sluice.cli.output import moment, show
from sluice.cli.steps.two_steps import Wanted, at, carry_out, step_options


@click.group(short_help="Pause destinations, and resume them.")
def destinations() -> None:
    """Pause destinations, and resume them: `increff`, `channel:NAME` or `subscription:ID`."""


@destinations.command(short_help="Send nothing to a destination.")
@click.argument("name")
@click.option(
    "--until", metavar="TIME", help="When it ends by itself, as 2026-11-25T08:00:00Z; or after a time, as 30m or 2h."
)
@step_options
@gateway_options
def pause(
    name: str, until: str | None, reason: str | None, yes: bool, dry_run: bool, gateway: str, as_json: bool
) -> None:
    """Send nothing to NAME until TIME, or until it is resumed: no request of an order, no fact, no stock.

    Requests in flight end. What waits goes on waiting, and no attempt is counted.
    """
    asked = {} if until is None else {"untilMs": end_ms(until, datetime.now(UTC))}
    _control(name, "pause", asked, Wanted(reason, yes, dry_run), gateway, as_json=as_json)


@destinations.command(short_help="Send to a destination again.")
@click.argument("name")
@step_options
@gateway_options
def resume(name: str, reason: str | None, yes: bool, dry_run: bool, gateway: str, as_json: bool) -> None:
    """Send to NAME again, in the sequence in which requests wait, and within its budget."""
    _control(name, "resume", {}, Wanted(reason, yes, dry_run), gateway, as_json=as_json)


def _control(name: str, verb: str, asked: Any, wanted: Wanted, gateway: str, *, as_json: bool) -> None:
    path = f"/api/destinations/{in_path(name)}/{verb}"
    document = carry_out(at(gateway, path), asked, wanted, as_json=as_json)
    if document is not None:
        show(document, render_control, as_json=as_json)


def render_control(document: Any) -> str:
    """Return one line about a destination."""
    pause = document["pause"]
    if pause is None:
        return f"{document['destination']} is open"
    end = "an operator resumes it" if pause["untilMs"] is None else moment(pause["untilMs"])
    return f"{document['destination']} is paused by {pause['by']} until {end}: {pause['reason']}"


UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def end_ms(text: str, now: datetime) -> int:
    """Return the time that `--until` says, epoch milliseconds; without an offset it is UTC. Raises UsageError."""
    number, unit = text[:-1], text[-1:]
    if unit in UNITS and number.isascii() and number.isdigit():
        end = now + timedelta(seconds=int(number[:9]) * UNITS[unit])
        return round(end.timestamp() * 1000)
    try:
        end = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"--until {text}: expected a time as 2026-11-25T08:00:00Z, or 30m, 2h, 1d") from None
    return round((end if end.tzinfo else end.replace(tzinfo=UTC)).timestamp() * 1000)
