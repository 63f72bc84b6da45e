"""The command `sluice`. What a command needs is imported when it runs, so that `--help` and roles start fast."""

# ruff: noqa: PLC0415 - for the reason above

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import click

from sluice.cli import inventory as cli_inventory
from sluice.cli.redrive import redrive
from sluice.cli.subscriptions import subscriptions
from sluice.demo_channels import INCREFF_PORT, MARKETPLACE_PORT
from sluice.dev.torture.cli import torture
from sluice.errors import StartError

if TYPE_CHECKING:
    from topics.configuration.settings import Channels, Settings

GATEWAY_PORT = 8080
KAFKA_PORT = 9092
URL = f"http://127.0.0.1:{GATEWAY_PORT}"
PORT = click.IntRange(1, 65535)
FILE = click.Path(dir_okay=False, path_type=Path)
DIRECTORY = click.Path(file_okay=False, path_type=Path)

Command = TypeVar("Command", bound=Callable[..., Any])


class Unusable(click.ClickException):
    """What was asked cannot be done as it was asked; the message says what to change."""

    exit_code = 2


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """Expected errors as a line or two, without a traceback."""
    from topics.configuration.settings import ConfigurationError

    try:
        yield
    except (StartError, ConfigurationError) as error:
        raise Unusable(str(error)) from error


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="sluice")
def main() -> None:
    """Sluice: a streaming gateway on Kafka between online marketplaces and Increff OMS."""


main.add_command(torture)
main.add_command(subscriptions)
main.add_command(redrive)


# --- everything at once ------------------------------------------------------------------------------------------


@main.command(short_help="Run everything on this machine.")
@click.option("--demo", is_flag=True, help="With traffic: orders that travel and stock that flows.")
@click.option("--data-dir", type=DIRECTORY, default=Path(".sluice"), show_default=True, help="Kept between runs.")
@click.option("--port", type=PORT, default=GATEWAY_PORT, show_default=True, help="Of the gateway.")
@click.option("--kafka-port", type=PORT, help=f"Of the embedded Kafka.  [default: {KAFKA_PORT}]")
@click.option("--kafka", metavar="HOST:PORT", help="Use this Kafka instead of the embedded one.")
@click.option("--increff-port", type=PORT, default=INCREFF_PORT, show_default=True, help="Of Increff's sandbox.")
@click.option(
    "--marketplace-port", type=PORT, default=MARKETPLACE_PORT, show_default=True, help="Of the marketplace's."
)
@click.option("--channels", type=FILE, envvar="SLUICE_CHANNELS_FILE", help="channels.toml; then no sandboxes run.")
def up(
    demo: bool,
    data_dir: Path,
    port: int,
    kafka_port: int | None,
    kafka: str | None,
    increff_port: int,
    marketplace_port: int,
    channels: Path | None,
) -> None:
    """Run everything on this machine: Kafka, all roles and, without --channels, the sandboxes of both sides."""
    if kafka is not None and kafka_port is not None:
        raise Unusable("--kafka uses a Kafka that runs already, --kafka-port an embedded one: give only one of them")
    if demo and channels is not None:
        raise Unusable("--demo needs the sandboxes, which do not run with --channels: give only one of them")
    from sluice.dev.local.stack import Options
    from sluice.dev.local.up import up as run_up

    options = Options(
        data_dir=data_dir.absolute(),
        demo=demo,
        port=port,
        kafka_port=kafka_port or KAFKA_PORT,
        kafka=kafka,
        increff_port=increff_port,
        marketplace_port=marketplace_port,
        channels=channels,
    )
    with readable_errors():
        sys.exit(run_up(options))


# --- roles alone -------------------------------------------------------------------------------------------------


def role_options(command: Command) -> Command:
    """Options every role has; each overrides the environment variable named in its help."""
    options = [
        click.option("--kafka", metavar="HOST:PORT[,...]", help="Bootstrap servers (SLUICE_KAFKA)."),
        click.option("--channels", "channels_file", type=FILE, help="channels.toml (SLUICE_CHANNELS_FILE)."),
        click.option("--topic-prefix", help="First part of topic names (SLUICE_TOPIC_PREFIX)."),
        click.option("--instance", help="Name of this worker among those of its role (SLUICE_INSTANCE)."),
        click.option("--state-dir", type=DIRECTORY, help="For local state (SLUICE_STATE_DIR)."),
        click.option(
            "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="(SLUICE_LOG_LEVEL)"
        ),
        click.option("--increff-port", type=PORT, default=INCREFF_PORT, hidden=True),
        click.option("--marketplace-port", type=PORT, default=MARKETPLACE_PORT, hidden=True),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def admin_options(command: Command) -> Command:
    options = [
        click.option("--admin-host", help="Where /live, /ready and /metrics answer (SLUICE_ADMIN_HOST)."),
        click.option("--admin-port", type=click.IntRange(0, 65535), help="Their port; 0: any (SLUICE_ADMIN_PORT)."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _prepare(increff_port: int, marketplace_port: int, overrides: dict[str, Any]) -> tuple[Settings, Channels]:
    """Settings and channels of a role, checked; its log is configured."""
    from sluice.demo_channels import demo_channels
    from sluice.roles import configure_logging
    from topics.configuration.settings import load_channels, load_settings

    settings = load_settings(**{name: value for name, value in overrides.items() if value is not None})
    default = demo_channels(increff_port, marketplace_port)
    channels = load_channels(settings.channels_file, default=default)
    configure_logging(settings)
    return settings, channels


@main.command()
@role_options
@click.option("--host", "gateway_host", help="Address to listen on (SLUICE_GATEWAY_HOST).")
@click.option("--port", "gateway_port", type=PORT, help="Port to listen on (SLUICE_GATEWAY_PORT).")
def gateway(increff_port: int, marketplace_port: int, **overrides: Any) -> None:
    """Run the gateway: HTTP in."""
    with readable_errors():
        from sluice.roles import run_gateway

        sys.exit(run_gateway(*_prepare(increff_port, marketplace_port, overrides)))


def _run_role(name: str, increff_port: int, marketplace_port: int, overrides: dict[str, Any]) -> None:
    with readable_errors():
        from sluice.roles import run_streams

        sys.exit(run_streams(name, *_prepare(increff_port, marketplace_port, overrides)))


def _streams_command(name: str, does: str) -> None:
    def run(increff_port: int, marketplace_port: int, **overrides: Any) -> None:
        _run_role(name, increff_port, marketplace_port, overrides)

    main.command(name, help=f"Run the {name} role: {does}.")(role_options(admin_options(run)))


_streams_command("orders", "decides every command of every order")
_streams_command("delivery", "everything that leaves")


@main.group(invoke_without_command=True, subcommand_metavar="[COMMAND [ARGS]...]")
@role_options
@admin_options
@click.pass_context
def inventory(context: click.Context, /, increff_port: int, marketplace_port: int, **overrides: Any) -> None:
    """Run the inventory role: stock coming in. With a command: see and steer stock, over a gateway."""
    if context.invoked_subcommand is None:
        _run_role("inventory", increff_port, marketplace_port, overrides)


cli_inventory.add_commands(inventory)


# --- topics ------------------------------------------------------------------------------------------------------


@main.group()
def topics() -> None:
    """Make Kafka's topics from the catalogue, or compare them with it."""


def topics_options(command: Command) -> Command:
    options = [
        click.option("--kafka", metavar="HOST:PORT[,...]", help="Bootstrap servers (SLUICE_KAFKA)."),
        click.option("--topic-prefix", help="First part of topic names (SLUICE_TOPIC_PREFIX)."),
        click.option("--channels", "channels_file", type=FILE, help="channels.toml (SLUICE_CHANNELS_FILE)."),
        click.option("--partitions", type=int, help="Of each topic of orders and stock (SLUICE_PARTITIONS)."),
        click.option("--replication-factor", type=int, help="(SLUICE_REPLICATION_FACTOR)"),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _with_admin(work: Callable[[Any, Settings, Channels | None], Any], overrides: dict[str, Any]) -> Any:
    """Runs one piece of work against Kafka; a Kafka that does not answer is an expected error."""
    from aiokafka.errors import KafkaConnectionError, KafkaError

    from topics.configuration.settings import load_channels, load_settings
    from topics.kafka import admin

    with readable_errors():
        settings = load_settings(**{name: value for name, value in overrides.items() if value is not None})
        channels = load_channels(settings.channels_file) if settings.channels_file is not None else None
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it logs is raised, too
        try:
            return asyncio.run(work(admin, settings, channels))
        except KafkaConnectionError as error:
            raise StartError(f"Kafka at {settings.kafka} does not answer; --kafka HOST:PORT names another") from error
        except KafkaError as error:
            raise StartError(f"Kafka at {settings.kafka}: {error or type(error).__name__}") from error


@topics.command("create")
@topics_options
def topics_create(**overrides: Any) -> None:
    """Make the topics that do not exist yet."""
    _with_admin(lambda admin, settings, channels: admin.create(settings, channels), overrides)
    click.echo("every topic of the catalogue exists")


@topics.command("check")
@topics_options
def topics_check(**overrides: Any) -> None:
    """Compare the cluster's topics with the catalogue; exit code 1 when they differ."""
    differences = _with_admin(lambda admin, settings, channels: admin.check(settings, channels), overrides)
    for difference in differences:
        click.echo(difference)
    if differences:
        sys.exit(1)
    click.echo("the cluster's topics are as in the catalogue")


# --- asking ------------------------------------------------------------------------------------------------------


@main.command()
@click.argument("code")
@click.option("--channel", help="Its channel; needed when there is more than one.")
@click.option("--url", default=URL, show_default=True, envvar="SLUICE_URL", help="Of the gateway.")
@click.option("--json", "as_json", is_flag=True, help="The document as it is.")
def order(code: str, channel: str | None, url: str, as_json: bool) -> None:
    """Show where an order or a return is and how it came there."""
    from sluice.cli.gateway_client import fetch
    from sluice.cli.render.order import render

    with readable_errors():
        document = fetch(url, code, channel)
    if document is None:
        click.echo(f"no order or return {code}{f' of {channel}' if channel else ''}", err=True)
        sys.exit(1)
    click.echo(json.dumps(document, indent=2, ensure_ascii=False) if as_json else render(document))


@main.command(short_help="Say what would become of records, without sending them.")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option("--channels", "channels_file", type=FILE, help="channels.toml (SLUICE_CHANNELS_FILE).")
@click.option("--touchpoint", help="FILE has bodies of this call alone.")
@click.option("--channel", help="Of entries that name none.  [default: the first]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a record.")
def check(
    file: IO[str], channels_file: Path | None, touchpoint: str | None, channel: str | None, as_json: bool
) -> None:
    """Say what would become of the records in FILE (- for standard input), without sending anything.

    FILE has one JSON object a line, or is a JSON object or array. A record is written as it would be produced,
    {"headers": {"ce_id": .., "ce_type": .., "sluice-channel": ..}, "value": {..}}, or in short
    {"touchpoint": "create-outward-order", "channel": "demo", "body": {..}}; with --touchpoint it is the body. Orders
    are those of the file alone, in its order. Exit code 1 when a record would not be taken.
    """
    import time
    from dataclasses import asdict

    from sluice.cli.dry_run import DryRun, entries
    from sluice.demo_channels import demo_channels
    from topics.configuration.settings import load_channels, load_settings

    with readable_errors():
        settings = load_settings(**({} if channels_file is None else {"channels_file": channels_file}))
        channels = load_channels(settings.channels_file, default=demo_channels())
        if channel is not None and channel not in channels.channels:
            where = settings.channels_file or "the built-in channels.toml"
            raise Unusable(
                f"--channel {channel}: {where} has no such channel; there are: {', '.join(channels.channels)}"
            )
        try:
            text = file.read()
        except UnicodeDecodeError as error:
            raise Unusable(f"{file.name}: is not UTF-8: {error}") from error
    run = DryRun(settings, channels, round(time.time() * 1000), touchpoint=touchpoint, channel=channel)
    findings = [run.check(line, entry) for line, entry in entries(text)]
    for one in findings:
        place = f"{one.topic}/{one.partition} {one.key}" if one.partition is not None else ""
        said = json.dumps(asdict(one)) if as_json else f"{one.line:>4}  {one.verdict:10} {one.touchpoint}  {place}"
        click.echo(said if as_json or not one.message else f"{said}\n      {one.message}")
    bad = sum(one.bad for one in findings)
    if not as_json:
        click.echo(f"{len(findings)} records: {len(findings) - bad} would be taken, {bad} would not")
    sys.exit(1 if bad or not findings else 0)


# --- sandboxes, demo, benchmarks ---------------------------------------------------------------------------------


@main.command(short_help="Play a far side: Increff or a marketplace.")
@click.argument("side", type=click.Choice(["increff", "marketplace"]))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=PORT, help=f"Port to listen on.  [default: {INCREFF_PORT} and {MARKETPLACE_PORT}]")
@click.option("--url", default=URL, show_default=True, envvar="SLUICE_URL", help="Of Sluice's gateway.")
@click.option("--data-dir", type=DIRECTORY, help="Keeps what it knows over a restart; without it all is forgotten.")
@click.option("--auto", is_flag=True, help="Increff: the warehouse works on its own, not only on demand.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=200, show_default=True, help="Increff: requests in any 60 s."
)
def sandbox(side: str, host: str, port: int | None, url: str, data_dir: Path | None, auto: bool, limit: int) -> None:
    """Play a far side by the contract: Increff with its warehouse, or a marketplace."""
    from sluice.dev.sandbox.run import IncreffOptions, run_sandbox

    default = INCREFF_PORT if side == "increff" else MARKETPLACE_PORT
    with readable_errors():
        increff = IncreffOptions(url=url, auto=auto, limit_per_minute=limit)
        sys.exit(run_sandbox(side, host=host, port=port or default, data_dir=data_dir, increff=increff))


@main.command(short_help="Send traffic through a Sluice with both sandboxes.")
@click.option("--url", default=URL, show_default=True, envvar="SLUICE_URL", help="Of Sluice's gateway.")
@click.option("--increff-port", type=PORT, default=INCREFF_PORT, show_default=True, help="Of Increff's sandbox.")
def demo(url: str, increff_port: int) -> None:
    """Send traffic through a Sluice with both sandboxes: orders that travel, stock that flows."""
    from sluice.dev.sandbox.run import run_demo

    with readable_errors():
        sys.exit(run_demo(url=url, increff_port=increff_port))


@main.command(short_help="Run a benchmark on a Kafka of its own.")
@click.argument("name")
@click.option("--seconds", type=click.FloatRange(min=1), default=10.0, show_default=True, help="Of each measurement.")
@click.option("--part", "parts", multiple=True, help="Only this part of it; may be given again.  [default: all]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def bench(name: str, seconds: float, parts: tuple[str, ...], as_json: bool) -> None:
    """Run a benchmark on a Kafka of its own: ingress (the gateway), runtime (the streams runtime), verdict (both, from
    a POST to its answer), orders (the rules), recovery (a cold start, a killed worker), delivery (facts to a
    subscriber), isolation (what bad subscribers cost the others) or inventory (stock, part by part)."""
    from sluice.dev.benches import find

    with readable_errors():
        run = find(name, parts)
        sys.exit(run(seconds, as_json))
