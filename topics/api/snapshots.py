"""Records of a full snapshot on `inventory.updates`, and what /api/inventory/snapshots answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from topics.contract.models.inventory import StockLocation
from topics.schema_base import SKUS_MAX, Body, Code, Text

PartNumber = Annotated[int, Field(strict=True, ge=0)]


class SnapshotOf(Body):
    """Whose stock it is: `locationCode`, or `consolidationType` of consolidated stock."""

    locationCode: StockLocation | None = None
    consolidationType: Literal["ALL", "STORE"] | None = None


class SnapshotBegin(SnapshotOf):
    """Updates behind this record win over the snapshot, those before it do not."""

    complete: Annotated[bool, Field(strict=True)] = Field(description="Whether SKUs that it does not name become 0")


class SnapshotPart(SnapshotOf):
    """`inventories` as in a stock batch. `part` counts the parts from 0."""

    part: PartNumber
    inventories: list[Any] = Field(max_length=SKUS_MAX)
    refused: list[Code] = Field(
        default=[], max_length=SKUS_MAX, description="SKUs that are in the snapshot without a usable value"
    )


class SnapshotEnd(SnapshotOf):
    """All of it was sent. `complete` false: SKUs that it does not name stay as they are, whatever its begin said."""

    parts: PartNumber = Field(description="How many there were")
    complete: Annotated[bool, Field(strict=True)]


class SnapshotAbort(SnapshotOf):
    """Its sender gave up. Nothing becomes 0; values that came count as updates."""

    reason: Text = ""


class SnapshotStep(SnapshotOf):
    """The role's own: the next bounded piece of work after an end."""

    step: PartNumber


class RefusedLine(Body):
    """A line that could not be taken. `line` counts lines from 1, a header of CSV among them."""

    line: int
    error: str


class SnapshotDocument(Body):
    """How a snapshot fares. Of `received` SKUs, so many were `changed` or `unchanged` by it, or `overtaken`: an update
    behind its begin had told them anew. `zeroed`: SKUs that it does not name and that were set to 0."""

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
    """The snapshots of one location that are known, the newest first."""

    snapshots: list[SnapshotDocument]


class SnapshotTaken(SnapshotDocument):
    """What became of an upload. `notComplete`: why nothing was set to 0 although it was asked for."""

    lines: int = Field(description="Lines of the upload with something on them")
    refused: int = Field(description="Lines that could not be taken")
    errors: list[RefusedLine] = Field(description="The first of them")
    notComplete: str | None
