"""`sluice inventory`: the commands of operators about stock, over the API of a gateway."""

# ruff: noqa: PLC0415 - what a command needs is imported when it runs

from __future__ import annotations

import sys

import click

from sluice.cli.gateway_client import ask, in_path
from sluice.cli.options import WAIT_S, gateway_options, wait_option
from sluice.cli.output import show
from sluice.cli.steps.two_steps import Wanted, at, carry_out, step_options
from sluice.cli.stock.load import load, snapshots

PAGE = 1_000
"""Refused SKUs of one request, with --all."""


@click.command(short_help="Show the stock of each channel.")
@click.argument("channel", required=False)
@gateway_options
def status(channel: str | None, gateway: str, as_json: bool) -> None:
    """Show the status of the stock of each channel, or of CHANNEL, and of its locations."""
    from sluice.cli.render.stock import render_status

    path = "/api/inventory/status" if channel is None else f"/api/inventory/status/{in_path(channel)}"
    show(ask(gateway, "GET", path), render_status, as_json=as_json)


@click.command(short_help="Show the SKUs that a channel refuses.")
@click.argument("channel")
@click.argument("location", required=False)
@click.option("--all", "every", is_flag=True, help="Show all, not only the first 100.")
@gateway_options
def refused(channel: str, location: str | None, every: bool, gateway: str, as_json: bool) -> None:
    """Show the SKUs whose stock CHANNEL refuses, at all locations or at LOCATION."""
    from sluice.cli.render.stock import render_refused

    path = f"/api/inventory/refused/{_whom(channel, location)}"
    document = ask(gateway, "GET", f"{path}?limit={PAGE}" if every else path)
    following = document["next"]
    while every and following is not None:
        more = ask(gateway, "GET", following)
        document["refused"] += more["refused"]
        following = document["next"] = more["next"]
    show(document, render_refused, as_json=as_json)


def _control(action: str, short_help: str, help_text: str) -> click.Command:
    @click.argument("channel")
    @click.argument("location", required=False)
    @wait_option
    @step_options
    @gateway_options
    def control(
        channel: str,
        location: str | None,
        wait: bool,
        reason: str | None,
        yes: bool,
        dry_run: bool,
        gateway: str,
        as_json: bool,
    ) -> None:
        from sluice.cli.render.stock import render_control

        place = f"{action}/{_whom(channel, location)}"
        post = at(gateway, f"/api/inventory/{place}", f"/api/inventory/preview/{place}")
        wanted, wait_s = Wanted(reason, yes, dry_run), WAIT_S if wait else 0
        document = carry_out(post, None, wanted, as_json=as_json, wait_s=wait_s)
        if document is None:
            return
        show(document, lambda answer: render_control(action, answer), as_json=as_json)
        sys.exit(1 if document.get("done") is False else 0)

    return click.command(action, short_help=short_help, help=help_text)(control)


COMMANDS: tuple[click.Command, ...] = (
    load,
    snapshots,
    status,
    refused,
    _control(
        "pause",
        "Send no stock to a channel.",
        "Send no stock to CHANNEL, or none of LOCATION. After `resume` the newest value of what changed is sent.",
    ),
    _control(
        "resume",
        "Go on sending stock.",
        "Go on sending stock to CHANNEL, or that of LOCATION, which waits on while CHANNEL itself is paused.",
    ),
    _control(
        "resync",
        "Send every position once more.",
        "Send CHANNEL every position once more, or those of LOCATION, in idle budget only.",
    ),
    _control(
        "reconcile",
        "Compare with what the channel has.",
        "Compare the stock of CHANNEL, or of LOCATION, with what the channel says it has, and repair it once.",
    ),
)


@click.group(short_help="Load, watch and steer the stock of channels.")
def inventory() -> None:
    """Load, watch and steer the stock of channels, over a gateway. (The role starts as `sluice run inventory`.)"""


for command in COMMANDS:
    inventory.add_command(command)


def _whom(channel: str, location: str | None) -> str:
    return in_path(channel) if location is None else in_path(channel, location)
