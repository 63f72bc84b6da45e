"""`sluice run ROLE`: one role in this process; and the names under which roles were started before."""

# ruff: noqa: PLC0415 - what a command needs is imported when it runs

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from sluice.cli.configuration import channels_file, load, unknown_variables
from sluice.cli.errors import ReadableGroup
from sluice.cli.options import PORT, admin_options, role_options
from sluice.errors import StartError
from topics.compiled import FORM

if TYPE_CHECKING:
    from topics.configuration.channels import Channels
    from topics.configuration.hang_ups import HangUps
    from topics.configuration.settings import Settings

log = logging.getLogger(__name__)

ROLES = ("gateway", "orders", "inventory", "delivery")
"""Roles that had names of their own before `sluice run`."""
_HELP = ("-h", "--help")


@click.group(short_help="Run a role of Sluice in this process.")
def run() -> None:
    """Run a role of Sluice in this process, until a signal ends it."""


def _prepare(
    role: str,
    increff_port: int,
    marketplace_port: int,
    overrides: dict[str, Any],
    *checks: Callable[[Settings], object],
) -> tuple[Settings, Channels, HangUps]:
    """Settings and channels of a role, checked; its log is configured, and SIGHUP ends it no more."""
    from sluice.demo_channels import demo_channels
    from sluice.roles import configure_signals
    from topics.configuration.channels_file import variables_named
    from topics.configuration.errors import ConfigurationError
    from topics.configuration.hang_ups import HangUps

    hang_ups = HangUps()  # before anything is read: a later SIGHUP means that it has changed
    try:
        settings, channels = load(overrides, demo_channels(increff_port, marketplace_port), checks)
    except ConfigurationError:
        _warn()  # a misspelt variable may be the reason
        raise
    configure_signals(settings, role)
    log.info("runs %s", FORM)
    used = variables_named(settings.channels_file) if settings.channels_file is not None else set()
    for text in unknown_variables(os.environ, used, every=True):
        log.warning("%s", text)
    return settings, channels, hang_ups


@run.command(short_help="Accept calls over HTTP.")
@role_options
@click.option("--host", "gateway_host", help="Address to listen on (SLUICE_GATEWAY_HOST).")
@click.option("--port", "gateway_port", type=PORT, help="Port to listen on (SLUICE_GATEWAY_PORT).")
@click.option("--gateways", type=int, help="Gateway processes that share the port (SLUICE_GATEWAYS).")
@click.option(
    "--number", "gateway_number", type=int, help="Number of this one among them, from 0 (SLUICE_GATEWAY_NUMBER)."
)
@admin_options
def gateway(increff_port: int, marketplace_port: int, **overrides: Any) -> None:
    """Run the gateway: accept calls over HTTP."""
    from sluice.roles import run_gateway
    from topics.configuration.api_tokens import load_api_tokens

    sys.exit(run_gateway(*_prepare("gateway", increff_port, marketplace_port, overrides, load_api_tokens)))


def _streams_command(name: str, does: str) -> None:
    def start(increff_port: int, marketplace_port: int, **overrides: Any) -> None:
        from sluice.roles import run_streams

        sys.exit(run_streams(name, *_prepare(name, increff_port, marketplace_port, overrides)))

    short_help = f"{does[0].upper()}{does[1:]}."
    run.command(name, short_help=short_help, help=f"Run the {name} role: {does}.")(role_options(admin_options(start)))


_streams_command("orders", "decide every command of every order")
_streams_command("inventory", "keep the stock of every channel")
_streams_command("delivery", "send everything that leaves Sluice")


@run.command(short_help="Follow the topics into the journal's database.")
@role_options
@admin_options
def journal(increff_port: int, marketplace_port: int, **overrides: Any) -> None:
    """Run the journal role: follow the topics into a database, for people who look for an order."""
    from sluice.roles import run_journal

    settings, channels, _hang_ups = _prepare("journal", increff_port, marketplace_port, overrides)
    sys.exit(run_journal(settings, channels))


class MainGroup(ReadableGroup):
    """The group of all commands. It knows the former names of `sluice run ROLE`: `sluice gateway`, `sluice orders`, ...

    A former name starts its role only where a container or an init system starts it. A person who types `sluice
    inventory` means the commands of that name; a second worker would take the partitions of the one that runs.
    """

    def resolve_command(
        self, context: click.Context, args: list[str], /
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, rest = args[0], args[1:]
        asks_group = name in self.commands and any(one in _HELP for one in rest)
        if (
            name in ROLES
            and not self._has_option(name, rest)
            and (not rest or rest[0].startswith("-"))
            and not asks_group
        ):
            args = self._former(name, args)
        if args[0] != run.name:  # a role warns in its log
            _warn()
        return super().resolve_command(context, args)

    def _has_option(self, name: str, rest: list[str]) -> bool:
        """Whether the first argument is an option of the group of that name, which then lists something."""
        group = self.commands.get(name)
        if group is None or not rest:
            return False
        first = rest[0].partition("=")[0]
        return any(first in (*one.opts, *one.secondary_opts) for one in group.params)

    def _former(self, name: str, args: list[str]) -> list[str]:
        """Return the arguments that a former name stands for now. Raises StartError where it stands for nothing."""
        now = shlex.join(["sluice", "run", *args])
        if is_started_by_init():
            click.echo(f"`sluice {name}` is the former name of `sluice run {name}`: use `{now}`", err=True)
            return ["run", *args]
        if len(args) > 1 or name not in self.commands:
            raise StartError(f"`sluice {name}` starts no role: type `{now}`")
        return args


def _warn() -> None:
    """Warns of variables that look like misspelt settings."""
    if not (file := channels_file({})):
        used = set[str]()
    else:
        from topics.configuration.channels_file import variables_named

        used = variables_named(file)
    for text in unknown_variables(os.environ, used, every=False):
        click.echo(f"warning: {text}", err=True)


def is_started_by_init() -> bool:
    """Whether this process is the first of its container, or a child of the first that has no terminal.

    The first process is what a container runs, its init, or the service manager of a machine. A shell in a container,
    `docker exec` and `kubectl exec` start children of others, or have a terminal.
    """
    if os.getpid() == 1:
        return True
    return os.getppid() == 1 and not any(os.isatty(number) for number in (0, 1, 2))
