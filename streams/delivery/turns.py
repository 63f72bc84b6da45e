"""What waits for its turn at a destination."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from streams.delivery.lane import Lane
from streams.delivery.ports import AttemptResult, Call
from topics.touchpoints import Priority


@dataclass(slots=True)
class LaneTurn:
    """A lane that is ready to send, or waits for a time."""

    lane: Lane
    ticket: int
    kind: str = ""
    """Of a lane that is ready: what it sends, by its touchpoint."""
    redriven: bool = False
    """Of a lane that is ready: an operator sends it again, and nothing else waits behind it."""

    @property
    def is_current(self) -> bool:
        """False when the lane was scheduled anew since."""
        return self.lane.ticket == self.ticket


@dataclass(slots=True)
class CallTurn:
    """A call of the stock sender that waits for its turn."""

    call: Call
    answer: asyncio.Future[AttemptResult]
    priority: Priority
    due_ms: int
    weight: float

    redriven: bool = False

    @property
    def kind(self) -> str:
        return self.call.touchpoint.name


Turn = LaneTurn | CallTurn
