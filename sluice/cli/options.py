"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from sluice.cli.output import show_local
from sluice.demo_channels import ADMIN_URL, INCREFF_PORT, MARKETPLACE_PORT

PORT = click.IntRange(1, 65535)
FILE = click.Path(dir_okay=False, path_type=Path)
DIRECTORY = click.Path(file_okay=False, path_type=Path)

Command = TypeVar("Command", bound=Callable[..., Any])
Option = Callable[[Command], Command]


def with_options(*options: Option[Any]) -> Option[Any]:
    """Return a decorator that gives a command these options, in this order in its help."""

    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def given(choice: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a command's options that were given. Raises UsageError for an empty one: it comes of a variable
    that is not set, and left out it would choose all."""
    for name, value in choice.items():
        if value == "" or (isinstance(value, tuple) and "" in value):
            raise click.UsageError(f"{option_of(name)} is empty")
    return {name: value for name, value in choice.items() if value}


def option_of(name: str) -> str:
    """Return the option of the command that sets this parameter, as it is typed."""
    return next(one.opts[0] for one in click.get_current_context().command.params if one.name == name)


gateway_options = with_options(
    click.option(
        "--url",
        "gateway",
        default=ADMIN_URL,
        show_default=True,
        envvar="SLUICE_URL",
        help="URL of the gateway's admin port (SLUICE_URL). A token for it is read from SLUICE_API_TOKEN.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print the gateway's document as JSON."),
    click.option(
        "--local",
        is_flag=True,
        expose_value=False,
        callback=show_local,
        help="Show times in this machine's zone.  [default: UTC]",
    ),
)

WAIT_S = 30
"""The longest wait of one call (topics/api/query_parameters.WAIT)."""

wait_option = click.option("--wait", is_flag=True, help=f"Wait for the effect, {WAIT_S} s at most.")

cluster_options = with_options(
    click.option("--kafka", metavar="HOST:PORT[,...]", help="Bootstrap servers of Kafka (SLUICE_KAFKA)."),
    click.option("--channels", "channels_file", type=FILE, help="Path of channels.toml (SLUICE_CHANNELS_FILE)."),
    click.option("--topic-prefix", help="First part of each topic's name (SLUICE_TOPIC_PREFIX)."),
)

role_options = with_options(
    cluster_options,
    click.option("--instance", help="Name of this worker among those of its role (SLUICE_INSTANCE)."),
    click.option("--state-dir", type=DIRECTORY, help="Directory for local state (SLUICE_STATE_DIR)."),
    click.option(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        help="Least severe messages to log (SLUICE_LOG_LEVEL).",
    ),
    # Where the sandboxes of `sluice up` listen.
    click.option("--increff-port", type=PORT, default=INCREFF_PORT, hidden=True),
    click.option("--marketplace-port", type=PORT, default=MARKETPLACE_PORT, hidden=True),
)

admin_options = with_options(
    click.option(
        "--admin-host", help="Address to serve /live, /ready and /metrics on, and a gateway's /api (SLUICE_ADMIN_HOST)."
    ),
    click.option(
        "--admin-port", type=click.IntRange(0, 65535), help="Port to serve them on; 0 takes any (SLUICE_ADMIN_PORT)."
    ),
)

topics_options = with_options(
    cluster_options,
    click.option("--partitions", type=int, help="Partitions of each topic of orders and stock (SLUICE_PARTITIONS)."),
    click.option("--replication-factor", type=int, help="Replicas of each partition (SLUICE_REPLICATION_FACTOR)."),
)
