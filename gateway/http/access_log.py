"""The access log: one line for each request, and one for each action by the API.

Lines of requests gather for a moment and are written at once, which is cheap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from topics.logs import lines
from topics.logs.catalogue import ACTION, REQUEST, LogEvent
from topics.logs.lines import Lines, Write, to_standard_error

FLUSH_S = 0.2
"""How long a line may wait; short enough to follow by eye."""
LINES_MAX = 1_000
"""So many lines are written without waiting for FLUSH_S: bounds memory at any rate of requests."""


class AccessLog:
    """`made_by`: the lines of this process."""

    def __init__(
        self, write: Write = to_standard_error, write_action: Write | None = None, made_by: Lines | None = None
    ) -> None:
        self._write = write
        self._write_action = write_action or write
        self._made_by = made_by or lines.LINES
        self.wants_requests = self._made_by.wants(REQUEST)
        """Whether the log level leaves lines of requests."""
        self._lines: list[bytes] = []
        self._flush: asyncio.TimerHandle | None = None

    def line(self, event: LogEvent, fields: Mapping[str, Any]) -> None:
        if not self.wants_requests:
            return
        self._lines.append(self._made_by.made(event, fields))
        if len(self._lines) >= LINES_MAX:
            self.flush()
        elif self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def action(self, fields: Mapping[str, Any]) -> None:
        """Writes the line of an action before its answer leaves, at every log level."""
        self.flush()
        self._write_action(self._made_by.made(ACTION, fields) + b"\n")

    def flush(self) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        if self._lines:
            lines, self._lines = self._lines, []
            self._write(b"\n".join(lines) + b"\n")
