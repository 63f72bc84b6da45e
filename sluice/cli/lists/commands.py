"""`sluice status`, `deliveries`, `dead-letters`, `rejected`, `destinations`, `audit` and `due`: lists for operators,
over a gateway's API."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from sluice.cli.gateway_client import ask
from sluice.cli.lists.pages import limit_option, path_of, rows_of, time_options
from sluice.cli.options import gateway_options, with_options
from sluice.cli.output import is_local, show
from sluice.cli.render import lists
from sluice.cli.render import status as status_screen

STATES = ("waiting", "queued", "retrying", "held", "dead", "refused")
KINDS = ("dead", "refused")
OUTCOMES = ("done", "failed", "stopped", "refused")
GROUPS = ("overdue", "2h", "4h", "today")

_channel = click.option("--channel", help="Only this channel.")
_destination = click.option(
    "--destination", metavar="NAME", help="Only `increff`, `channel:NAME` or `subscription:ID`."
)
_touchpoint = click.option("--touchpoint", metavar="CALL", help="Only this call, as create-outward-order.")
_order = click.option("--order", metavar="CODE", help="Only this order, return or manifest.")
_bodies = click.option("--bodies", is_flag=True, help="Show bodies, too, as far as the journal keeps them.")
_grouped = click.option("--group", "grouped", is_flag=True, help="Count them by reason, with the first and the last.")


@click.command("status", short_help="Show every role, its lag, what waits, and the budgets.")
@gateway_options
def status(gateway: str, as_json: bool) -> None:
    """Show every role, its partitions and lag, the age of the journal, what waits and the budgets, in one screen.

    Exit code 1: something is wrong, which the last lines name.
    """
    document = ask(gateway, "GET", "/api/status")
    show(document, status_screen.render, as_json=as_json)
    if status_screen.troubles(document):
        raise click.exceptions.Exit(1)


@click.command("deliveries", short_help="List deliveries.")
@click.option("--state", type=click.Choice(STATES), help="Only these; `waiting`: queued, retrying and held.")
@with_options(_destination, _touchpoint, _channel, _order, time_options)
@click.option("--attempts", is_flag=True, help="Show each attempt.")
@with_options(_bodies, limit_option, gateway_options)
def list_deliveries(gateway: str, as_json: bool, limit: int, **filters: Any) -> None:
    document = rows_of(gateway, "/api/deliveries", filters, "deliveries", limit)
    show(document, lists.render_deliveries, as_json=as_json)


@click.command("dead-letters", short_help="List deliveries that were given up or refused.")
@_grouped
@click.option("--kind", type=click.Choice(KINDS), help="Only those given up, or only those refused.")
@click.option("--reason", metavar="TEXT", help="Only this HTTP status, or this text in the error or the answer.")
@with_options(_destination, _touchpoint, _channel, _order, time_options)
@click.option("--all", "all_", is_flag=True, help="Those that have an end since, too.")
@with_options(_bodies, limit_option, gateway_options)
def dead_letters(
    gateway: str, as_json: bool, limit: int, grouped: bool, bodies: bool, all_: bool, **filters: Any
) -> None:
    """List deliveries that were given up or refused and have no end yet, the newest first.

    `sluice redrive` sends again what was given up, `sluice orders resubmit` what was refused.
    """
    asked = {**filters, "all": all_}
    if grouped:
        document = ask(gateway, "GET", path_of("/api/dead-letters/groups", asked))
        show(document, lists.render_letter_groups, as_json=as_json)
        return
    document = rows_of(gateway, "/api/dead-letters", {**asked, "bodies": bodies}, "deadLetters", limit)
    show(document, lists.render_letters, as_json=as_json)


@click.command("rejected", short_help="List records that no role could decide.")
@_grouped
@click.option("--code", help="Only this code, as BAD_JSON.")
@click.option("--role", type=click.Choice(("orders", "inventory", "delivery")), help="Only those of this role.")
@with_options(_touchpoint, _channel, _order, time_options, _bodies, limit_option, gateway_options)
def rejected(gateway: str, as_json: bool, limit: int, grouped: bool, bodies: bool, **filters: Any) -> None:
    """List records that no role could decide, the newest first. They are kept on commands.rejected, as they came."""
    if grouped:
        document = ask(gateway, "GET", path_of("/api/rejected/groups", filters))
        show(document, lists.render_rejected_groups, as_json=as_json)
        return
    document = rows_of(gateway, "/api/rejected", {**filters, "bodies": bodies}, "rejected", limit)
    show(document, lists.render_rejected, as_json=as_json)


@click.command("destinations", short_help="Show how destinations do.")
@click.option("--destination", metavar="NAME", help="Only this one.")
@with_options(limit_option, gateway_options)
def list_destinations(gateway: str, as_json: bool, limit: int, **filters: Any) -> None:
    document = rows_of(gateway, "/api/destinations", filters, "destinations", limit)
    show(document, status_screen.render_destinations, as_json=as_json)


@click.command("audit", short_help="List what operators did.")
@click.option("--by", metavar="NAME", help="Only actions of this operator: the name of the token.")
@click.option("--action", metavar="NAME", help="Only these, as redrive or pause-destination.")
@click.option("--target", metavar="NAME", help="Only those about this destination, delivery, location or record.")
@click.option("--outcome", type=click.Choice(OUTCOMES), help="Only those that ended so.")
@with_options(_channel, _order, time_options, limit_option, gateway_options)
def audit(gateway: str, as_json: bool, limit: int, **filters: Any) -> None:
    """List what operators did, the newest first: who, what, why, and how it ended."""
    document = rows_of(gateway, "/api/audit", filters, "actions", limit)
    show(document, lists.render_actions, as_json=as_json)


@click.command("due", short_help="List orders that must be handed over soon.")
@click.option("--group", type=click.Choice(GROUPS), help="Only these, each without those before.")
@with_options(_channel)
@click.option("--location", metavar="CODE", help="Only those of this location.")
@with_options(limit_option, gateway_options)
def due(gateway: str, as_json: bool, limit: int, **filters: Any) -> None:
    """List open orders by the time at which they must be handed over, with a forecast by how fast their location packs.

    Today ends at midnight UTC, with --local at that of this machine's zone. Exit code 1: an order is overdue, or will
    be late.
    """
    zone = datetime.now().astimezone().isoformat()[-6:] if is_local() else None
    document = rows_of(gateway, "/api/due", {**filters, "zone": zone}, "orders", limit)
    show(document, lists.render_due, as_json=as_json)
    if any(one["isLate"] or one["group"] == "overdue" for one in document["orders"]):
        raise click.exceptions.Exit(1)
