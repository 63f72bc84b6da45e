"""Faults on demand: `PUT /_sandbox/faults` lists the wrong answers that a sandbox is to give."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from topics.contract.touchpoints import BY_NAME

FAULTS_MAX = 1_000
"""Rules in one list; more than any test needs."""
DELAY_MAX_MS = 600_000
"""Ten minutes: longer than every time-out under test."""


def _known(name: str) -> str:
    """Refuse a misspelt name: its fault would never happen."""
    if name not in BY_NAME:
        raise ValueError(f"{name} is not a touchpoint; known: {', '.join(sorted(BY_NAME))}")
    return name


class FaultRule(BaseModel):
    """A fault in the next requests of a touchpoint.

    `touchpoint` None is any. `status` None is the usual answer (after `delay_ms`). `times` None is until the list
    changes. `body` None is the far side's usual body for this status; a string is sent as it is. `reset` closes the
    connection without an answer. With `apply`, the request has its effect in spite of the bad answer (a lost answer).
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
        """Whether this rule replaces the answer."""
        return self.status is not None or self.reset


class FaultList:
    """List of rules; for each touchpoint, they are used up in their order."""

    def __init__(self) -> None:
        self._faults: list[FaultRule] = []

    def replace(self, data: Any) -> None:
        """Replace the list. Raises pydantic.ValidationError when `data` is no list of rules."""
        self._faults = _FAULTS.validate_python(data)

    def clear(self) -> None:
        self._faults = []

    def next_for(self, touchpoint: str) -> FaultRule | None:
        """Return the rule for a request that has just arrived, and count it as used once."""
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
        """Return the rules that are left."""
        return [fault.model_dump() for fault in self._faults if fault.times != 0]


_FAULTS: TypeAdapter[list[FaultRule]] = TypeAdapter(Annotated[list[FaultRule], Field(max_length=FAULTS_MAX)])
