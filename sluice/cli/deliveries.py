"""`sluice deliveries`: decide about a delivery that was given up and holds the lane of its order."""

from __future__ import annotations

import sys
from typing import Any

import click

from sluice.cli.gateway_client import in_path
from sluice.cli.options import WAIT_S, gateway_options, wait_option
from sluice.cli.output import show
from sluice.cli.steps.two_steps import Wanted, at_either, carry_out, step_options

DONE = ("delivered", "skipped")
"""States in which a decision has had the effect that was wanted."""


@click.group(short_help="List deliveries; decide about those that were given up.")
def deliveries() -> None:
    """List deliveries, the newest first; or decide about those that were given up and hold the lane of their order.

    `sluice order CODE` shows their ids, in the commands that decide about them. With --wait, exit code 1 says that the
    effect did not come.
    """


def _decision(action: str, does: str) -> None:
    @click.argument("code")
    @click.argument("delivery", metavar="ID")
    @click.option("--channel", help="Channel of the order; needed when several have this code.")
    @wait_option
    @step_options
    @gateway_options
    def run(
        code: str,
        delivery: str,
        channel: str | None,
        wait: bool,
        reason: str | None,
        yes: bool,
        dry_run: bool,
        gateway: str,
        as_json: bool,
    ) -> None:
        post = at_either(gateway, code, f"/deliveries/{in_path(delivery)}/{action}", channel)
        wanted, wait_s = Wanted(reason, yes, dry_run), WAIT_S if wait else 0
        document = carry_out(post, None, wanted, as_json=as_json, wait_s=wait_s)
        if document is None:
            return
        show(document, render_decision, as_json=as_json)
        sys.exit(1 if wait and document["state"] not in DONE else 0)

    short_help = f"{does.partition('.')[0]}."
    deliveries.command(action, short_help=short_help, help=does)(run)


_decision(
    "retry",
    "Try a delivery again that holds its lane. It gets a fresh schedule, and its order's other deliveries wait behind "
    "it.",
)
_decision("skip", "Let a lane go on without the delivery that holds it. The far side never gets it.")


def render_decision(document: Any) -> str:
    """Return one line about a decision."""
    state = "dead again" if document["state"] == "dead" else document["state"]
    said = f"{document['action']} {document['request']}: {state}"
    return f"{said}: {document['message']}" if document["message"] else said
