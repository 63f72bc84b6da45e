"""Facts about stock, on `inventory.events`. One model per fact; the schemas for readers are made from these.

A fact is about one location of one channel, or about one SKU there. It says what Sluice found or did, in codes,
quantities and times, never in the words of a far side. Readers recognise a repeat by its `ce_id`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from topics.records.facts.base import EpochMs, Part, Quantity, Status, known

REFUSAL_REASONS = ("failure-list", "refused")
DRIFT_KINDS = ("missing", "extra", "stale", "refused")
DRIFT_CAUSES = ("never-sent", "lost", "changed", "refused", "unknown-here")
RESYNC_CAUSES = ("asked", "daily")
ABANDONED_REASONS = ("silent", "replaced", "aborted", "parts-missing", "empty", "too-many", "late")


class StockFact(Part):
    """The members of every fact about stock."""

    channel: str
    location: str = Field(description="The location; `~TYPE` stands for the consolidated stock of that type")
    atMs: EpochMs = Field(description="When it happened, epoch milliseconds")


class SkuFact(StockFact):
    """A fact about one SKU of a location."""

    channelSkuCode: str


class StockRefused(SkuFact):
    """The channel refuses the stock of a SKU again and again. Sluice goes on trying, seldom; other SKUs do not wait."""

    reason: Annotated[str, known(REFUSAL_REASONS)] = Field(
        description="`failure-list`: it was named there; `refused`: a call with it alone was refused"
    )
    status: Status
    failures: int = Field(ge=1, description="Attempts in a row that failed, when this was decided")
    sinceMs: EpochMs = Field(description="Epoch milliseconds of the first of them")


class StockAcceptedAgain(SkuFact):
    """The channel took the stock of a SKU that it had refused, or there is nothing left to send of it."""

    refusedSinceMs: EpochMs = Field(description="Epoch milliseconds since when it was refused; as in `stock-refused`")


class DriftFact(SkuFact):
    """The channel has another quantity of a SKU than it should have."""

    reconcile: str = Field(description="The reconciliation that found it")
    kind: Annotated[str, known(DRIFT_KINDS)] = Field(
        description="`missing` at the channel, `extra` there, `stale`: another quantity, `refused`: known to be refused"
    )
    cause: Annotated[str, known(DRIFT_CAUSES)] = Field(
        description="`never-sent`; `lost` at the channel; `changed` there; `refused` by it; `unknown-here`: nothing is "
        "known of the SKU here, so there is nothing to send"
    )
    wanted: Quantity | None = Field(description="What it should have; null: nothing is known of the SKU here")
    sent: Quantity | None = Field(description="What it acknowledged last; null: nothing")
    found: Quantity | None = Field(description="What it has; null: nothing")


class StockDriftFound(DriftFact):
    """A reconciliation found that the channel's stock of a SKU is wrong. What is missing or stale is sent once more."""


class StockDriftPersists(DriftFact):
    """A reconciliation found again what an earlier one repaired. It is not sent again: something else is wrong."""


class SnapshotFact(StockFact):
    """A fact about a full snapshot of a location."""

    snapshot: str = Field(description="Its id")
    received: Quantity = Field(description="SKUs that came in its parts")


class SnapshotApplied(SnapshotFact):
    """A full snapshot of a location is applied: its positions are what the snapshot and the updates after it say."""

    complete: bool = Field(description="Whether SKUs that it does not name were set to 0")
    changed: Quantity
    unchanged: Quantity
    overtaken: Quantity = Field(description="SKUs that an update after the snapshot's begin had set anew")
    zeroed: Quantity = Field(description="SKUs set to 0 because the snapshot does not name them")


class SnapshotAbandoned(SnapshotFact):
    """A full snapshot did not come to its end. The values that came count as updates; no SKU was set to 0."""

    reason: Annotated[str, known(ABANDONED_REASONS)] = Field(
        description="`silent`: nothing came for too long; `replaced`: another began; `aborted`: its sender gave up; "
        "`parts-missing`: not all of it came; `empty`: it was complete and named no SKU; `too-many`: several others "
        "had come and were still setting SKUs to 0; `late`: its begin was under way for so long that newer updates may "
        "have been taken before it"
    )


class ResyncDone(StockFact):
    """Every position of a location was sent to the channel once more."""

    resync: str = Field(description="Its id")
    cause: Annotated[str, known(RESYNC_CAUSES)] = Field(description="`asked` by an operator, or `daily`")
    positions: Quantity = Field(description="Positions that were sent again")
    changed: Quantity = Field(description="Changes of positions that came in meanwhile")
    startedMs: EpochMs = Field(description="Epoch milliseconds")


class ReconcileCounts(BaseModel):
    """The counters of a reconciliation, as its fact, its status and the API have them."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    compared: Quantity = Field(description="Positions of either side that were compared")
    missing: Quantity = Field(description="SKUs that the channel did not have")
    extra: Quantity = Field(description="SKUs that the channel had and that are not known here")
    stale: Quantity = Field(description="SKUs of which the channel had another quantity")
    refused: Quantity = Field(description="SKUs that are wrong at the channel because it refuses them")
    repaired: Quantity = Field(description="SKUs that were sent once more")
    persisting: Quantity = Field(description="SKUs that an earlier reconciliation had found wrong, too")

    def counts(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in ReconcileCounts.model_fields}


class ReconcileDone(ReconcileCounts, StockFact):
    """The positions of a location were compared with what the channel has."""

    reconcile: str = Field(description="Its id")
    startedMs: EpochMs = Field(description="Epoch milliseconds")
