"""`sluice inventory load` and `snapshots`: the whole stock of a location, over a gateway's API."""

# ruff: noqa: PLC0415 - what a command needs is imported when it runs

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

import click

from sluice.cli.options import gateway_options

TOLD_S = 2.0
"""Between two lines of progress."""
POLL_S = 0.5
"""Between two looks at a snapshot that is being applied."""
WAIT_S = 600.0
"""How long the end of a snapshot is waited for after its upload. An inventory role that is well needs seconds; what is
uploaded is applied whether somebody waits or not."""


@click.command(short_help="Load the whole stock of a location.")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--channel", required=True, help="Whose stock it is.")
@click.option("--location", required=True, help="The location; ~ALL or ~STORE for consolidated stock.")
@click.option("--complete", is_flag=True, help="SKUs that FILE does not name become 0.")
@click.option(
    "--format", "chosen", type=click.Choice(["csv", "ndjson", "parquet"]), help="Of FILE.  [default: by its ending]"
)
@gateway_options
def load(
    file: str, channel: str, location: str, complete: bool, chosen: str | None, gateway: str, as_json: bool
) -> None:
    """Load the whole stock of a location from FILE (- for standard input): a SKU and its quantity on each line.

    Updates that come while it is loaded win over it. Without --complete, SKUs that FILE does not name stay as they are.
    Exit code 1 when a line was refused or the snapshot was abandoned.
    """
    from sluice.cli.render.stock import render_snapshot
    from sluice.cli.stock_files import CONTENT_TYPES, blocks_of, format_of
    from sluice.cli.upload import upload

    path = _path(channel, location)
    kind = format_of(file, chosen)
    with blocks_of(file, kind) as blocks:
        progress = Progress()
        query = f"{path}?complete={json.dumps(complete)}"
        status, told = upload(gateway, query, progress.of(blocks), CONTENT_TYPES[kind])
        progress.end()
    if status == 202:
        told |= _until_over(gateway, path, told["snapshot"])
    click.echo(json.dumps(told, indent=2, ensure_ascii=False) if as_json else render_snapshot(told))
    sys.exit(0 if told["state"] == "applied" and not told["refused"] and told["notComplete"] is None else 1)


@click.command(short_help="How the snapshots of a location fare.")
@click.argument("channel")
@click.argument("location")
@gateway_options
def snapshots(channel: str, location: str, gateway: str, as_json: bool) -> None:
    """Show the last snapshots of LOCATION of CHANNEL and what became of them, the newest first."""
    from sluice.cli.gateway_client import ask
    from sluice.cli.render.stock import render_snapshot

    found = ask(gateway, "GET", _path(channel, location))
    told = "\n".join(render_snapshot(one) for one in found["snapshots"])
    click.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else told)


class Progress:
    """On standard error: what was sent, and how fast."""

    def __init__(self) -> None:
        self._began = self._told = time.monotonic()
        self._lines = 0
        self._bytes = 0

    def of(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        for block in blocks:
            yield block
            self._lines += block.count(b"\n")
            self._bytes += len(block)
            if time.monotonic() - self._told >= TOLD_S:
                self._told = time.monotonic()
                self._tell("sent so far")

    def end(self) -> None:
        self._tell("sent")

    def _tell(self, what: str) -> None:
        seconds = max(time.monotonic() - self._began, 0.001)
        rate = self._lines / seconds
        sent = f"{self._lines:,} lines, {self._bytes / 1e6:,.1f} MB"
        click.echo(f"{sent} {what} in {seconds:,.1f} s ({rate:,.0f} lines/s)", err=True)


def _until_over(gateway: str, path: str, snapshot: str) -> dict[str, Any]:
    from sluice.cli.gateway_client import UnknownError, ask
    from sluice.errors import StartError

    deadline = told_at = time.monotonic()
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
        if time.monotonic() - told_at >= TOLD_S:
            told_at = time.monotonic()
            click.echo(f"being applied: {one['received'] if one else 0:,} SKUs so far", err=True)
    message = f"{snapshot} is stored, and not applied after {WAIT_S:g} s: does the inventory role run?"
    raise StartError(f"{message} `sluice inventory snapshots` tells what becomes of it")


def _path(channel: str, location: str) -> str:
    return f"/api/inventory/snapshots/{quote(channel, safe='')}/{quote(location, safe='')}"
