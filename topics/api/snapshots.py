"""Records of full snapshots on `inventory.updates`, and documents of /api/inventory/snapshots."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from topics.contract.models.inventory import StockLocationCode
from topics.schema_base import SKUS_MAX, Body, Code, Text

PartNumber = Annotated[int, Field(strict=True, ge=0)]


class SnapshotOf(Body):
    """The stock that a record is about: a `locationCode`, or a `consolidationType` of consolidated stock."""

    locationCode: StockLocationCode | None = None
    consolidationType: Literal["ALL", "STORE"] | None = None


class SnapshotBegin(SnapshotOf):
    """Begins a snapshot. Updates after this record win over it, updates before do not."""

    complete: Annotated[bool, Field(strict=True)] = Field(
        description="Whether SKUs that the snapshot does not name become 0"
    )


class SnapshotPart(SnapshotOf):
    """A part of a snapshot. `inventories`: as in a stock batch; `part` counts from 0."""

    part: PartNumber
    inventories: list[Any] = Field(max_length=SKUS_MAX)
    refused: list[Code] = Field(
        default=[], max_length=SKUS_MAX, description="SKUs that the snapshot names without a usable value"
    )


class SnapshotEnd(SnapshotOf):
    """Ends a snapshot. `complete` false: SKUs that it does not name stay as they are, whatever its begin said."""

    parts: PartNumber = Field(description="How many parts there were")
    complete: Annotated[bool, Field(strict=True)]


class SnapshotAbort(SnapshotOf):
    """Abandons a snapshot, because its sender gave up. Nothing becomes 0; values that came count as updates."""

    reason: Text = ""


class SnapshotStep(SnapshotOf):
    """The inventory role's own: the next bounded piece of work after an end."""

    step: PartNumber


class RefusedLine(Body):
    """A refused line of an upload. `line` counts from 1, a CSV header included."""

    line: int
    error: str


class SnapshotDocument(Body):
    """The state of a snapshot. It named `received` SKUs, which were `changed`, `unchanged` or `overtaken` by an update
    after its begin. `zeroed`: SKUs that it does not name and that were set to 0."""

    snapshot: str
    channel: str
    location: str
    state: Literal["open", "ending", "applied", "abandoned"]
    reason: str | None = Field(description="Why it was abandoned")
    complete: bool
    received: int
    changed: int
    unchanged: int
    overtaken: int
    zeroed: int
    begunMs: int
    lastMs: int = Field(description="When its last record came, or when it ended")


class SnapshotList(Body):
    """The known snapshots of a location, the newest first."""

    snapshots: list[SnapshotDocument]


class SnapshotTaken(SnapshotDocument):
    """The outcome of an upload. `notComplete`: why nothing was set to 0 although the caller asked for it."""

    lines: int = Field(description="Lines of the upload that are not empty")
    refused: int = Field(description="Lines that were refused")
    errors: list[RefusedLine] = Field(description="The first refused lines")
    notComplete: str | None
