"""The commands of the developer tools, for the group `sluice`. Each imports what it needs when it runs."""

# ruff: noqa: PLC0415 - for the reason above

from __future__ import annotations

import signal
import sys
from pathlib import Path

import click

from sluice.demo_channels import ADMIN_PORT, ADMIN_URL, GATEWAY_PORT, GATEWAY_URL, INCREFF_PORT, MARKETPLACE_PORT
from sluice.dev.torture.cli import torture
from sluice.errors import StartError

KAFKA_PORT = 9092
PORT = click.IntRange(1, 65535)
FILE = click.Path(dir_okay=False, path_type=Path)
DIRECTORY = click.Path(file_okay=False, path_type=Path)


GATEWAY_HELP = "URL of Sluice's gateway for marketplaces and Increff (SLUICE_GATEWAY_URL)."


@click.command(short_help="Run everything on this machine.")
@click.option("--demo", is_flag=True, help="Send demo traffic: orders that travel and stock that flows.")
@click.option(
    "--data-dir",
    type=DIRECTORY,
    default=Path(".sluice"),
    show_default=True,
    help="Directory for Kafka's data, state and logs; kept between runs.",
)
@click.option("--port", type=PORT, default=GATEWAY_PORT, show_default=True, help="Port of the gateway.")
@click.option(
    "--admin-port",
    type=PORT,
    default=ADMIN_PORT,
    show_default=True,
    help="Port of the gateway for operators: /api, /metrics.",
)
@click.option(
    "--gateways",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    envvar="SLUICE_GATEWAYS",
    help="Gateway processes that share this port (SLUICE_GATEWAYS).",
)
@click.option("--kafka-port", type=PORT, help=f"Port of the embedded Kafka.  [default: {KAFKA_PORT}]")
@click.option("--kafka", metavar="HOST:PORT", help="Use this Kafka instead of the embedded one.")
@click.option(
    "--increff-port", type=PORT, default=INCREFF_PORT, show_default=True, help="Port of the sandbox of Increff."
)
@click.option(
    "--marketplace-port",
    type=PORT,
    default=MARKETPLACE_PORT,
    show_default=True,
    help="Port of the sandbox of the marketplace.",
)
@click.option(
    "--channels",
    type=FILE,
    envvar="SLUICE_CHANNELS_FILE",
    help="Path of channels.toml; with it, no sandboxes run.",
)
def up(
    demo: bool,
    data_dir: Path,
    port: int,
    admin_port: int,
    gateways: int,
    kafka_port: int | None,
    kafka: str | None,
    increff_port: int,
    marketplace_port: int,
    channels: Path | None,
) -> None:
    """Run everything on this machine: Kafka, all roles and, without --channels, the sandboxes of both sides."""
    if kafka is not None and kafka_port is not None:
        raise StartError("--kafka uses a Kafka that runs already, --kafka-port an embedded one: give only one of them")
    if demo and channels is not None:
        raise StartError("--demo needs the sandboxes, which do not run with --channels: give only one of them")
    from sluice.dev.local.stack import UpOptions
    from sluice.dev.local.up import up as run_up

    options = UpOptions(
        data_dir=data_dir.absolute(),
        demo=demo,
        port=port,
        admin_port=admin_port,
        gateways=gateways,
        kafka_port=kafka_port or KAFKA_PORT,
        kafka=kafka,
        increff_port=increff_port,
        marketplace_port=marketplace_port,
        channels=channels,
    )
    sys.exit(run_up(options))


@click.command(short_help="Play a far side: Increff or a marketplace.")
@click.argument("side", type=click.Choice(["increff", "marketplace"]))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=PORT, help=f"Port to listen on.  [default: {INCREFF_PORT} and {MARKETPLACE_PORT}]")
@click.option("--url", default=GATEWAY_URL, show_default=True, envvar="SLUICE_GATEWAY_URL", help=GATEWAY_HELP)
@click.option(
    "--data-dir", type=DIRECTORY, help="Directory that keeps its state over a restart; without it, all is forgotten."
)
@click.option("--auto", is_flag=True, help="Increff only: let the warehouse work on its own, not only on demand.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Increff only: requests allowed in any 60 s.",
)
def sandbox(side: str, host: str, port: int | None, url: str, data_dir: Path | None, auto: bool, limit: int) -> None:
    """Play a far side by the contract: Increff with its warehouse, or a marketplace."""
    from sluice.dev.run import IncreffOptions, run_sandbox

    default = INCREFF_PORT if side == "increff" else MARKETPLACE_PORT
    increff = IncreffOptions(url=url, auto=auto, limit_per_minute=limit)
    sys.exit(run_sandbox(side, host=host, port=port or default, data_dir=data_dir, increff=increff))


@click.command(short_help="Send traffic through a Sluice with both sandboxes.")
@click.option("--url", default=GATEWAY_URL, show_default=True, envvar="SLUICE_GATEWAY_URL", help=GATEWAY_HELP)
@click.option(
    "--admin-url",
    default=ADMIN_URL,
    show_default=True,
    envvar="SLUICE_URL",
    help="URL of the gateway's admin port (SLUICE_URL).",
)
@click.option(
    "--increff-port", type=PORT, default=INCREFF_PORT, show_default=True, help="Port of the sandbox of Increff."
)
def demo(url: str, admin_url: str, increff_port: int) -> None:
    """Send traffic through a Sluice with both sandboxes: orders that travel, stock that flows."""
    from sluice.dev.run import run_demo

    sys.exit(run_demo(url=url, admin_url=admin_url, increff_port=increff_port))


@click.command(short_help="Run a benchmark on a Kafka of its own.")
@click.argument("name")
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    default=10.0,
    show_default=True,
    help="Length of each measurement.",
)
@click.option("--part", "parts", multiple=True, help="Measure only this part; repeatable.  [default: all parts]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def bench(name: str, seconds: float, parts: tuple[str, ...], as_json: bool) -> None:
    """Run a benchmark on a Kafka of its own: ingress (the gateway), runtime (the streams runtime), verdict (both, from
    a POST to its answer), overload (both, offered ten times what they can serve), orders (the rules), recovery (a cold
    start, a killed worker), delivery (facts to a subscriber), isolation (what bad subscribers cost the others) or
    inventory (stock, part by part)."""
    from sluice.dev.benches import find

    run = find(name, parts)
    # As Ctrl-C does: on a plain end by a signal, the processes that the benchmark has started would go on.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    sys.exit(run(seconds, as_json))


COMMANDS: tuple[click.Command, ...] = (up, sandbox, demo, torture, bench)
