"""`sluice orders`: have refused deliveries of orders and returns sent again, over a gateway's API."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click

from sluice.cli.gateway_client import ask, in_path, until_over
from sluice.cli.options import WAIT_S, gateway_options, given, option_of, wait_option
from sluice.cli.output import moment, show
from sluice.cli.steps.two_steps import Wanted, at, at_either, carry_out, check, step_options

JOBS = "/api/resubmissions"


@click.group(short_help="List orders by what they wait for; have refused deliveries sent again.")
def orders() -> None:
    """List orders, returns and manifests with what each waits for, the newest first; or act on them. `sluice order
    CODE` shows one. (The role starts as `sluice run orders`.)"""


@orders.command(short_help="Send deliveries again that were refused.")
@click.argument("code", required=False)
@click.option("--channel", help="Channel of the order; or, without CODE, all refused deliveries of this channel.")
@click.option("--touchpoint", metavar="CALL", help="Only deliveries of this call, as create-outward-order.")
@click.option("--delivery", "deliveries", multiple=True, metavar="ID", help="Only this delivery of CODE; repeatable.")
@click.option("--order", "codes", multiple=True, metavar="CODE", help="Of a channel: only of this order; repeatable.")
@click.option("--refusal", metavar="TEXT", help="Of a channel: only with this HTTP status or text in the refusal.")
@click.option("--since", metavar="TIME", help="Of a channel: only those refused at this time or later.")
@click.option("--until", metavar="TIME", help="Of a channel: only those refused before this time.")
@click.option("--stop", metavar="ID", help="Stop this resubmission of a channel; it sends nothing more.")
@wait_option
@step_options
@gateway_options
def resubmit(
    code: str | None,
    channel: str | None,
    deliveries: tuple[str, ...],
    reason: str | None,
    yes: bool,
    dry_run: bool,
    stop: str | None,
    wait: bool,
    gateway: str,
    as_json: bool,
    touchpoint: str | None,
    **of_channel: Any,
) -> None:
    """Have deliveries sent again that the far side refused: those of the order or return CODE, or with --channel alone
    those of a whole channel: show which, and which cannot be sent and why, ask, and send them.

    The order decides anew about each: a refused Create is a new attempt, a change is sent if no newer one came. Each is
    sent once, however often this is repeated. What was given up instead is sent by `sluice redrive`.

    Exit code 1: none is possible; with --wait or --channel, no far side took one.
    """
    wanted = Wanted(reason, yes, dry_run)
    check(wanted)
    asked: dict[str, Any] = given({"touchpoint": touchpoint})
    of_order, chosen = given({"channel": channel, "deliveries": deliveries}), given(of_channel)
    if stop is not None:
        document = ask(gateway, "DELETE", f"{JOBS}/{in_path(stop)}")
        _show_job(until_over(gateway, JOBS, document), as_json=as_json)
    elif code is not None:
        if chosen:
            raise click.UsageError(f"CODE names one order: {option_of(next(iter(chosen)))} is for a whole channel")
        asked |= {"deliveries": list(deliveries)} if "deliveries" in of_order else {}
        post, wait_s = at_either(gateway, code, "/resubmit", channel), WAIT_S if wait else 0
        document = carry_out(post, asked, wanted, as_json=as_json, wait_s=wait_s, nothing=1)
        if document is None:
            return
        show(document, lambda found: "\n".join(_of_order(found)), as_json=as_json)
        sys.exit(0 if any(_came_right(one, waited=wait) for one in document["deliveries"]) else 1)
    elif channel is None:
        raise click.UsageError("name an order or return, or a channel with --channel")
    elif "deliveries" in of_order:
        raise click.UsageError("--delivery is of one order or return: name it")
    else:
        asked |= {"orders" if name == "codes" else name: value for name, value in chosen.items()}
        document = carry_out(at(gateway, JOBS), {"channel": channel, **asked}, wanted, as_json=as_json)
        if document is not None:
            _show_job(until_over(gateway, JOBS, document), as_json=as_json)


def _show_job(document: Any, *, as_json: bool) -> None:
    show(document, lambda found: "\n".join(_of_channel(found)), as_json=as_json)
    sys.exit(1 if document["state"] in ("failed", "refused") or _all_refused(document) else 0)


def _came_right(one: Any, *, waited: bool) -> bool:
    """Whether what was asked for came of a delivery; where it was waited for, that the far side took the new one."""
    return one["outcome"] == "sent" and (not waited or one["state"] == "delivered")


def _all_refused(document: Any) -> bool:
    """Whether a resubmission that is over had some to send, and no far side took one."""
    return bool(document["possible"] or document["late"]) and not document["delivered"] and not document["onTheirWay"]


def _of_order(document: Any) -> Iterator[str]:
    for one in document["deliveries"]:
        at = f" at {moment(one['refusedAtMs'])}" if one["refusedAtMs"] is not None else ""
        yield f"{one['touchpoint']} {one['id']}: refused{at}: {one['refusal']}"
        yield f"    {_outcome(one)}"


def _outcome(one: Any) -> str:
    said = str(one["outcome"])
    said += f" as {one['newId']}" if one["newId"] else ""
    said += f": {one['state']}" if one["state"] else ""
    return f"{said}: {one['message']}" if one["message"] else said


def _of_channel(document: Any) -> Iterator[str]:
    for group in document["groups"]:
        yield f"{group['count']:>8}  {group['touchpoint']}  {group['refusal']}"
        if group.get("codes"):
            more = ", .." if group["count"] > len(group["codes"]) else ""
            yield f"{'':>10}{', '.join(group['codes'])}{more}"
    counts = (("sentBefore", "sent before"), ("notPossible", "not possible"), ("late", "without a verdict"))
    parts = [f"{document['possible']} sent"]
    parts += [f"{document[name]} {words}" for name, words in counts if document[name]]
    yield ", ".join(parts)
    for one in document["examples"]:
        if one["outcome"] != "sent":
            yield f"    {one['code']}  {one['touchpoint']}  {_outcome(one)}"
    if document["more"]:
        yield "there are more: run it again afterwards"
    ended = [f"{document['delivered']} delivered", f"{document['refusedAgain']} refused again"]
    if document["onTheirWay"]:
        ended.append(f"{document['onTheirWay']} still on their way")
    yield f"{document['id']} {document['state']}: {', '.join(ended)}"
    if document["message"]:
        yield document["message"]
