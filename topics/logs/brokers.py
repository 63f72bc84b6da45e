"""Brokers that do not answer: an outage is one line when it begins and one when it ends.

The clients of a process notice the same outage thousands of times. What they say of it by themselves is left out
(`topics.logs.client_chatter`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from topics.logs.catalogue import KAFKA_AWAY, KAFKA_BACK, LogEvent
from topics.logs.lines import write_line


class Brokers:
    """The brokers of this process's clients, which may live in several threads."""

    def __init__(self, write: Callable[..., None] = write_line, now: Callable[[], float] = time.monotonic) -> None:
        self.away: dict[Any, float] = {}
        """Since when, by id. Empty nearly always: clients look at it after each answer."""
        self._write: Callable[..., None] = write
        self._now = now
        self._lock = threading.Lock()

    def failed(self, broker: Any, server: str, error: str) -> None:
        """A client cannot connect to the broker, or waited in vain for an answer of its."""
        with self._lock:
            if broker in self.away:
                return
            self.away[broker] = self._now()
        self._tell(KAFKA_AWAY, broker, server, error=error)

    def answered(self, broker: Any, server: str) -> None:
        with self._lock:
            since = self.away.pop(broker, None)
        if since is not None:
            self._tell(KAFKA_BACK, broker, server, lasted_s=round(self._now() - since, 1))

    def _tell(self, event: LogEvent, broker: Any, server: str, **fields: Any) -> None:
        self._write(event, broker=str(broker), server=server, **fields)


BROKERS = Brokers()
"""Those of this process."""
