"""The access log: one JSON line for each request, and one for each action by the API.

Lines of requests gather for a moment and are written at once, which is cheap.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import orjson

FLUSH_S = 0.2
"""How long a line may wait; short enough to follow by eye."""
LINES_MAX = 1_000
"""So many lines are written without waiting for FLUSH_S: bounds memory at any rate of requests."""

Write = Callable[[bytes], object]


def to_standard_error(lines: bytes) -> None:
    sys.stderr.buffer.write(lines)
    sys.stderr.buffer.flush()


def discard(_lines: bytes) -> None:
    """For log levels without requests."""


class AccessLog:
    def __init__(self, write: Write = to_standard_error, write_action: Write = to_standard_error) -> None:
        self._write = write
        self._write_action = write_action
        self._lines: list[bytes] = []
        self._flush: asyncio.TimerHandle | None = None

    def line(self, fields: dict[str, Any]) -> None:
        if self._write is discard:
            return
        self._lines.append(orjson.dumps(fields))
        if len(self._lines) >= LINES_MAX:
            self.flush()
        elif self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def action(self, fields: dict[str, Any]) -> None:
        """Writes the line of an action before its answer leaves, at every log level."""
        self.flush()
        self._write_action(orjson.dumps(fields) + b"\n")

    def flush(self) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        if self._lines:
            lines, self._lines = self._lines, []
            self._write(b"\n".join(lines) + b"\n")
