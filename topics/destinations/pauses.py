"""Pauses of destinations: the records of `destinations.controls`, and what they say now.

While a destination is paused nothing leaves for it: no request of an order, no fact, no stock. What is in flight ends,
and what waits goes on waiting, without an attempt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Final

from topics.records.json_record import JsonRecord, decode_record

CONTROLS = "destinations.controls"
"""The catalogue name of the topic."""
NO_END: Final = 1 << 62
"""Until when a pause without an end lasts: a time that does not come (epoch milliseconds)."""


class DestinationPause(JsonRecord, frozen=True, kw_only=True):
    """A pause. `until_ms` None: until an operator resumes the destination."""

    since_ms: int
    until_ms: int | None
    by: str
    reason: str

    def end_ms(self) -> int:
        return NO_END if self.until_ms is None else self.until_ms

    def is_on(self, now_ms: int) -> bool:
        return now_ms < self.end_ms()


class DestinationControl(JsonRecord, frozen=True, kw_only=True):
    """The last word of operators about a destination: its pause, or that it is resumed. `action`, `by` and `reason`:
    the action that wrote it, on `operators.events`."""

    pause: DestinationPause | None
    action: str
    by: str
    reason: str
    at_ms: int


def decode_control(raw: bytes) -> DestinationControl:
    """Raises ValueError."""
    return decode_record(raw, DestinationControl)


class PauseIndex:
    """The pauses of all destinations. A reader of the topic fills it."""

    def __init__(self) -> None:
        self._controls: dict[str, DestinationControl] = {}
        self.unreadable: set[str] = set()
        """Destinations with a record that this version cannot read. It may be a pause, so it counts as one."""
        self._listeners: defaultdict[str, set[Callable[[], None]]] = defaultdict(set)

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Takes one record. Raises ValueError for one that this version cannot read."""
        destination = key.decode()
        self._controls.pop(destination, None)
        self.unreadable.discard(destination)
        try:
            if value is not None:
                self._controls[destination] = decode_control(value)
        except ValueError:
            self.unreadable.add(destination)
            raise
        finally:
            for changed in tuple(self._listeners.get(destination, ())):
                changed()

    def listen(self, destination: str, changed: Callable[[], None]) -> None:
        """`changed` is called after each record of the destination. It must not raise."""
        self._listeners[destination].add(changed)

    def unlisten(self, destination: str, changed: Callable[[], None]) -> None:
        """Also for one that does not listen: a dispatcher may end before it began."""
        self._listeners[destination].discard(changed)
        if not self._listeners[destination]:
            del self._listeners[destination]

    def control(self, destination: str) -> DestinationControl | None:
        return self._controls.get(destination)

    def pause(self, destination: str, now_ms: int) -> DestinationPause | None:
        """The pause that is on; None also for a record that cannot be read."""
        control = self._controls.get(destination)
        pause = None if control is None else control.pause
        return pause if pause is not None and pause.is_on(now_ms) else None

    def until_ms(self, destination: str) -> int:
        """Until when nothing is sent to a destination, perhaps a time that is over; 0: it is not paused."""
        control = self._controls.get(destination)
        if control is None or control.pause is None:
            return NO_END if destination in self.unreadable else 0
        return control.pause.end_ms()
