"""Output of commands: a document of the gateway as JSON, or as text."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

LOCAL = "sluice.local"
"""Name of what a command notes about `--local`."""


def show(document: Any, render: Callable[[Any], str], *, as_json: bool) -> None:
    click.echo(json.dumps(document, indent=2, ensure_ascii=False) if as_json else render(document))


def moment(at_ms: int, *, exact: bool = False) -> str:
    """A time in UTC, with `Z`; with `--local` in this machine's zone, with its offset. `exact`: to the millisecond."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    text = "milliseconds" if exact else "seconds"
    if is_local():
        return at.astimezone().isoformat(" ", text)
    return at.replace(tzinfo=None).isoformat(" ", text) + "Z"


def is_local() -> bool:
    """Whether the command was given `--local`."""
    context = click.get_current_context(silent=True)
    return context is not None and context.find_root().meta.get(LOCAL, False) is True


def show_local(context: click.Context, _option: click.Parameter, is_wanted: bool) -> None:
    """Notes for `moment` that the command was given `--local`."""
    context.find_root().meta[LOCAL] = is_wanted
