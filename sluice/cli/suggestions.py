"""Suggestions for a command that does not exist; those for options are click's own."""

from __future__ import annotations

from difflib import get_close_matches

import click

_NONE = "No such command"
CUTOFF = 0.6
"""How alike a name must be, of 1: `deliverys` and `dead-leters` are alike, `status` and `stock` are not."""


def suggest(error: click.UsageError) -> None:
    """Add to the error about an unknown command those that are like it."""
    context = error.ctx
    if not error.message.startswith(_NONE) or context is None or not isinstance(context.command, click.Group):
        return
    name = error.message.removeprefix(_NONE).strip(" '\".")
    known = [one for one in context.command.list_commands(context) if not context.command.commands[one].hidden]
    if found := get_close_matches(name, known, 2, CUTOFF):
        error.message += f" Did you mean {' or '.join(found)}?"
