"""The one plug through which the product knows its developer tools, which are a distribution of their own."""

from __future__ import annotations

from collections.abc import Sequence

import click

from sluice.errors import StartError

NAMES = ("up", "sandbox", "demo", "torture", "bench")
_HERE = {"sluice.dev", "sluice.dev.commands"}


def dev_commands() -> Sequence[click.Command]:
    """Return the commands of the developer tools, or commands of the same names that say what to install."""
    try:
        from sluice.dev.commands import COMMANDS  # noqa: PLC0415 - not part of every installation
    except ModuleNotFoundError as error:
        if error.name not in _HERE:
            raise
        return [_missing(name) for name in NAMES]
    return COMMANDS


def _missing(name: str) -> click.Command:
    @click.command(
        name,
        short_help="Developer tool, not installed.",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    def command() -> None:
        raise StartError(
            f"`sluice {name}` is one of the developer tools, which are not installed: pip install 'sluice-gateway[dev]'"
        )

    return command
