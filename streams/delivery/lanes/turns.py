"""What waits for its turn at a destination."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from streams.delivery.lanes.lane import Lane
from streams.delivery.ports import AttemptResult, Call, Prepared
from topics.contract.touchpoints import Priority


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
    answer: asyncio.Future[AttemptResult | None]
    priority: Priority
    due_ms: int
    weight: float
    prepared: Prepared | None = None
    """Chooses what the call carries, when its turn has come."""

    @property
    def redriven(self) -> bool:
        return self.priority is Priority.REDRIVE

    @property
    def kind(self) -> str:
        return self.call.touchpoint.name


Turn = LaneTurn | CallTurn
