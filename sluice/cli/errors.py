"""Expected errors of every command, shown as a line or two."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import click

from sluice.errors import StartError

_NONE = "No such command"
SUGGESTED_FROM = 0.6
"""How alike a name must be, of 1: `deliverys` and `dead-leters` are alike, `status` and `stock` are not."""


class Unusable(click.ClickException):
    """A command cannot do what it was asked to; the message says what to change."""

    exit_code = 2


class ReadableGroup(click.Group):
    """The group of all commands: shows expected errors without a traceback."""

    def invoke(self, context: click.Context, /) -> Any:
        try:
            return super().invoke(context)
        except click.UsageError as error:
            suggest(error)
            raise
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if not _is_expected(error):
                raise
            raise Unusable(str(error)) from error


def _is_expected(error: Exception) -> bool:
    # Imported only here: it is the slowest import of all, and most commands end without an error.
    from topics.configuration.errors import ConfigurationError  # noqa: PLC0415

    return isinstance(error, (StartError, ConfigurationError))


def suggest(error: click.UsageError) -> None:
    """Add to the error about an unknown command those that are like it."""
    context = error.ctx
    if not error.message.startswith(_NONE) or context is None or not isinstance(context.command, click.Group):
        return
    name = error.message.removeprefix(_NONE).strip(" '\".")
    known = [one for one in context.command.list_commands(context) if not context.command.commands[one].hidden]
    if found := get_close_matches(name, known, 2, SUGGESTED_FROM):
        error.message += f" Did you mean {' or '.join(found)}?"
