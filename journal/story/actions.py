"""Actions of an operator about each cause, with the command that does it."""

from __future__ import annotations

from shlex import quote

from journal.story.causes import Action
from journal.story.rows import OrderRow


def retry(order: OrderRow, request: str) -> Action:
    command = f"sluice deliveries retry {quote(order.code)} {quote(request)} --channel {quote(order.channel)} --wait"
    return Action(
        name="retry",
        does="Sends it again with a fresh schedule; its lane waits behind it.",
        command=f"{command} --reason WHY",
    )


def skip(order: OrderRow, request: str) -> Action:
    command = f"sluice deliveries skip {quote(order.code)} {quote(request)} --channel {quote(order.channel)} --wait"
    return Action(
        name="skip",
        does="Lets its lane go on without it: the far side never gets it.",
        command=f"{command} --reason WHY",
    )


def redrive(order: OrderRow) -> Action:
    command = f"sluice redrive --order {quote(order.code)} --channel {quote(order.channel)} --reason WHY"
    return Action(name="redrive", does="Sends again what of this order was given up.", command=command)


def resubmit(order: OrderRow) -> Action:
    command = f"sluice orders resubmit {quote(order.code)} --channel {quote(order.channel)} --wait"
    return Action(
        name="resubmit",
        does="Has the order decide anew about what was refused, and sends it again.",
        command=f"{command} --reason WHY",
    )


def resume(destination: str) -> Action:
    return Action(
        name="resume",
        does="Sends to the destination again.",
        command=f"sluice destinations resume {quote(destination)} --reason WHY",
    )


def look_at(destination: str) -> Action:
    return Action(
        name="look-at-destination",
        does="Shows how the destination answers, its budget, its breaker and what waits for it.",
        command=f"sluice destinations --destination {quote(destination)}",
    )


STATUS = Action(
    name="look-at-roles",
    does="Shows each role, its partitions and how far it is behind: start a worker that is missing, or end what holds "
    "a partition up (docs/operations.md).",
    command="sluice status",
)
WAIT = Action(name="wait", does="Nothing needs to be done: it goes on by itself.")


def ask(who: str, what: str) -> Action:
    """Something that only the other side can do."""
    return Action(name="ask", does=f"Ask {who} to {what}.")
