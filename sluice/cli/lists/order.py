"""`sluice order`: where an order is, why, and how to push it on, over a gateway's API."""

from __future__ import annotations

import json
import sys
import time
import urllib.parse
from typing import Any, Final

import click

from sluice.cli.gateway_client import UnknownError, ask, fetch, in_path
from sluice.cli.options import gateway_options
from sluice.cli.output import moment, show
from sluice.errors import StartError

POLL_S: Final = 2.0
"""How often `--watch` looks: the journal is behind by less than a second, a person by more."""
_KINDS: Final = ("orders", "returns", "manifests")


@click.command(short_help="Say what an order waits for, since when, why, and what to do.")
@click.argument("code")
@click.option("--channel", help="Channel of the order; needed when there are several.")
@click.option("--watch", is_flag=True, help="Go on until it waits for nothing, and say what happens.")
@gateway_options
def order(code: str, channel: str | None, watch: bool, gateway: str, as_json: bool) -> None:
    """Say what the order, return or manifest CODE is, what it waits for, since when, why and until when, and what to do
    about it, with the command; then where its time went, and everything that happened.

    The story comes from the journal, the rest from the orders role. Where one of them is away, the other is shown.
    Exit code 1: neither knows CODE.
    """
    if watch:
        sys.exit(_watch(gateway, code, channel, as_json=as_json))
    if as_json:
        show(_document(gateway, code, channel, as_json=True), str, as_json=True)
        return
    _show(gateway, code, channel)


def _show(gateway: str, code: str, channel: str | None) -> None:
    from sluice.cli.render.order import render  # noqa: PLC0415 - as the command: `--help` starts fast
    from sluice.cli.render.story import render_moments, render_story  # noqa: PLC0415 - the same

    told = story_of(gateway, code, channel)
    if told is not None:
        click.echo(render_story(told))
    try:
        document = _document(gateway, code, channel, as_json=False, told=told)
    except StartError as error:
        if told is None:
            raise
        click.echo(render_moments(told))
        click.echo(f"\nThe orders role was not heard: {error}", err=True)
        return
    if told is not None:
        click.echo("")
    click.echo(render(document))


def _document(
    gateway: str, code: str, channel: str | None, *, as_json: bool, told: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The document of the orders role. Ends the command where there is no such order."""
    from sluice.cli.render.order import render_refused_calls  # noqa: PLC0415 - the same

    try:
        return fetch(gateway, code, channel)
    except UnknownError as unknown:
        if told is not None and told["state"] != "UNKNOWN":
            raise StartError(str(unknown)) from unknown
        click.echo(f"no order or return {code}{f' of {channel}' if channel else ''}", err=True)
        if unknown.refused_calls:
            show({"refusedCalls": unknown.refused_calls}, render_refused_calls, as_json=as_json)
        sys.exit(1)


def story_of(gateway: str, code: str, channel: str | None) -> dict[str, Any] | None:
    """The story of the order, return or manifest; None: nothing is known of it, or the journal is away."""
    query = f"?{urllib.parse.urlencode({'channel': channel})}" if channel else ""
    for kind in _KINDS:
        try:
            told = ask(gateway, "GET", f"/api/{kind}/{in_path(code)}/story{query}")
        except UnknownError:
            continue
        except StartError as error:
            if "answered 503" in str(error):
                click.echo(f"no story: {error}", err=True)
            return None
        return told if isinstance(told, dict) and "headline" in told else None
    return None


def _watch(gateway: str, code: str, channel: str | None, *, as_json: bool) -> int:
    """Print the story, then each change, until the order waits for nothing. Returns the exit code."""
    from sluice.cli.render.story import moment_line, render_story  # noqa: PLC0415 - the same

    seen: set[tuple[Any, ...]] = set()
    shown: Any = None
    while True:
        told = story_of(gateway, code, channel)
        if told is None:
            click.echo(f"no story of {code}", err=True)
            return 1
        state = [told["state"], [(wait["cause"], wait["requestId"]) for wait in told["waits"]]]
        new = [one for one in told["moments"] if _name(one) not in seen]
        if as_json:
            if new or state != shown:
                click.echo(json.dumps(told, ensure_ascii=False))
        elif shown is None:
            click.echo(render_story(told))
        else:
            for one in new:
                click.echo(moment_line(one))
            if state != shown:
                click.echo(f"{moment(told['toldAtMs'])}  {told['headline']}")
        seen |= {_name(one) for one in told["moments"]}
        shown = state
        if not told["waits"]:
            return 0
        time.sleep(POLL_S)


def _name(one: dict[str, Any]) -> tuple[Any, ...]:
    proof = one["proof"]
    return one["kind"], one["name"], proof["topic"], proof["partition"], proof["offset"]
