"""Documents of /api/inventory, for operators."""

from __future__ import annotations

from pydantic import BaseModel, Field

from topics.records.facts.stock import ReconcileCounts
from topics.stock.status import ResyncProgress


class AskDocument(BaseModel):
    """The resync or reconciliation that was asked for last."""

    id: str
    atMs: int


class ControlDocument(BaseModel):
    """Wishes of operators about the stock of a channel or location. It is stored; delivery does it within a second, or
    when it is back."""

    channel: str
    location: str | None
    paused: bool
    channelPaused: bool = Field(
        default=False, description="Of a location: whether its whole channel is paused. Then nothing is sent of it"
    )
    resync: AskDocument | None
    reconcile: AskDocument | None
    done: bool | None = Field(
        default=None, description="With `wait`: whether delivery has done it by then, at every location"
    )


class ReconcileResult(ReconcileCounts):
    """The last reconciliation. Of a channel: the sum over the locations that the newest one was of."""

    id: str
    failed: bool = Field(description="Whether it was given up, because the channel could not be asked")
    startedMs: int
    endedMs: int | None = Field(description="null: it goes on")


class StockNumbers(BaseModel):
    """The numbers of a location or channel. `conflation`: changes taken in for each position sent; null: none was sent.
    A new worker counts from zero."""

    paused: bool
    dirty: int = Field(description="positions that the channel has not acknowledged")
    oldestAgeMs: int | None = Field(description="how long the longest waiting of them waits; null: none waits")
    sentPerS: float
    changes: int
    sent: int
    conflation: float | None
    refused: int = Field(description="SKUs that the channel refuses")
    resync: ResyncProgress | None
    reconcile: ReconcileResult | None = None


class LocationDocument(StockNumbers):
    """One location. `paused`: delivery knows of the pause and sends nothing. `atMs`: when the status was written."""

    location: str
    atMs: int


class ChannelStockDocument(StockNumbers):
    """One channel: the sum of its locations. Locations without news for long are not listed. The list begins with the
    location that waits longest; `left` locations are left out at its end."""

    channel: str
    locations: list[LocationDocument]
    left: int


class StockStatusDocument(BaseModel):
    channels: list[ChannelStockDocument]


class RefusedSkuDocument(BaseModel):
    """One refused SKU. `reason`: `failure-list` (the channel named the SKU there) or `refused` (the channel refused a
    call with this SKU alone)."""

    location: str
    channelSkuCode: str
    reason: str
    status: int | None
    sinceMs: int
    failures: int


class RefusedSkusDocument(BaseModel):
    """A page of refused SKUs, in the order of location and SKU. `total`: how many there are; `next`: path of the next
    page, null at the end."""

    channel: str
    total: int
    refused: list[RefusedSkuDocument]
    next: str | None
