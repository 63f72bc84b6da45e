"""`sluice redrive`: show deliveries that were given up, and send them again, over a gateway's API."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click

from sluice.cli.gateway_client import ask, in_path, until_over
from sluice.cli.options import gateway_options, given
from sluice.cli.output import show
from sluice.cli.steps.two_steps import Wanted, at, carry_out, step_options

JOBS = "/api/redrives"


@click.command(short_help="Send deliveries again that were given up.")
@click.option("--order", "orders", multiple=True, metavar="CODE", help="Only deliveries of this order; repeatable.")
@click.option("--channel", help="Only deliveries of this channel.")
@click.option("--destination", help="Only deliveries to `increff`, `channel:NAME` or `subscription:ID`.")
@click.option("--since", metavar="TIME", help="Only those given up at this time or later, as 2026-11-25T08:00:00Z.")
@click.option("--until", metavar="TIME", help="Only those given up before this time.")
@click.option("--failure", help="Only those with this HTTP status, or with this text in their error.")
@click.option("--stop", metavar="ID", help="Stop this redrive; it sends nothing more.")
@step_options
@gateway_options
def redrive(
    gateway: str,
    as_json: bool,
    reason: str | None,
    yes: bool,
    dry_run: bool,
    stop: str | None,
    **filters: Any,
) -> None:
    """Send deliveries again that were given up, those that the options name: show them, ask, and send them.

    Ctrl-C stops the redrive. Deliveries that have succeeded since, that an operator skipped or that still wait are not
    sent. Exit code 1: all that ended are dead again.
    """
    if stop is not None:
        document = ask(gateway, "DELETE", f"{JOBS}/{in_path(stop)}")
    else:
        chosen = given(filters)
        if not chosen:
            raise click.UsageError("name what to send: an order, a channel, a destination, a time or a failure")
        document = carry_out(at(gateway, JOBS), chosen, Wanted(reason, yes, dry_run), as_json=as_json)
        if document is None:
            return
    document = until_over(gateway, JOBS, document)
    show(document, lambda found: "\n".join(_lines(found)), as_json=as_json)
    sys.exit(1 if document["state"] in ("failed", "refused") or _all_dead(document) else 0)


def _all_dead(document: Any) -> bool:
    """Whether a redrive that is over sent something, and nothing of it came right."""
    return bool(document["deadAgain"]) and not document["delivered"] and not document["onTheirWay"]


def _lines(document: Any) -> Iterator[str]:
    counts = (("delivered", "delivered"), ("deadAgain", "dead again"), ("notTaken", "not taken"))
    parts = [f"{document['sent']} sent", *(f"{document[name]} {words}" for name, words in counts)]
    if document["onTheirWay"]:
        parts.append(f"{document['onTheirWay']} still on their way")
    yield f"{document['id']} {document['state']}: {', '.join(parts)}"
    if document["message"]:
        yield document["message"]
