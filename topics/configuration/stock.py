"""How stock is sent to a channel: the table `[channels.NAME.stock]` of channels.toml and the tables below it."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from topics.configuration import budgets
from topics.schema_base import SKUS_MAX
from topics.values import Value

BATCH_MAX = SKUS_MAX
"""SKUs in one call: the contract's limit (contract 0.6)."""
BATCH_MORE_MAX = 1_000
"""The largest stock call that a marketplace documents; more in a body only makes its failure more costly."""
GATHER_MS = 50
"""How long the first change of a quiet location waits for others: a burst becomes one call, and 50 ms do not matter."""
GATHER_MS_MAX = 60_000
"""A minute: less traffic than that is a case for a budget."""
CONCURRENCY = 2
"""Calls of one location in flight at once: one that hangs does not hold up a SKU that went out of stock meanwhile."""
CONCURRENCY_MAX = 64
"""Each is a task and locks its SKUs; a destination takes few more from all its locations together."""
REFUSED_AFTER = 8
"""Failures in a row: two minutes with the pauses between them, so a channel's bad minute makes no report."""
REFUSED_AFTER_MAX = 100
"""More than a day of failures, a quarter of an hour apart."""
RULES_MAX = 1_000
"""Rules of one kind: a changed SKU may have to be compared with each."""
UNITS_MAX = 1_000_000_000
"""More than any quantity of the contract."""
SHARE_PARTS = 10_000
"""Shares have four digits after the point, and are counted in whole parts: floating point would lose units."""
READ_BACK_MAX = 1_000
"""SKUs in one search; the contract names no limit (topics/contract/models/inventory.py)."""


class Rule(BaseModel):
    """The SKUs for which a rule holds. Patterns are like those of file names: `*`, `?`, `[...]`; case counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    location: str = Field(
        default="*", min_length=1, description="pattern of location codes; consolidated stock is at `~ALL` and `~STORE`"
    )
    sku: str = Field(default="*", min_length=1, description="pattern of SKU codes of the channel")


class Buffer(Rule):
    units: int = Field(ge=0, le=UNITS_MAX, description="safety stock: units that are never offered")


class Share(Rule):
    share: Decimal = Field(
        ge=0, le=1, decimal_places=4, description="part of the quantity that this channel may offer, as 0.25"
    )

    @property
    def parts(self) -> int:
        """The share in whole parts of SHARE_PARTS."""
        return int(self.share * SHARE_PARTS)


class Cap(Rule):
    units: int = Field(ge=0, le=UNITS_MAX, description="never more than so many units are offered")


class ReadBack(BaseModel):
    """How the channel is asked what stock it has: Search Inventory of the contract (13), towards the marketplace."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    path: str = Field(description="below the marketplace's url; a POST as in contract 13")
    batch: int = Field(default=BATCH_MAX, ge=1, le=READ_BACK_MAX, description="SKUs of one search, at most")

    @field_validator("path")
    @classmethod
    def _below(cls, path: str) -> str:
        if not path.startswith("/"):
            raise ValueError(f"expected a path that begins with /, not {path!r}")
        return path


Batch = Annotated[int, Field(ge=1, le=BATCH_MORE_MAX)]
Gather = Annotated[int, Field(ge=0, le=GATHER_MS_MAX)]
Concurrency = Annotated[int, Field(ge=1, le=CONCURRENCY_MAX)]
_MORE = "why this channel takes more than the 200 SKUs of the contract in a call; `batch_max` above 200 needs it"


class LocationStock(BaseModel):
    """Settings of one location that differ from the channel's."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    batch_max: Batch | None = Field(default=None, description="SKUs of one call, at most")
    batch_more_because: str = Field(default="", description=_MORE)
    gather_ms: Gather | None = Field(default=None, description="how long the first change waits for others")
    concurrency: Concurrency | None = Field(default=None, description="calls in flight at once")
    budget: budgets.AnyBudget | None = Field(
        default=None, description="a limit, or a list of limits, of this location's calls beside the channel's"
    )

    @model_validator(mode="after")
    def _paced(self) -> LocationStock:
        _check_batch(self.batch_max or 0, self.batch_more_because)
        budgets.check(self.budget, 1)
        return self


class StockPace(Value, frozen=True, kw_only=True):
    """The pace of one location's calls; `limits` are its own, beside those of the channel."""

    batch_max: int = BATCH_MAX
    gather_ms: int = GATHER_MS
    concurrency: int = CONCURRENCY
    limits: tuple[budgets.Limit, ...] = ()


class StockSettings(BaseModel):
    """The stock settings of one channel."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    batch_max: Batch = Field(default=BATCH_MAX, description="SKUs of one call, at most")
    batch_more_because: str = Field(default="", description=_MORE)
    gather_ms: Gather = Field(
        default=GATHER_MS, description="how long the first change of a quiet location waits for others"
    )
    concurrency: Concurrency = Field(
        default=CONCURRENCY, description="calls in flight at once for each location, over different SKUs"
    )
    budget: budgets.AnyBudget | None = Field(
        default=None,
        description="a limit, or a list of limits, of the channel's stock calls, beside the budget of the marketplace",
    )
    refused_after: int = Field(
        default=REFUSED_AFTER,
        ge=1,
        le=REFUSED_AFTER_MAX,
        description="failures in a row after which a SKU counts as refused and is reported; it is still tried",
    )
    buffers: tuple[Buffer, ...] = Field(
        default=(), max_length=RULES_MAX, description="safety stock; the first that matches a SKU counts"
    )
    shares: tuple[Share, ...] = Field(
        default=(), max_length=RULES_MAX, description="shares of the stock; the first that matches a SKU counts"
    )
    caps: tuple[Cap, ...] = Field(
        default=(), max_length=RULES_MAX, description="upper limits; the first that matches a SKU counts"
    )
    resync_daily_at: str | None = Field(
        default=None,
        description="HH:MM of UTC at which all stock is sent again every day, in idle budget only; without it, never",
    )
    search_fallback: bool = Field(
        default=True,
        description="whether Increff is asked for SKUs that a search of the channel does not find here, in its budget",
    )
    read_back: ReadBack | None = Field(
        default=None, description="how the channel is asked what it has, for reconciliation; without it, it is not"
    )
    reconcile_daily_at: str | None = Field(
        default=None,
        description="HH:MM of UTC at which stock is compared every day with what the channel has; without it, never",
    )
    locations: dict[str, LocationStock] = Field(
        default_factory=dict, description="location code -> a table of what differs there"
    )

    @field_validator("resync_daily_at", "reconcile_daily_at")
    @classmethod
    def _is_time(cls, moment: str | None) -> str | None:
        if moment is not None and not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", moment):
            raise ValueError(f"expected HH:MM of UTC, as 03:30, not {moment!r}")
        return moment

    @model_validator(mode="after")
    def _paced(self) -> StockSettings:
        if self.reconcile_daily_at is not None and self.read_back is None:
            raise ValueError("reconcile_daily_at needs read_back: how the channel is asked what it has")
        _check_batch(self.batch_max, self.batch_more_because)
        budgets.check(self.budget, 1)
        return self

    @property
    def limits(self) -> tuple[budgets.Limit, ...]:
        """The limits of the channel's stock calls, which hold at once."""
        return budgets.limits_of(self.budget)

    def pace(self, location: str) -> StockPace:
        own = self.locations.get(location, _AS_THE_CHANNEL)
        return StockPace(
            batch_max=self.batch_max if own.batch_max is None else own.batch_max,
            gather_ms=self.gather_ms if own.gather_ms is None else own.gather_ms,
            concurrency=self.concurrency if own.concurrency is None else own.concurrency,
            limits=budgets.limits_of(own.budget),
        )


def _check_batch(batch_max: int, why: str) -> None:
    if batch_max > BATCH_MAX and not why:
        raise ValueError(
            f"batch_max {batch_max} is more than the {BATCH_MAX} SKUs of the contract: "
            "give the reason in batch_more_because"
        )


_AS_THE_CHANNEL = LocationStock()
