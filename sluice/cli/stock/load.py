"""`sluice inventory load` and `snapshots`: snapshots of a location's stock, over a gateway's API."""

# ruff: noqa: PLC0415 - what a command needs is imported when it runs

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

import click

from sluice.cli.gateway_client import UnknownError, ask, in_path
from sluice.cli.options import gateway_options
from sluice.cli.output import show
from sluice.errors import StartError

PROGRESS_S = 2.0
"""Pause between two lines of progress."""
POLL_S = 0.5
"""Pause between two questions about a snapshot that is being applied."""
WAIT_S = 600.0
"""How long the command waits for a snapshot to be applied after its upload. A healthy inventory role needs seconds; a
snapshot is applied whether somebody waits or not."""


@click.command(short_help="Load the whole stock of a location.")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--channel", required=True, help="Channel whose stock it is.")
@click.option("--location", required=True, help="Location of the stock; ~ALL or ~STORE for consolidated stock.")
@click.option("--complete", is_flag=True, help="Set SKUs that FILE does not name to 0.")
@click.option(
    "--format",
    "chosen",
    type=click.Choice(["csv", "ndjson", "parquet"]),
    help="Format of FILE.  [default: by its ending]",
)
@gateway_options
def load(
    file: str, channel: str, location: str, complete: bool, chosen: str | None, gateway: str, as_json: bool
) -> None:
    """Load the whole stock of a location from FILE (- for standard input): a SKU and its quantity on each line.

    Updates that arrive meanwhile win over FILE. Without --complete, SKUs that FILE does not name stay as they are. Exit
    code 1 when a line was refused or the snapshot was abandoned.
    """
    from sluice.cli.render.stock import render_snapshot
    from sluice.cli.stock.files import CONTENT_TYPES, blocks_of, format_of
    from sluice.cli.stock.upload import upload

    path = _path(channel, location)
    kind = format_of(file, chosen)
    with blocks_of(file, kind) as blocks:
        progress = Progress()
        query = f"{path}?complete={json.dumps(complete)}"
        status, document = upload(gateway, query, progress.count(blocks), CONTENT_TYPES[kind])
        progress.end()
    if status == 202:
        document |= _wait_for_end(gateway, path, document["snapshot"])
    show(document, render_snapshot, as_json=as_json)
    sys.exit(0 if document["state"] == "applied" and not document["refused"] and document["notComplete"] is None else 1)


@click.command(short_help="Show the last snapshots of a location.")
@click.argument("channel")
@click.argument("location")
@gateway_options
def snapshots(channel: str, location: str, gateway: str, as_json: bool) -> None:
    """Show the last snapshots of LOCATION of CHANNEL and their outcomes, the newest first."""
    from sluice.cli.render.stock import render_snapshot

    def render(found: Any) -> str:
        return "\n".join(render_snapshot(one) for one in found["snapshots"])

    show(ask(gateway, "GET", _path(channel, location)), render, as_json=as_json)


class Progress:
    """Progress of an upload, on standard error."""

    def __init__(self) -> None:
        self._began = self._printed = time.monotonic()
        self._lines = 0
        self._bytes = 0

    def count(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        for block in blocks:
            yield block
            self._lines += block.count(b"\n")
            self._bytes += len(block)
            if time.monotonic() - self._printed >= PROGRESS_S:
                self._printed = time.monotonic()
                self._print("sent so far")

    def end(self) -> None:
        self._print("sent")

    def _print(self, what: str) -> None:
        seconds = max(time.monotonic() - self._began, 0.001)
        rate = self._lines / seconds
        sent = f"{self._lines:,} lines, {self._bytes / 1e6:,.1f} MB"
        click.echo(f"{sent} {what} in {seconds:,.1f} s ({rate:,.0f} lines/s)", err=True)


def _wait_for_end(gateway: str, path: str, snapshot: str) -> dict[str, Any]:
    deadline = printed = time.monotonic()
    deadline += WAIT_S
    while time.monotonic() < deadline:
        time.sleep(POLL_S)
        try:
            found = ask(gateway, "GET", path)["snapshots"]
        except UnknownError:
            found = []
        one: dict[str, Any] | None = next((each for each in found if each["snapshot"] == snapshot), None)
        if one is not None and one["state"] in ("applied", "abandoned"):
            return one
        if time.monotonic() - printed >= PROGRESS_S:
            printed = time.monotonic()
            click.echo(f"being applied: {one['received'] if one else 0:,} SKUs so far", err=True)
    message = f"{snapshot} is stored, but not applied after {WAIT_S:g} s: does the inventory role run?"
    raise StartError(f"{message} `sluice inventory snapshots` shows what becomes of it")


def _path(channel: str, location: str) -> str:
    return f"/api/inventory/snapshots/{in_path(channel, location)}"
