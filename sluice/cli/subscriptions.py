"""`sluice subscriptions`: the subscribers that get facts over HTTP, over a gateway's API."""

# ruff: noqa: PLC0415 - what a command needs is imported when it runs

from __future__ import annotations

import json
import os
from typing import Any

import click

from sluice.cli.deliveries import render_decision
from sluice.cli.gateway_client import ask, in_path
from sluice.cli.options import WAIT_S, gateway_options, wait_option, with_options
from sluice.cli.output import show
from sluice.cli.steps.two_steps import Wanted, at, carry_out, step_options


@click.group()
def subscriptions() -> None:
    """Manage the subscribers that get facts over HTTP."""


secret_options = with_options(
    click.option(
        "--secret-env", metavar="NAME", help="Read your own secret from this variable here; it is stored sealed."
    ),
    click.option(
        "--secret-reference", metavar="env:NAME", help="Read the secret from NAME where Sluice runs; it is not stored."
    ),
    click.option(
        "--signature",
        type=click.Choice(["v1", "v1a"]),
        help="Sign with a shared secret (v1) or a key pair (v1a).  [default: v1]",
    ),
)

settings_options = with_options(
    click.option("--type", "types", multiple=True, metavar="PATTERN", help="Facts to send, as `order-*`; repeatable."),
    click.option("--channel", "channels", multiple=True, help="Send only facts of this channel; repeatable."),
    click.option("--location", "locations", multiple=True, help="Send only facts of this location; repeatable."),
    click.option("--description", help="Note for people."),
    click.option(
        "--when-dead",
        type=click.Choice(["skip", "block", "supersede"]),
        help="What happens to an order's later facts once one was given up.",
    ),
    click.option(
        "--set", "more", multiple=True, metavar="NAME=JSON", help="Any other setting, as concurrency=8; repeatable."
    ),
)


@subscriptions.command(short_help="Add a subscriber.")
@click.argument("endpoint")
@settings_options
@secret_options
@gateway_options
def add(endpoint: str, gateway: str, as_json: bool, **chosen: Any) -> None:
    """Add a subscriber that gets facts posted to ENDPOINT. Its secret is shown once, here."""
    _show(gateway, "POST", "", {"url": endpoint, **_settings(chosen), **_secret(chosen)}, as_json=as_json)


@subscriptions.command("list", short_help="List all subscribers.")
@gateway_options
def list_(gateway: str, as_json: bool) -> None:
    """List all subscribers."""
    from sluice.cli.render.subscriptions import render_list

    found = _ask(gateway, "GET", "", None)
    show(found, render_list, as_json=as_json)


@subscriptions.command("show", short_help="Show a subscriber and its backlog.")
@click.argument("name", metavar="ID")
@gateway_options
def show_one(name: str, gateway: str, as_json: bool) -> None:
    """Show a subscriber: its settings, its last success and its backlog."""
    _show(gateway, "GET", f"/{in_path(name)}", None, as_json=as_json)


@subscriptions.command(short_help="Change settings of a subscriber.")
@click.argument("name", metavar="ID")
@click.option("--endpoint", help="Move to this URL, once it has passed the challenge.")
@click.option(
    "--revision", type=click.IntRange(min=1), help="Change only if the revision is still this one, as `show` prints it."
)
@settings_options
@gateway_options
def change(name: str, endpoint: str | None, revision: int | None, gateway: str, as_json: bool, **chosen: Any) -> None:
    """Change the settings that are given; the others stay as they are."""
    moved = {"url": endpoint} if endpoint is not None else {}
    body = {**moved, **_settings(chosen)}
    _show(gateway, "PATCH", f"/{in_path(name)}", body, as_json=as_json, revision=revision)


@subscriptions.command(short_help="Change the secret of a subscriber.")
@click.argument("name", metavar="ID")
@click.option(
    "--overlap-s", type=click.IntRange(min=0), help="Seconds in which the old secret signs, too.  [default: a day]"
)
@secret_options
@gateway_options
def rotate(name: str, overlap_s: int | None, gateway: str, as_json: bool, **chosen: Any) -> None:
    """Change the secret; for the overlap, the old one signs every delivery as well."""
    overlap = {"overlap_s": overlap_s} if overlap_s is not None else {}
    _show(gateway, "POST", f"/{in_path(name)}/rotate-secret", {**overlap, **_secret(chosen)}, as_json=as_json)


def _simple(verb: str, method: str, path: str, does: str) -> None:
    @click.argument("name", metavar="ID")
    @gateway_options
    def run(name: str, gateway: str, as_json: bool) -> None:
        _show(gateway, method, f"/{in_path(name)}{path}", None, as_json=as_json)
        if method == "DELETE" and not as_json:
            click.echo(f"{name} is removed")

    subscriptions.command(verb, help=does, short_help=does)(run)


_simple("verify", "POST", "/verify", "Send the challenge to a subscriber again.")


@subscriptions.command(short_help="Send facts to a subscriber again.")
@click.argument("name", metavar="ID")
@wait_option
@gateway_options
def enable(name: str, wait: bool, gateway: str, as_json: bool) -> None:
    """Send facts to a subscriber again, beginning with those that wait. With --wait, until one was tried."""
    path = f"/{in_path(name)}/enable"
    found = _ask(gateway, "POST", f"{path}?wait={WAIT_S}" if wait else path, None, wait_s=WAIT_S if wait else 0)
    show(found, render_enabled, as_json=as_json)


_simple("disable", "POST", "/disable", "Stop sending facts to a subscriber: keep those that wait, collect no new ones.")
_simple("remove", "DELETE", "", "Remove a subscriber; facts that wait for it are dropped.")


def _decision(verb: str, does: str) -> None:
    @click.argument("name", metavar="ID")
    @click.argument("delivery", metavar="DELIVERY")
    @click.option("--order", help="Code of the order that the fact is of,")
    @click.option("--return", "return_", help="or of the return,")
    @click.option("--manifest", help="or of the manifest.")
    @click.option("--channel", help="Channel of the order; needed when several have this code.")
    @step_options
    @gateway_options
    def run(
        name: str,
        delivery: str,
        gateway: str,
        as_json: bool,
        return_: str | None,
        reason: str | None,
        yes: bool,
        dry_run: bool,
        **whose: Any,
    ) -> None:
        from urllib.parse import urlencode

        query = urlencode({key: value for key, value in {**whose, "return": return_}.items() if value is not None})
        path = f"/api/subscriptions/{in_path(name)}/deliveries/{in_path(delivery)}/{verb}?{query}"
        found = carry_out(at(gateway, path), None, Wanted(reason, yes, dry_run), as_json=as_json)
        if found is not None:
            show(found, render_decision, as_json=as_json)

    subscriptions.command(verb, help=does, short_help=does)(run)


_decision("retry", "Send a fact again that was given up and blocks its order.")
_decision("skip", "Go on without a fact that was given up and blocks its order.")


def _settings(chosen: dict[str, Any]) -> dict[str, Any]:
    """Return the given settings by their names in the API."""
    found: dict[str, Any] = {name: list(chosen[name]) for name in ("types", "channels", "locations") if chosen[name]}
    found |= {name: chosen[name] for name in ("description", "when_dead") if chosen[name] is not None}
    for setting in chosen["more"]:
        name, separator, text = setting.partition("=")
        try:
            found[name] = json.loads(text)
        except ValueError as error:
            raise click.UsageError(f"--set {setting}: expected NAME=JSON, as concurrency=8") from error
        if not separator:
            raise click.UsageError(f"--set {setting}: expected NAME=JSON, as concurrency=8")
    return found


def _secret(chosen: dict[str, Any]) -> dict[str, Any]:
    name, reference = chosen["secret_env"], chosen["secret_reference"]
    if name is not None and reference is not None:
        raise click.UsageError("give --secret-env or --secret-reference, not both")
    found = {"signature": chosen["signature"]} if chosen["signature"] is not None else {}
    if name is not None:
        if not os.environ.get(name):
            raise click.UsageError(f"--secret-env {name}: the environment variable is not set, or empty")
        found["secret"] = os.environ[name]
    elif reference is not None:
        found["secret"] = reference
    return found


def _show(gateway: str, method: str, path: str, body: Any, *, as_json: bool, revision: int | None = None) -> None:
    from sluice.cli.render.subscriptions import render

    found = _ask(gateway, method, path, body, revision)
    if found is not None:
        show(found, render, as_json=as_json)


def _ask(gateway: str, method: str, path: str, body: Any, revision: int | None = None, wait_s: int = 0) -> Any:
    return ask(gateway, method, f"/api/subscriptions{path}", body, revision=revision, wait_s=wait_s)


def render_enabled(document: Any) -> str:
    """Return the subscription, and whether something was tried since."""
    from sluice.cli.render.subscriptions import render

    said = {None: "", True: "\na fact was tried since", False: "\nnothing was tried yet: no fact may wait"}
    return render(document) + said[document.get("tried")]
