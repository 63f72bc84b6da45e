"""PURE: the inventory role handles the records of snapshots: state in the table, facts and steps as effects.

The memory between records is only a cache of the table: after a restart, or when a record was not decided after all, it
is made anew from the table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from streams.inventory.apply import (
    StockLocation,
    apply_positions,
    apply_quantities,
    changed_positions,
)
from streams.inventory.batches import QuantityItem
from streams.inventory.snapshots import metrics
from streams.inventory.snapshots.records import Action
from streams.inventory.snapshots.snapshots import Memory, NoteTable, Snapshots, recall
from streams.inventory.snapshots.zero_sweep import has_some, nothing_of
from streams.positions.timed_positions import TimedQuantities
from streams.runtime.role import Effect, Record
from topics.records.envelope import FACT, INVENTORY_SOURCE, event_headers
from topics.records.keys import position_key
from topics.records.unreadable import UNREADABLE, UnreadableError
from topics.stock.changes import Cause
from topics.stock.packed_positions import QUANTITY_MASK, WHOLE
from topics.stock.position_map import check_position
from topics.stock.positions import decode_position
from topics.stock.snapshots import (
    APPLIED,
    SNAPSHOT_STEP,
    Ended,
    location_members,
    snapshots_key,
)

MEMORIES_MAX = 10_000
"""Locations with a memory of their snapshots; beyond it all are forgotten and read anew, some microseconds each."""
NOTHING_RUNS = b'{"runs":[]'
"""First bytes of the state of a location without an open or ending snapshot."""


@dataclass(slots=True)
class LocationPositions:
    """The positions of one location while one record is decided. Implements zero_sweep.SnapshotPositions."""

    table: TimedQuantities
    location: StockLocation
    record: Record
    effects: list[Effect] = field(default_factory=list)

    def skus(self) -> list[str]:
        return list(self.table.known(self.location.stock))

    def apply(self, items: Sequence[Any], said: int) -> int:
        self.table.note_word(said)
        if all(type(item) is QuantityItem for item in items):
            return self._put_quantities(self.table.known(self.location.stock).differing(items))
        return self._put_items(items)

    def zero(self, skus: Sequence[str], said: int) -> int:
        self.table.note_word(said)
        known = self.table.known(self.location.stock)
        packed = {sku: known.get(sku) or 0 for sku in skus}
        found = {sku: self._item(sku) for sku, each in packed.items() if each & WHOLE}
        plain = {sku: 0 for sku, each in packed.items() if each & QUANTITY_MASK and not each & WHOLE}
        plain |= {sku: 0 for sku, item in found.items() if item is None}
        zeroed = self._put_quantities(plain, _part(plain))
        whole = [nothing_of(item) for item in found.values() if item is not None and has_some(item)]
        return zeroed + self._put_items(whole, _part(found))

    def _item(self, sku: str) -> dict[str, Any] | None:
        """None for a position that this version cannot read."""
        raw = self.table.get(position_key(self.location.channel, self.location.location, sku)) or b""
        try:
            check_position(sku, raw)
        except UnreadableError:
            return None
        return decode_position(raw)

    def _put_quantities(self, changed: dict[str, int], part: str = "") -> int:
        self.effects += apply_quantities(self.table, self.location, changed, self.record, Cause.SNAPSHOT, part)
        return len(changed)

    def _put_items(self, items: Sequence[dict[str, Any]], part: str = "") -> int:
        changed = changed_positions(self.table.get, self.location, items)
        self.effects += apply_positions(self.table, self.location, changed, self.record, Cause.SNAPSHOT, part)
        return len(changed)


class SnapshotHandler:
    """One per role."""

    def __init__(self) -> None:
        self._memories: dict[tuple[int, bytes], Memory] = {}

    def on_record(
        self, table: TimedQuantities, location: StockLocation, record: Record, action: Action, said: int = 0
    ) -> list[Effect]:
        """Handles one record of a snapshot, or a step. `said`: from when the word of the record is."""
        key = snapshots_key(location.channel, location.location)
        return [] if table.is_made_from(key) else self._apply(table, location, record, key, action, said)

    def on_update(
        self, table: TimedQuantities, location: StockLocation, record: Record, skus: Iterable[str], said: int
    ) -> list[Effect]:
        """An update of this location was applied; it named these SKUs. `said`: from when its word is."""
        key = snapshots_key(location.channel, location.location)
        raw = table.get(key)
        if raw is None or raw.startswith(NOTHING_RUNS) or table.is_made_from(key):
            return []
        return self._apply(table, location, record, key, lambda snapshots: snapshots.updated(list(skus)), said)

    def on_revoked(self, partition: int) -> None:
        """The partition is another worker's."""
        for name in [name for name in self._memories if name[0] == partition]:
            del self._memories[name]

    def _apply(
        self, table: TimedQuantities, location: StockLocation, record: Record, key: bytes, action: Action, said: int
    ) -> list[Effect]:
        raw = table.get(key)
        notes = NoteTable(table, location.channel, location.location)
        # Nothing is remembered until the record is settled: one that cannot be decided leaves the memory half changed.
        memory = self._memories.pop((record.partition, location.key), None)
        is_replaced = False
        if memory is None or memory.raw != raw:
            try:
                memory = recall(raw, notes)
            except UnreadableError as error:
                # Updates must go on. What it says is given up for good: a snapshot that ended later, in a version that
                # can read it, would set SKUs to 0 that updates named meanwhile.
                UNREADABLE.note("inventory.positions", key, error, partition=record.partition)
                memory, is_replaced = Memory(), True
        positions = LocationPositions(table, location, record)
        snapshots = Snapshots(memory, notes, positions, record.offset, record.timestamp_ms, said)
        action(snapshots)
        if snapshots.ignored is not None:
            metrics.IGNORED.labels(snapshots.ignored).inc()
        effects = positions.effects
        if snapshots.is_changed or is_replaced:
            table.put(key, snapshots.settle())
            effects += [_ended_fact(location, record, ended) for ended in snapshots.ended]
            if snapshots.step is not None:
                effects.append(_step_request(location, record, snapshots.step))
        if len(self._memories) >= MEMORIES_MAX:
            self._memories.clear()
        self._memories[record.partition, location.key] = memory
        return effects


def _part(skus: Iterable[str]) -> str:
    """After a crash the same step may set other SKUs to 0, because the search begins anew; this says which."""
    return "/" + hashlib.blake2b("|".join(skus).encode(), digest_size=8).hexdigest()


def _ended_fact(location: StockLocation, record: Record, ended: Ended) -> Effect:
    """A snapshot ends once, so its id and the name of the fact make the id of the fact."""
    data: dict[str, Any] = {
        "channel": location.channel,
        "location": location.location,
        "atMs": record.timestamp_ms,
        "snapshot": ended.id,
    }
    name = f"snapshot-{ended.state}"
    if ended.state == APPLIED:
        data |= {"complete": ended.complete, **ended.counts()}
    else:
        data |= {"reason": ended.reason, "received": ended.received}
    metrics.ENDED.labels(ended.reason or ended.state).inc()
    id_ = f"{location.stock}.{ended.id}.{name}"
    headers = event_headers(
        id_, FACT + name, INVENTORY_SOURCE, location.channel, location.location, record.timestamp_ms
    )
    return Effect("inventory.events", location.key, orjson.dumps(data), headers)


def _step_request(location: StockLocation, record: Record, step: int) -> Effect:
    """From the role to itself, in the partition of the positions: other records are decided in between."""
    id_ = f"{location.stock}.step.{record.offset}"
    headers = event_headers(
        id_, SNAPSHOT_STEP, INVENTORY_SOURCE, location.channel, location.location, record.timestamp_ms
    )
    value = orjson.dumps({**location_members(location.location), "step": step})
    return Effect("inventory.updates", location.key, value, headers, record.partition)
