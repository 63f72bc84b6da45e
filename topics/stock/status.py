"""Status of the stock of each location: the records of `inventory.status`, and an index of all.

Under `channel|location` is the status of a location, under `channel|location|sku` a SKU that the channel refuses.
Delivery writes these records, seldom, for people; no decision depends on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import nsmallest
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from topics.records.facts.stock import ReconcileCounts
from topics.records.keys import join, split

SweepCause = Literal["asked", "daily"]


class ResyncProgress(BaseModel):
    """A resync that goes on. Of a channel: the sum over the locations whose resync goes on."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    id: str
    told: int = Field(ge=0, description="Positions that were sent again so far")
    total: int = Field(ge=0, description="Positions that there were when the resync began, or when it went on")


class Resyncing(ResyncProgress):
    """A resync of one location that goes on."""

    cause: SweepCause
    started_ms: int


class Reconciled(ReconcileCounts):
    """The last reconciliation of a location."""

    id: str
    started_ms: int
    ended_ms: int = Field(description="0: it goes on")
    failed: bool = Field(description="Whether it was given up, because the channel could not be asked")


class LocationStatus(BaseModel):
    """The status of a location at `at_ms`. `changes` and `sent` are counted from `since_ms` on."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    dirty: int = Field(ge=0, description="Positions that the channel has not acknowledged")
    oldest_ms: int | None = Field(description="Since when the longest waiting of them waits; null: none waits")
    sent_per_s: float = Field(ge=0, description="Positions acknowledged a second, over the last minute or so")
    changes: int = Field(ge=0, description="Changes of positions that were taken in")
    sent: int = Field(ge=0, description="Positions that the channel acknowledged")
    refused: int = Field(ge=0, description="SKUs that the channel refuses")
    paused: bool
    resync: Resyncing | None = None
    resynced: str | None = Field(default=None, description="Id of the last resync, when that is over")
    reconcile: Reconciled | None = None
    since_ms: int = Field(description="When the counting worker began with this location")
    at_ms: int

    def has_ended(self, sweep: str) -> bool | None:
        """Whether the resync or reconciliation of this id is over; None: this status does not show it."""
        if self.resync is not None and self.resync.id == sweep:
            return False
        if self.reconcile is not None and self.reconcile.id == sweep:
            return self.reconcile.ended_ms != 0
        return True if self.resynced == sweep else None

    def encode(self) -> bytes:
        return self.model_dump_json().encode()


class RefusedSku(BaseModel):
    """A SKU that the channel refuses. Its newest quantity is tried again, seldom."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    reason: str = Field(description="As in the fact `stock-refused`")
    status: int | None = Field(default=None, description="HTTP status of the answer")
    since_ms: int = Field(description="Since when, epoch milliseconds")
    failures: int = Field(ge=1, description="Attempts in a row that failed, when this was written")

    def encode(self) -> bytes:
        return self.model_dump_json().encode()


def status_key(channel: str, location: str) -> bytes:
    return join(channel, location)


def refused_key(channel: str, location: str, sku: str) -> bytes:
    return join(channel, location, sku)


ListedRefusal = tuple[str, str, RefusedSku]
"""Location, SKU and why."""


class StatusIndex:
    """All of `inventory.status`, by channel and location. A reader of the topic fills it."""

    def __init__(self) -> None:
        self._locations: dict[str, dict[str, LocationStatus]] = {}
        self._refused: dict[str, dict[str, dict[str, RefusedSku]]] = {}

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Takes one record of `inventory.status`. Raises ValueError for one that this version cannot read: nothing is
        shown of its location or SKU then."""
        parts = split(key)
        if len(parts) == 3:
            channel, location, sku = parts
            refused = self._refused.setdefault(channel, {}).setdefault(location, {})
            refused.pop(sku, None)
            if value is not None:
                refused[sku] = RefusedSku.model_validate_json(value)
        else:
            channel, location = parts
            self._apply_location(self._locations.setdefault(channel, {}), location, value)

    @staticmethod
    def _apply_location(known: dict[str, LocationStatus], location: str, value: bytes | None) -> None:
        """After a change of the number of shards an older record may come behind a newer one of another partition."""
        present = known.pop(location, None)
        if value is not None:
            new = LocationStatus.model_validate_json(value)
            known[location] = present if present is not None and present.at_ms > new.at_ms else new

    def locations(self, channel: str) -> Mapping[str, LocationStatus]:
        return self._locations.get(channel, {})

    def refused_by_location(self, channel: str) -> dict[str, int]:
        """The number of refused SKUs, for each location that has some."""
        return {location: len(skus) for location, skus in self._refused.get(channel, {}).items() if skus}

    def refused(self, channel: str, location: str | None, after: tuple[str, str], limit: int) -> list[ListedRefusal]:
        """The first `limit` refusals behind a location and SKU, in that order; of one location, or of all."""
        known = self._refused.get(channel, {})
        found = (
            (name, sku)
            for name in (known if location is None else [location])
            if name >= after[0]
            for sku in known.get(name, ())
            if (name, sku) > after
        )
        return [(name, sku, known[name][sku]) for name, sku in nsmallest(limit, found)]
