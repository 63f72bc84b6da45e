"""Expected errors of every command, shown as a line or two."""

from __future__ import annotations

from typing import Any

import click

from sluice.cli.suggestions import suggest
from sluice.errors import StartError


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
