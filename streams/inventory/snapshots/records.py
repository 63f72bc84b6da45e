"""PURE: a record of a snapshot is read: bytes in, values out, or Poison."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import msgspec
from pydantic import ValidationError

from streams.inventory.batches import Batch, Items, location_of, members_of, split_items
from streams.inventory.snapshots.snapshots import Snapshots
from streams.runtime.role import Poison, Record
from topics.api.snapshots import (
    SnapshotAbort,
    SnapshotBegin,
    SnapshotEnd,
    SnapshotOf,
    SnapshotPart,
    SnapshotStep,
)
from topics.contract.leniency import judged
from topics.contract.models.plain_stock import LocationCode
from topics.records.envelope import Envelope
from topics.schema_base import CODE_MAX, SKUS_MAX, problems
from topics.stock.snapshots import (
    SNAPSHOT_ABORT,
    SNAPSHOT_BEGIN,
    SNAPSHOT_END,
    SNAPSHOT_HEADER,
    SNAPSHOT_ID_MAX,
    SNAPSHOT_PART,
    SNAPSHOT_STEP,
)

SNAPSHOT_TYPES = frozenset((SNAPSHOT_BEGIN, SNAPSHOT_PART, SNAPSHOT_END, SNAPSHOT_ABORT, SNAPSHOT_STEP))

OfT = TypeVar("OfT", bound=SnapshotOf)
_Sku = Annotated[str, msgspec.Meta(min_length=1, max_length=CODE_MAX)]


class PlainPart(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """As topics.api.snapshots.SnapshotPart, of a part that has only quantities."""

    locationCode: LocationCode  # noqa: N815 - the contract's spelling
    part: Annotated[int, msgspec.Meta(ge=0)]
    inventories: Items
    refused: Annotated[list[_Sku], msgspec.Meta(max_length=SKUS_MAX)] = []


_decode_plain = msgspec.json.Decoder(PlainPart).decode


Action = Callable[[Snapshots], None]
"""Action of a record on the snapshots of its location."""


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    location: str
    action: Action
    batch: Batch | None = None
    """The batch of a part that the models have read: some of its SKUs may be set aside."""


def read_snapshot(record: Record, envelope: Envelope) -> SnapshotRecord:
    """Reads any record of a snapshot. Raises Poison."""
    kind = envelope.type
    if kind == SNAPSHOT_STEP:
        step, members = _judged(SnapshotStep, record)
        return SnapshotRecord(location_of(members), lambda snapshots: snapshots.work(step.step))
    name = _snapshot_of(record)
    if kind == SNAPSHOT_PART:
        return _part(record, name)
    if kind == SNAPSHOT_BEGIN:
        begin, members = _judged(SnapshotBegin, record)
        return SnapshotRecord(location_of(members), lambda snapshots: snapshots.begin(name, complete=begin.complete))
    if kind == SNAPSHOT_END:
        end, members = _judged(SnapshotEnd, record)
        return SnapshotRecord(
            location_of(members), lambda snapshots: snapshots.end(name, end.parts, complete=end.complete)
        )
    _, members = _judged(SnapshotAbort, record)
    return SnapshotRecord(location_of(members), lambda snapshots: snapshots.abort(name))


def _part(record: Record, name: str) -> SnapshotRecord:
    try:
        plain = _decode_plain(record.value)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError):
        part, members = _judged(SnapshotPart, record)
        batch = split_items(members)
        items = {item["channelSkuCode"]: item for item in batch.items}
        refused, has_unnamed = (*part.refused, *batch.refused), len(batch.names) > len(batch.refused)
        return SnapshotRecord(
            location_of(batch.members),
            lambda snapshots: snapshots.part(name, part.part, items, refused, has_unnamed=has_unnamed),
            batch,
        )
    found = {item.channelSkuCode: item for item in plain.inventories}
    return SnapshotRecord(plain.locationCode, lambda snapshots: snapshots.part(name, plain.part, found, plain.refused))


def _judged(model: type[OfT], record: Record) -> tuple[OfT, dict[str, Any]]:
    try:
        members = judged(model, members_of(record))
    except ValidationError as error:
        raise Poison("bad_data", "; ".join(problems(error))) from error
    found = model.model_validate(members)
    if found.locationCode is None and found.consolidationType is None:
        raise Poison("bad_data", "locationCode: may not be null")
    return found, members


def _snapshot_of(record: Record) -> str:
    raw = next((value for name, value in record.headers if name == SNAPSHOT_HEADER), None) or b""
    try:
        snapshot = raw.decode()
    except UnicodeDecodeError as error:
        raise Poison("bad_envelope", f"header {SNAPSHOT_HEADER} is not UTF-8: {raw[:40]!r}") from error
    if not 0 < len(snapshot) <= SNAPSHOT_ID_MAX:
        reason = f"header {SNAPSHOT_HEADER} must be the snapshot's id, of 1 to {SNAPSHOT_ID_MAX} characters"
        raise Poison("bad_envelope", reason)
    return snapshot
