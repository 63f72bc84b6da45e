"""Pace: how fast Sluice sends to a far side or subscriber, and how long it tries."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from topics.configuration import budgets

PAUSES_MAX = 100
"""Pauses in `retry_pauses_s`: a longer schedule is a case for `retry_for_s`."""
SHARDS_MAX = 64
"""Each shard has a loop, gauges and permits of its own, and more workers than that share no destination."""
CONCURRENCY_MAX = 10_000
"""Each is a task and a connection: a process may open some ten thousand files, and has 28,000 ports for one address."""
RETRY_S_MAX = 366 * 86_400
"""A year: a receiver that is down for longer does not come back, and the backlog must be kept for as long."""
PROBE_S_MAX = 3_600
"""An hour, for which a destination that is well again would not be sent to."""


class Pace(BaseModel):
    """Limits of a destination, and how long its requests are tried."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    budget: budgets.AnyBudget | None = Field(
        default=None, description="a limit for all calls together, or a list of limits; without it there is none"
    )
    shards: int = Field(
        default=1,
        ge=1,
        le=SHARDS_MAX,
        description="partitions the destination is spread over; one keeps the budget exact",
    )
    concurrency: int = Field(default=32, ge=1, le=CONCURRENCY_MAX, description="requests in flight at once, per shard")
    timeout_s: float = Field(default=30.0, gt=0, le=44, description="under the far side's own 45 s")
    retry_first_s: float = Field(
        default=0.5, gt=0, le=RETRY_S_MAX, description="pause before the second attempt; it doubles from then"
    )
    retry_max_s: float = Field(default=300.0, gt=0, le=RETRY_S_MAX, description="longest pause between attempts")
    retry_for_s: float = Field(default=86_400.0, gt=0, le=RETRY_S_MAX, description="then the request is dead")
    retry_pauses_s: tuple[Annotated[float, Field(gt=0, le=RETRY_S_MAX)], ...] = Field(
        default=(),
        max_length=PAUSES_MAX,
        description="the pauses between attempts one by one, instead of `retry_first_s` and `retry_max_s`; a request "
        "that fails after the last is dead",
    )
    probe_max_s: float = Field(
        default=5.0,
        gt=0,
        le=PROBE_S_MAX,
        description="longest pause between the single requests that probe a destination that was down",
    )

    @property
    def limits(self) -> tuple[budgets.Limit, ...]:
        """The limits that hold at once."""
        return budgets.limits_of(self.budget)

    @model_validator(mode="after")
    def _paced(self) -> Pace:
        budgets.check(self.budget, self.shards)
        fields = type(self).model_fields
        both = [name for name in ("retry_first_s", "retry_max_s") if getattr(self, name) != fields[name].default]
        if self.retry_pauses_s and both:
            raise ValueError(f"retry_pauses_s says every pause: {' and '.join(both)} would be ignored")
        return self
