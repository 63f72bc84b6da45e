"""Budgets as targets document them: the tables that `budget` may hold in channels.toml, checked when they are read.

`budget` is one table, or a list of tables that hold at once (10 a second and 10,000 an hour). The modules of
streams/delivery/admission/limiters say what each shape promises, and why it holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from topics.contract.touchpoints import BY_NAME

LIMITS_MAX = 8
"""Limits of one destination: no target documents more than a handful, and each is asked before each request."""

RATE_MAX = 10_000
"""Fastest rate of a bucket, per second: a tenth of a millisecond for each, the finest time that a limiter keeps."""
RATE_MIN = 1e-6
"""Slowest rate, per second: one in eleven days. A slower one would be of no use, and its times would overflow."""
UNITS_MAX = 1_000_000_000
"""More than RATE_MAX makes in a day: a larger limit would limit nothing."""
WINDOW_S_MIN = 0.001
"""Times are kept in milliseconds: a shorter window would be none."""
WINDOW_S_MAX = 31 * 86_400
"""A month: no target documents a longer window, and spent units are kept for the whole window."""
FACT_KIND = "fact"
"""A request to a subscriber; it has a cost as touchpoints have."""
CLOCK_ERROR_S = 1.0
"""Clocks under NTP are much closer than that; others are not."""

ONE, SEVERAL, SHAPE = "one-limit", "several-limits", "shape:"
"""Parts that pydantic adds to the path of an error, spelled as no member is, so that the message can leave them out."""


class Limit(BaseModel):
    """The base of every shape. Sizes are in units: a request is one, except where it has a cost."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    takes: ClassVar[str]
    """The member that says how many units may go at once."""

    @property
    def size(self) -> int:
        """How many units may go at once; shards share it."""
        size: int = getattr(self, self.takes)
        return size

    @property
    def name(self) -> str:
        """The name under which spent units are kept over restarts; made of window or rate, so another size keeps it."""
        raise NotImplementedError

    @property
    def dearest(self) -> int:
        """The most units that one request takes."""
        return 1

    @property
    def least(self) -> int:
        """The smallest part of it that a shard can have."""
        return self.dearest


class Budget(Limit):
    """At most `requests` in any `window_s` seconds, as the far side counts them."""

    takes = "requests"
    shape: Literal["sliding-window"] = Field(default="sliding-window", description="the shape that needs no name")
    requests: int = Field(gt=0, le=UNITS_MAX, description="at most so many ...")
    window_s: float = Field(ge=WINDOW_S_MIN, le=WINDOW_S_MAX, description="... in any so many seconds")

    @property
    def name(self) -> str:
        return f"window/{self.window_s:g}s"


class TokenBucket(Limit):
    """A bucket of `burst` tokens, one a request; `rate_per_s` of them come back each second."""

    takes = "burst"
    shape: Literal["token-bucket"] = Field(description="which one this table is")
    rate_per_s: float = Field(
        ge=RATE_MIN, le=RATE_MAX, description="tokens that come back each second; one in a minute is 0.0167"
    )
    burst: int = Field(gt=0, le=UNITS_MAX, description="tokens in a full bucket: so many requests may go at once")
    step: int = Field(
        default=1, gt=0, description="tokens that come back at once, where the target refills in steps (every second)"
    )

    @property
    def name(self) -> str:
        return f"tokens/{self.rate_per_s:g}"

    @property
    def least(self) -> int:
        return self.step

    @model_validator(mode="after")
    def _fits(self) -> TokenBucket:
        if self.step > self.burst:
            raise ValueError(f"step {self.step} is more than the bucket holds: burst is {self.burst}")
        return self


class FixedWindow(Limit):
    """At most `requests` in each window of `window_s` seconds; the count begins again with the window."""

    takes = "requests"
    shape: Literal["fixed-window"] = Field(description="which one this table is")
    requests: int = Field(gt=0, le=UNITS_MAX, description="at most so many ...")
    window_s: float = Field(ge=WINDOW_S_MIN, le=WINDOW_S_MAX, description="... in each window of so many seconds")
    aligned: Literal["any", "clock"] = Field(
        default="any",
        description="where windows begin. `any`: not known, or with the first request: held in every window there "
        "could be. `clock`: at multiples of `window_s` of UTC, so that what a window left over is not waited for",
    )
    offset_s: float = Field(
        default=0, ge=0, le=WINDOW_S_MAX, description="with `clock`: how much later than in UTC windows begin"
    )
    clock_error_s: float = Field(
        default=CLOCK_ERROR_S,
        gt=0,
        le=WINDOW_S_MAX,
        description="with `clock`: how far the target's clock and this machine's may be apart",
    )

    @property
    def name(self) -> str:
        return f"window/{self.window_s:g}s"

    @model_validator(mode="after")
    def _clear(self) -> FixedWindow:
        if self.aligned == "any" and (self.offset_s != 0 or self.clock_error_s != CLOCK_ERROR_S):
            raise ValueError('offset_s and clock_error_s are for aligned = "clock"')
        if self.aligned == "clock" and 4 * self.clock_error_s > self.window_s:
            raise ValueError(
                f"clocks that are {self.clock_error_s:g} s apart cannot share windows of {self.window_s:g} s: "
                'choose aligned = "any"'
            )
        return self


class Quota(Limit):
    """At most `requests` an hour or a day."""

    takes = "requests"
    shape: Literal["quota"] = Field(description="which one this table is")
    requests: int = Field(gt=0, le=UNITS_MAX, description="at most so many ...")
    per: Literal["hour", "day"] = Field(description="... in each hour or day")
    aligned: Literal["any", "clock"] = Field(
        default="any", description="as in a fixed window; `clock`: the hour or the day of UTC"
    )
    offset_s: float = Field(
        default=0, ge=0, le=WINDOW_S_MAX, description="as in a fixed window: 28800 for days that end at 08:00 UTC"
    )
    clock_error_s: float = Field(default=CLOCK_ERROR_S, gt=0, le=WINDOW_S_MAX, description="as in a fixed window")

    @property
    def name(self) -> str:
        return self.as_window().name

    @model_validator(mode="after")
    def _clear(self) -> Quota:
        self.as_window()
        return self

    def as_window(self) -> FixedWindow:
        """A quota is a fixed window of an hour or a day."""
        return FixedWindow(
            shape="fixed-window",
            requests=self.requests,
            window_s=3_600 if self.per == "hour" else 86_400,
            aligned=self.aligned,
            offset_s=self.offset_s,
            clock_error_s=self.clock_error_s,
        )


class CostBucket(Limit):
    """A bucket of `capacity` points; each call takes its cost, and `restore_per_s` points come back each second."""

    takes = "capacity"
    shape: Literal["cost-bucket"] = Field(description="which one this table is")
    capacity: int = Field(gt=0, le=UNITS_MAX, description="points in a full bucket")
    restore_per_s: float = Field(ge=RATE_MIN, le=RATE_MAX, description="points that come back each second")
    cost: int = Field(default=1, gt=0, description="points of a call that `costs` does not name")
    costs: Mapping[str, int] = Field(default_factory=dict, description="touchpoint -> points of such a call")

    @property
    def name(self) -> str:
        return f"points/{self.restore_per_s:g}"

    @model_validator(mode="after")
    def _payable(self) -> CostBucket:
        for name, cost in self.costs.items():
            if name not in BY_NAME and name != FACT_KIND:
                known = ", ".join([*sorted(BY_NAME), FACT_KIND])
                raise ValueError(f"costs: {name} is not a touchpoint; known: {known}")
            if cost < 1:
                raise ValueError(f"costs: {name} costs {cost}, and a call takes one point at least")
        if self.dearest > self.capacity:
            raise ValueError(f"a call of {self.dearest} points could never go: capacity is {self.capacity}")
        return self

    @property
    def dearest(self) -> int:
        return max(self.cost, *self.costs.values(), 1)


SHAPES: dict[str, type[Limit]] = {
    "sliding-window": Budget,
    "token-bucket": TokenBucket,
    "fixed-window": FixedWindow,
    "quota": Quota,
    "cost-bucket": CostBucket,
}
"""All shapes by their names in channels.toml."""


def _shape(value: Any) -> str:
    shape = value.get("shape", "sliding-window") if isinstance(value, dict) else getattr(value, "shape", "")
    return SHAPE + str(shape)


def _how_many(value: Any) -> str:
    return SEVERAL if isinstance(value, list | tuple) else ONE


AnyLimit = Annotated[
    Annotated[Budget, Tag(SHAPE + "sliding-window")]
    | Annotated[TokenBucket, Tag(SHAPE + "token-bucket")]
    | Annotated[FixedWindow, Tag(SHAPE + "fixed-window")]
    | Annotated[Quota, Tag(SHAPE + "quota")]
    | Annotated[CostBucket, Tag(SHAPE + "cost-bucket")],
    Discriminator(
        _shape,
        custom_error_type="unknown_shape",
        custom_error_message=f"expected a table whose shape is one of {', '.join(SHAPES)}",
    ),
]
AnyBudget = Annotated[
    Annotated[AnyLimit, Tag(ONE)]
    | Annotated[tuple[AnyLimit, ...], Field(min_length=1, max_length=LIMITS_MAX), Tag(SEVERAL)],
    Discriminator(_how_many),
]
"""One limit, or several that hold at once."""

TAGS: dict[str, type[Limit] | None] = {
    ONE: None,
    SEVERAL: None,
    **{SHAPE + name: shape for name, shape in SHAPES.items()},
}
"""Parts that pydantic adds to paths of errors, each with the shape it names, if any."""


def limits_of(budget: Limit | tuple[Limit, ...] | None) -> tuple[Limit, ...]:
    """The limits that hold at once; none without a budget."""
    if budget is None:
        return ()
    return (budget,) if isinstance(budget, Limit) else budget


def check(budget: Limit | tuple[Limit, ...] | None, shards: int) -> None:
    """Raises ValueError when two limits are one, or when a shard's part would be too small to be held to."""
    limits = limits_of(budget)
    names = [limit.name for limit in limits]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"budget: {names.count(name)} limits with the same {name}: keep only the smallest")
    for limit in limits:
        least = shards * limit.least
        if limit.size < least:
            raise ValueError(
                f"budget: {limit.takes} {limit.size} cannot be shared by {shards} shards: {least} at least, "
                "or fewer shards"
            )
