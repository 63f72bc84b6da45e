"""`sluice torture`: a receiver that misbehaves, and a score of how a sender coped."""

# ruff: noqa: PLC0415 - what a command needs is imported when it runs

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from sluice.errors import StartError

if TYPE_CHECKING:
    from sluice.dev.torture.receiver import ReceiverOptions

PORT = 9500
FILE = click.Path(dir_okay=False, path_type=Path)
FIELD_HELP = "PLACE is header:NAME or body:path.to.member; join several with commas."


@click.group(short_help="Test a sender of webhooks.")
def torture() -> None:
    """Test any sender of webhooks: let a receiver misbehave, and score how the sender copes."""


def _fields(command: Any) -> Any:
    """Options that say where a request has its members; by default, where Sluice puts them."""
    for name, what in (
        ("watermark", "Place of the watermark: everything up to it was acknowledged before."),
        ("previous", "Place of the sequence before this one."),
        ("redrive", "Place of the mark of a redriven delivery, whose late arrival is no fault."),
        ("sequence", "Place of the number within the lane."),
        ("lane", "Place of the name of the lane, within which deliveries must arrive in sequence."),
        ("id", "Place of the delivery's id, the same on every repeat."),
    ):
        command = click.option(f"--{name}", metavar="PLACE", help=f"{what} {FIELD_HELP if name == 'id' else ''}")(
            command
        )
    return command


@torture.command(short_help="Receive webhooks and misbehave.")
@click.argument("log", type=FILE)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="Port to listen on; 0 takes any."
)
@click.option(
    "--share", type=click.FloatRange(0, 1), default=0.15, show_default=True, help="Share of attempts that meet a fault."
)
@click.option(
    "--fault", "faults", multiple=True, metavar="NAME", help="Use only this fault; repeatable.  [default: most faults]"
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of the faults; the same seed gives the same faults."
)
@click.option(
    "--quiet-s", type=click.IntRange(1), default=2, show_default=True, help="Seconds that a Retry-After asks for."
)
@click.option("--latency-ms", type=click.FloatRange(0), default=0.0, help="Pause before each answer.")
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    help="Check signatures with this secret (whsec_...) or public key (whpk_...); repeatable.",
)
@_fields
def receive(log: Path, host: str, port: int, **chosen: Any) -> None:
    """Receive webhooks, misbehave, and write each request with its answer to LOG. Ctrl-C ends it."""
    import asyncio

    import uvloop

    from sluice.dev.torture.log import LogWriter
    from sluice.dev.torture.receiver import Receiver

    options = _options(chosen)

    async def run() -> None:
        with log.open("ab") as file:
            receiver = Receiver(options, LogWriter(file))
            await receiver.start(host, port)
            click.echo(f"http://{host}:{receiver.port}/ receives; its log is {log}")
            ended = asyncio.Event()
            for one in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(one, ended.set)
            await ended.wait()
            await receiver.stop()
            click.echo(f"{receiver.requests:,} requests; score them with: sluice torture score {log}")

    try:
        uvloop.run(run())
    except OSError as error:
        raise StartError(f"{host}:{port}: {error.strerror or error}; choose another with --port") from error


@torture.command(short_help="Score a sender by a receiver's log.")
@click.argument("log", type=click.File("rb"))
@click.option(
    "--expect",
    type=click.File("r", encoding="utf-8"),
    help="File of lines `LANE SEQUENCE`: the deliveries that had to arrive.",
)
@click.option(
    "--budget",
    "budgets",
    multiple=True,
    metavar="N/SECONDS",
    help="Budget that the sender must keep: N requests in any SECONDS; repeatable.",
)
@click.option(
    "--on-its-way-ms",
    type=click.FloatRange(0),
    help="Time after a Retry-After in which requests may still arrive.  [default: 250]",
)
@click.option("--json", "json_wanted", is_flag=True, help="Print one JSON object.")
def score(log: IO[bytes], expect: IO[str] | None, json_wanted: bool, budgets: tuple[str, ...], **chosen: Any) -> None:
    """Count what a sender did wrong, by the LOG of a receiver alone. Exit code 1 when it did anything wrong."""
    from sluice.dev.torture.log import LogError, read
    from sluice.dev.torture.report import as_json, render
    from sluice.dev.torture.score import ON_ITS_WAY_MS
    from sluice.dev.torture.score import score as judge

    given = chosen["on_its_way_ms"]
    try:
        found = judge(
            read(log),
            expected=None if expect is None else _expected(expect),
            budgets=[_budget(text) for text in budgets],
            on_its_way_ms=ON_ITS_WAY_MS if given is None else given,
        )
    except LogError as error:
        raise StartError(f"{log.name}: {error}") from error
    click.echo(json.dumps(as_json(found)) if json_wanted else render(found))
    sys.exit(1 if found.wrong or not found.requests else 0)


def _options(chosen: dict[str, Any]) -> ReceiverOptions:
    from sluice.dev.torture.faults import DEFAULT, Fault, Plan
    from sluice.dev.torture.fields import FieldError, Fields, parse_field
    from sluice.dev.torture.receiver import ReceiverOptions
    from sluice.dev.torture.signatures import SecretError, checker

    try:
        faults = tuple(Fault(name) for name in chosen["faults"]) or DEFAULT
    except ValueError as error:
        raise StartError(f"--fault: {error}; there are {', '.join(Fault)}") from error
    places = {
        name: chosen[name] for name in ("id", "lane", "sequence", "previous", "watermark", "redrive") if chosen[name]
    }
    try:
        fields = Fields(**{name: parse_field(text) for name, text in places.items()})
        checks = tuple(checker(secret) for secret in chosen["secrets"])
    except (FieldError, SecretError) as error:
        raise StartError(str(error)) from error
    return ReceiverOptions(
        plan=Plan(share=chosen["share"], faults=faults, seed=chosen["seed"]),
        fields=fields,
        checks=checks,
        latency_s=chosen["latency_ms"] / 1000,
        quiet_s=chosen["quiet_s"],
    )


def _expected(file: IO[str]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for number, line in enumerate(file, 1):
        lane, _, sequence = line.strip().rpartition(" ")
        if not (lane and sequence.isdigit()):
            raise StartError(f"{file.name}: line {number} is not `LANE SEQUENCE`")
        found.setdefault(lane, set()).add(int(sequence))
    return found


def _budget(text: str) -> Any:
    from sluice.dev.torture.score import Budget

    requests, _, seconds = text.partition("/")
    try:
        budget = Budget(int(requests), float(seconds))
    except ValueError as error:
        raise StartError(f"--budget {text}: write it as 200/60, requests and seconds") from error
    return budget
