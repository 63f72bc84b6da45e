"""What is kept of a call and of a request in the world of one order, and what never changes there."""

from __future__ import annotations

from typing import Any, NamedTuple

from streams.order.model.effects import RequestDelivery
from streams.order.model.events import Event
from tests.exhaustive.deciding import Decider
from tests.exhaustive.far_sides import (
    Answer,
)
from tests.exhaustive.scenario import Call, Scenario, body_of
from tests.support.orders import command

UNMADE, FLYING, ASKED, AGAIN, LATER, DONE, REFUSED_CALL = "unmade", "flying", "asked", "again", "later", "done", "no"
"""Of a call. AGAIN: its caller must ask again; LATER: the same, once anything has changed."""
WAITING, ANSWERED, HELD = "waiting", "answered", "held"
"""Of a request."""


class CallState(NamedTuple):
    """`tries` made so far; answers to those before `deaf` are not heard. `knew`: see `body_of`."""

    status: str = UNMADE
    tries: int = 0
    deaf: int = 0
    knew: tuple[int, ...] = ()
    early: bool = False


class RequestState(NamedTuple):
    """`acted`: the far side took it, and its answer got lost. `answer`: the far side's, on its way to Sluice.

    `units`: of a seller's cancellation, by line.
    """

    id: str
    deadline_ms: int
    status: str = WAITING
    attempts: int = 0
    acted: bool = False
    answer: Answer | None = None
    units: tuple[tuple[int, int], ...] = ()


class Rules:
    """What stays the same in all histories of a scenario."""

    def __init__(self, scenario: Scenario, decider: Decider) -> None:
        self.scenario = scenario
        self.decider = decider
        self.calls = scenario.parsed()
        self.disturbances = [name.partition(":")[::2] for name in scenario.disturbances]
        self.callers: dict[str, tuple[int, int]] = {}
        """Event id -> call and number of the try."""
        self.requests: dict[str, RequestDelivery] = {}
        self.events: dict[Any, Event] = {}

    def call_of(self, request: RequestState) -> Call:
        """The call that a request carries on; a cancellation of the rest is Sluice's own.

        A request's id is its event's and a count, or the time where the event asks again.
        """
        if request.units:
            return Call(request.id, "seller", units=request.units)
        return self.calls[self.callers[request.id.rpartition(".")[0]][0]]

    def event(self, index: int, number: int, knew: tuple[int, ...], now_ms: int) -> Event:
        key = (index, number, knew, now_ms)
        event = self.events.get(key)
        if event is None:
            call = self.calls[index]
            mark = "".join(str(units) for units in knew)
            event = command(call.touchpoint, body_of(call, self.scenario, knew), f"{call.name}@{mark}/{number}", now_ms)
            self.callers[event.id] = (index, number)
            self.events[key] = event
        return event
