"""PURE: the choice of the requests that a redrive sends again, from the records of deliveries.dead.

Requests that were delivered since, or skipped by an operator, are not chosen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from gateway.api.dead_letters import CHOSEN_MAX, GROUPS_MAX, DeadLetter, LetterChoice, is_reason
from gateway.ports import LogRecord
from topics.api.redrives import RedriveAsked, RedriveGroup

IsOpen = Callable[[str], bool]
"""Whether a destination takes requests now."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The place of a dead letter. `attempts` tells it from a later one of the same request."""

    partition: int
    offset: int
    attempts: int
    destination: str
    reason: str


class Choice(LetterChoice):
    """`left`: requests that fit and cannot be sent."""

    def __init__(self, asked: RedriveAsked, is_open: IsOpen) -> None:
        super().__init__(asked.orders, asked.since, asked.until)
        self._asked = asked
        self._is_open = is_open
        self._left: set[str] = set()
        self.chosen: dict[str, Chosen] = {}

    @property
    def left(self) -> int:
        return len(self._left)

    def _on_letter(self, partition: int, record: LogRecord, letter: DeadLetter) -> None:
        request = letter.request
        known = self.chosen.get(request.id)
        if known is not None and known.attempts >= letter.attempts:
            return  # the same dead letter, written twice
        self._forget(request.id)
        if letter.refused or not self._fits(letter, record.time_ms):
            return
        if len(self.chosen) + len(self._left) >= CHOSEN_MAX:
            self.more = True
        elif (request.relay and request.withdraw) or not self._is_open(request.destination):
            self._left.add(request.id)
        else:
            chosen = Chosen(partition, record.offset, letter.attempts, request.destination, letter.reason)
            self.chosen[request.id] = chosen

    def _forget(self, request: str) -> None:
        self.chosen.pop(request, None)
        self._left.discard(request)

    def _fits(self, letter: DeadLetter, time_ms: int) -> bool:
        asked, request = self._asked, letter.request
        return (
            self._is_meant(letter, time_ms)
            and asked.channel in {None, request.channel}
            and asked.destination in {None, request.destination}
            and (asked.failure is None or is_reason(asked.failure, letter))
        )

    def groups(self) -> list[RedriveGroup]:
        """The numbers of chosen requests by destination and reason, the largest first."""
        counts = Counter((one.destination, one.reason) for one in self.chosen.values())
        return [
            RedriveGroup(destination=destination, reason=reason, count=count)
            for (destination, reason), count in counts.most_common(GROUPS_MAX)
        ]
