"""What /api/inventory answers to operators."""

from __future__ import annotations

from pydantic import BaseModel, Field

from topics.records.facts.stock import ReconcileCounts
from topics.stock.status import ResyncProgress


class AskDocument(BaseModel):
    """A resync or reconciliation that was asked for last."""

    id: str
    atMs: int


class ControlDocument(BaseModel):
    """What operators asked of a channel's stock, or of one location's. It is stored; delivery does it within a second,
    or when it is back."""

    channel: str
    location: str | None
    paused: bool
    resync: AskDocument | None
    reconcile: AskDocument | None


class ReconcileResult(ReconcileCounts):
    """The last reconciliation. Of a channel: the sum over the locations that the newest one was of."""

    id: str
    failed: bool = Field(description="Whether it was given up, because the channel could not be asked")
    startedMs: int
    endedMs: int | None = Field(description="null: it goes on")


class StockNumbers(BaseModel):
    """`conflation`: changes taken in for each position sent; null: none was. Counts begin anew with a worker."""

    paused: bool
    dirty: int = Field(description="positions that the channel has not acknowledged")
    oldestAgeMs: int | None = Field(description="how long the longest waiting of them waits; null: none does")
    sentPerS: float
    changes: int
    sent: int
    conflation: float | None
    refused: int = Field(description="SKUs that the channel refuses")
    resync: ResyncProgress | None
    reconcile: ReconcileResult | None = None


class LocationDocument(StockNumbers):
    """One location. `paused`: delivery has heard of it, and sends nothing. `atMs`: when it told of this."""

    location: str
    atMs: int


class ChannelStockDocument(StockNumbers):
    """One channel: the sum of its locations. Those that have had nothing to tell for long are not named. `left`:
    locations that are left out of the list, which begins with what waits longest."""

    channel: str
    locations: list[LocationDocument]
    left: int


class StockStatusDocument(BaseModel):
    channels: list[ChannelStockDocument]


class RefusedSkuDocument(BaseModel):
    """`reason`: `failure-list` (the channel named it there) or `refused` (it refused a call with this SKU alone)."""

    location: str
    channelSkuCode: str
    reason: str
    status: int | None
    sinceMs: int
    failures: int


class RefusedSkusDocument(BaseModel):
    """In the order of location and SKU. `total`: how many there are; `next`: where they go on, null at the end."""

    channel: str
    total: int
    refused: list[RefusedSkuDocument]
    next: str | None
