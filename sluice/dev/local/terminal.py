"""Terminal output of `sluice up`: a table when everything is ready, then a line for each change."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click

_NAME_WIDTH = 19
"""Fits the longest name, sandbox-marketplace."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of the table: name, address and what is served there."""

    name: str
    url: str
    what: str


def say(text: str) -> None:
    """Print a line. A closed terminal must not keep the roles from ending well."""
    with suppress(OSError):
        click.echo(text)


def change(name: str, what: str) -> None:
    """Print a line about one role, with the time of day in UTC."""
    say(f"{time.strftime('%H:%M:%SZ', time.gmtime())}  {name:<{_NAME_WIDTH}}  {what}")


def table(lines: Sequence[TableRow], took_s: float) -> None:
    width = max(len(line.url) for line in lines)
    say(f"\nSluice is ready ({took_s:.1f} s). Ctrl-C ends it; what it has done is kept.\n")
    for line in lines:
        say(f"  {line.name:<{_NAME_WIDTH}}  {line.url:<{width}}  {line.what}")
    say("")


class Follower:
    """Shows the lines that a role writes to its log from now on; the demo reports that way."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._read = path.stat().st_size if path.exists() else 0
        self._rest = b""

    def show(self) -> None:
        if not self._path.exists():
            return
        if self._path.stat().st_size < self._read:
            self._read = 0  # the log was rotated
        with self._path.open("rb") as log:
            log.seek(self._read)
            new = log.read()
        self._read += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        for line in lines:
            change(self._name, line.decode(errors="replace"))
