"""Says where the lines of a role go, and gives what is logged by a text the shape of all others."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal

import orjson
import structlog

from topics.http_faults import in_words
from topics.logs import lines
from topics.logs.catalogue import MESSAGE
from topics.logs.client_chatter import ClientChatter
from topics.logs.lines import LEVELS, Lines

log = logging.getLogger(__name__)

Format = Literal["auto", "json", "console"]
EVENT_CHARS = 12
"""Width of the event in a line for people."""
DATABASES = ("aiosqlite", "asyncpg", "sqlalchemy")
TEXT_CHARS = 2_000
"""Characters of a text in a line: a page of a terminal."""


def configure(role: str, instance: str, level: str, form: Format = "auto") -> None:
    """Makes this process write its lines to standard error; the service manager keeps them."""
    is_for_people = form == "console" or (form == "auto" and sys.stderr.isatty())
    render = for_people() if is_for_people else orjson.dumps
    lines.use(Lines(role, instance, level=LEVELS[level], render=render))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(MessageFormatter())
    handler.addFilter(ClientChatter())
    logging.basicConfig(level=LEVELS[level], handlers=[handler], force=True)
    sys.excepthook = _end_of_process
    threading.excepthook = _end_of_thread
    # The client logs each step of joining a group; the runtime itself logs the steps that matter.
    # Clients of databases log statements with their values, and so names and addresses.
    for library in ("aiokafka", *DATABASES):
        logging.getLogger(library).setLevel(max(logging.WARNING, LEVELS[level]))


def for_people() -> Callable[[dict[str, Any]], bytes]:
    """Renders lines for a terminal, with colours."""
    renderer = structlog.dev.ConsoleRenderer(
        timestamp_key="at", pad_event_to=EVENT_CHARS, sort_keys=False, colors=sys.stderr.isatty()
    )

    def render(line: dict[str, Any]) -> bytes:
        shown = {name: value for name, value in line.items() if value is not None and value != ""}
        return str(renderer(None, line["level"], shown)).encode()

    return render


def _end_of_process(kind: type[BaseException], error: BaseException, frames: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, frames)
        return
    log.critical("this process ends", exc_info=(kind, error, frames))


def _end_of_thread(ended: threading.ExceptHookArgs) -> None:
    log.critical("a thread of this process ended", exc_info=ended.exc_value)


class MessageFormatter(logging.Formatter):
    """Makes the line of a record of the standard library's logging."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {"logger": record.name, "message": record.getMessage()[:TEXT_CHARS]}
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            fields["error"] = in_words(error)[:TEXT_CHARS]
        return lines.LINES.made(MESSAGE, fields, record.levelname.lower()).decode()
