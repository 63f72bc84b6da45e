"""The lines of this process: one shape for all roles, one line a record, on standard error.

A line is JSON, or on a terminal a line for people. Only fields of the catalogue are written.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from topics.logs.catalogue import ALLOWED, LogEvent

Write = Callable[[bytes], object]
Render = Callable[[dict[str, Any]], bytes]

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
STRICT_VARIABLE: Final = "SLUICE_INVARIANTS"
"""With the value `raise`, as in the tests, a field that its event does not have raises LookupError."""


def to_standard_error(lines: bytes) -> None:
    sys.stderr.buffer.write(lines)
    sys.stderr.buffer.flush()


class Moments:
    """Moments as text. The part up to the second is made once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def text(self, now_ns: int) -> str:
        second, ns = divmod(now_ns, 1_000_000_000)
        if second != self._second:
            self._second = second
            self._text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.")
        return f"{self._text}{ns // 1_000_000:03d}Z"


class Lines:
    """Makes the lines of a process. `level`: the lowest that is written."""

    def __init__(
        self,
        role: str = "",
        instance: str = "",
        *,
        level: int = logging.INFO,
        render: Render = orjson.dumps,
        write: Write = to_standard_error,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.role = role
        self.instance = instance
        self.level = level
        self._render = render
        self._write = write
        self._now_ns = now_ns
        self._moments = Moments()

    def wants(self, event: LogEvent) -> bool:
        return LEVELS[event.level] >= self.level

    def made(self, event: LogEvent, fields: Mapping[str, Any], level: str = "") -> bytes:
        """The line without its end. `level`: another than the event's."""
        if not fields.keys() <= ALLOWED[event.name]:
            fields = _only(event, fields)
        return self._render(
            {
                "at": self._moments.text(self._now_ns()),
                "level": level or event.level,
                "role": self.role,
                "instance": self.instance,
                "event": event.name,
                **fields,
            }
        )

    def write(self, event: LogEvent, fields: Mapping[str, Any], level: str = "") -> None:
        """Writes a line at once, unless its level is too low."""
        if LEVELS[level or event.level] >= self.level:
            self._write(self.made(event, fields, level) + b"\n")


def _only(event: LogEvent, fields: Mapping[str, Any]) -> dict[str, Any]:
    allowed = ALLOWED[event.name]
    if os.environ.get(STRICT_VARIABLE) == "raise":
        more = ", ".join(sorted(fields.keys() - allowed))
        raise LookupError(f"topics/logs/catalogue.py does not list these fields of {event.name}: {more}")
    return {name: value for name, value in fields.items() if name in allowed}


SILENT: Final = 100
"""A level above all: for processes that are no role, as `sluice check`."""

LINES = Lines(level=SILENT)
"""Those of this process: none, until `topics.logs.setup.configure` says whose they are."""


def use(lines: Lines) -> Lines:
    """Makes these the lines of this process. Returns those before, for tests."""
    global LINES
    before, LINES = LINES, lines
    return before


def write_line(event: LogEvent, /, **fields: Any) -> None:
    """Writes a line of this process."""
    LINES.write(event, fields)
