"""Misbehaviour on demand: `PUT /_sandbox/faults` tells a sandbox what to answer instead."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from topics.contract.touchpoints import BY_NAME

FAULTS_MAX = 1_000
"""Faults in one list: a bound on what a test can ask for, not a need."""
DELAY_MAX_MS = 600_000
"""Ten minutes: well over every time-out that could be under test."""


def _known(name: str) -> str:
    """A misspelt name would be a fault that never happens."""
    if name not in BY_NAME:
        raise ValueError(f"{name} is not a touchpoint; known: {', '.join(sorted(BY_NAME))}")
    return name


class FaultRule(BaseModel):
    """What happens to the next requests of a touchpoint.

    `touchpoint` None means any. `status` None: the sandbox behaves (after `delay_ms`). `times` None: until the list is
    changed. `body` None: what a far side says with such a status; a string is sent as it is. `reset` closes the
    connection without an answer. `apply`: the request has its effect although its answer is bad (a lost answer).
    """

    model_config = ConfigDict(extra="forbid")
    touchpoint: Annotated[str, AfterValidator(_known)] | None = None
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    times: Annotated[int, Field(ge=0)] | None = None
    delay_ms: Annotated[float, Field(ge=0, le=DELAY_MAX_MS)] | None = None
    retry_after: int | float | str | None = None
    body: Any = None
    reset: bool = False
    apply: bool = False

    @property
    def answers(self) -> bool:
        """Whether it takes the answer out of the sandbox's hands."""
        return self.status is not None or self.reset


class FaultList:
    """Faults are used up in the order of the list, per touchpoint."""

    def __init__(self) -> None:
        self._faults: list[FaultRule] = []

    def replace(self, data: Any) -> None:
        """Raises pydantic.ValidationError when `data` is no list of faults."""
        self._faults = _FAULTS.validate_python(data)

    def clear(self) -> None:
        self._faults = []

    def take(self, touchpoint: str) -> FaultRule | None:
        """The fault for a request that has just come, one of its times used up."""
        for fault in self._faults:
            if fault.touchpoint not in (None, touchpoint):
                continue
            if fault.times is None:
                return fault
            if fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def show(self) -> list[dict[str, Any]]:
        """What is left."""
        return [fault.model_dump() for fault in self._faults if fault.times != 0]


_FAULTS: TypeAdapter[list[FaultRule]] = TypeAdapter(Annotated[list[FaultRule], Field(max_length=FAULTS_MAX)])
