"""The gate that an operator's pause closes: nothing is sent to the destination before it opens.

Every worker follows all pauses, so one pause closes the gates of all shards, wherever they live. A pause with an end is
over by the clock of each worker. What is in flight ends; what was admitted and has not left is called back.
"""

from __future__ import annotations

from collections.abc import Callable

from topics.destinations.pauses import PauseIndex


class PauseGate:
    """The gate of one destination, for one of its shards."""

    __slots__ = ("_destination", "_pauses")

    def __init__(self, pauses: PauseIndex, destination: str) -> None:
        self._pauses = pauses
        self._destination = destination

    @property
    def opens_ms(self) -> int:
        """Perhaps a time that is over; `NO_END` while only an operator ends the pause."""
        return self._pauses.until_ms(self._destination)

    def is_open(self, now_ms: int) -> bool:
        return now_ms >= self.opens_ms

    def listen(self, changed: Callable[[], None]) -> None:
        self._pauses.listen(self._destination, changed)

    def unlisten(self, changed: Callable[[], None]) -> None:
        self._pauses.unlisten(self._destination, changed)
