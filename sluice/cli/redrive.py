"""`sluice redrive`: what was given up is counted, and sent again, over a gateway's API."""

# ruff: noqa: PLC0415 - what a command needs is imported when it runs

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from sluice.cli.options import gateway_options

POLL_S = 0.5
"""Between two looks at a redrive that goes on."""
OVER = ("done", "stopped", "failed")


@click.command(short_help="Send again what was given up.")
@click.option("--order", "orders", multiple=True, metavar="CODE", help="Of this order; repeatable.")
@click.option("--channel", help="Of this channel.")
@click.option("--destination", help="`increff`, `channel:NAME` or `subscription:ID`.")
@click.option("--since", metavar="TIME", help="Given up at this time or later: 2026-11-25T08:00:00Z.")
@click.option("--until", metavar="TIME", help="Given up before this time.")
@click.option("--reason", help="An HTTP status, or a part of the error.")
@click.option("--yes", is_flag=True, help="Send. Without it, what would be sent is only counted.")
@click.option("--dry-run", is_flag=True, help="Only count; so it is without --yes.")
@click.option("--stop", metavar="ID", help="Stop this redrive: nothing more is sent.")
@gateway_options
def redrive(gateway: str, as_json: bool, yes: bool, dry_run: bool, stop: str | None, **filters: Any) -> None:
    """Send again what was given up: all of it, or what the options name. Without --yes it is only counted.

    Ctrl-C while it sends stops it. What was delivered since, was skipped by an operator or still waits is not sent.
    """
    if yes and dry_run:
        raise click.UsageError("--yes sends, --dry-run does not: give only one of them")
    from sluice.cli.gateway_client import ask

    if stop is not None:
        told = ask(gateway, "DELETE", f"/api/redrives/{stop}")
    else:
        wanted = {name: value for name, value in filters.items() if value}
        told = ask(gateway, "POST", "/api/redrives", {**wanted, "dryRun": not yes})
    try:
        told = _until_over(gateway, told)
    except KeyboardInterrupt:
        told = _until_over(gateway, ask(gateway, "DELETE", f"/api/redrives/{told['id']}"))
    click.echo(json.dumps(told, indent=2) if as_json else "\n".join(_lines(told)))
    sys.exit(1 if told["state"] == "failed" else 0)


def _until_over(gateway: str, told: Any) -> Any:
    from sluice.cli.gateway_client import ask

    while told["state"] not in OVER:
        time.sleep(POLL_S)
        told = ask(gateway, "GET", f"/api/redrives/{told['id']}")
    return told


def _lines(told: Any) -> Iterator[str]:
    for group in told["groups"]:
        yield f"{group['count']:>8}  {group['destination']}  {group['reason']}"
    found = f"{told['found']} to send"
    yield f"{found}, {told['left']} cannot be sent" if told["left"] else found
    if told["more"]:
        yield "there are more: run it again afterwards"
    if told["asked"]["dryRun"]:
        yield "nothing was sent; --yes sends"
        return
    counts = (("delivered", "delivered"), ("deadAgain", "dead again"), ("notTaken", "not taken"))
    parts = [f"{told['sent']} sent", *(f"{told[name]} {words}" for name, words in counts)]
    if told["onTheirWay"]:
        parts.append(f"{told['onTheirWay']} still on their way")
    yield f"{told['id']} {told['state']}: {', '.join(parts)}"
    if told["message"]:
        yield told["message"]
