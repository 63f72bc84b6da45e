"""PURE: a batch of stock becomes positions in the table, and one record on inventory.changes that says what changed.

Positions are absolute and carry no sequence, so arrival in the partition is the order (contract 12). A position is the
whole item: another expiry or serial number is a change. Never seen is not zero: a first quantity of 0 is a change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from streams.positions.position_table import Quantities
from streams.runtime.role import Effect, Record
from topics.records.envelope import INVENTORY_SOURCE, event_headers
from topics.records.keys import position_key
from topics.stock.changes import STOCK_CHANGED, Cause, ChangedSku, StockChanges, encode_changes
from topics.stock.position_map import quantity_of
from topics.stock.positions import encode_position


@dataclass(frozen=True, slots=True)
class StockLocation:
    """One location of one channel. `key` is its stock key, `stock` the same as text, `partition` that of its shard."""

    channel: str
    location: str
    key: bytes
    stock: str
    partition: int


class PositionChanged(NamedTuple):
    """`key` and `value` as on inventory.positions."""

    sku: str
    key: bytes
    before: bytes | None
    value: bytes


def changed_positions(
    known: Callable[[bytes], bytes | None], location: StockLocation, items: Iterable[dict[str, Any]]
) -> list[PositionChanged]:
    """Positions that a batch changes. A SKU that comes twice counts with its last value; an equal value is no
    change."""
    changed = []
    latest = {item["channelSkuCode"]: item for item in items}
    for sku, item in latest.items():
        key = position_key(location.channel, location.location, sku)
        value = encode_position(item)
        before = known(key)
        if before != value:
            changed.append(PositionChanged(sku, key, before, value))
    return changed


def apply_quantities(
    table: Quantities,
    location: StockLocation,
    changed: dict[str, int],
    record: Record,
    cause: Cause = Cause.UPDATE,
    part: str = "",
) -> list[Effect]:
    """Puts quantities that differ from what is known. `part`: see `_changes_effect`."""
    if not changed:
        return []
    known = table.known(location.stock)
    put = table.put_quantities(location.stock, changed)
    listed = list(map(ChangedSku, put, known.quantities(put), put.values()))
    return _changes_effect(location, listed, record, cause, part)


def apply_positions(
    table: Quantities,
    location: StockLocation,
    changed: Iterable[PositionChanged],
    record: Record,
    cause: Cause = Cause.UPDATE,
    part: str = "",
) -> list[Effect]:
    """Puts what `changed_positions` found. `part`: see `_changes_effect`."""
    listed = []
    for sku, key, before, value in changed:
        # A position made from this record or a later one: Kafka's redelivery, which must not put old after new.
        if not table.is_made_from(key):
            table.put(key, value)
            listed.append(ChangedSku(sku, None if before is None else quantity_of(before), quantity_of(value)))
    return _changes_effect(location, listed, record, cause, part)


def _changes_effect(
    location: StockLocation, listed: list[ChangedSku], record: Record, cause: Cause, part: str
) -> list[Effect]:
    """A redelivery after a crash lists again what was not durable yet, under the same id: the first one is complete.

    `part` goes into the id where another delivery of the same record may change other SKUs.
    """
    if not listed:
        return []
    id_ = f"inventory.updates/{record.partition}/{record.offset}{part}"
    headers = event_headers(
        id_, STOCK_CHANGED, INVENTORY_SOURCE, location.channel, location.location, record.timestamp_ms
    )
    value = encode_changes(StockChanges(location.channel, location.location, cause, listed))
    return [Effect("inventory.changes", location.key, value, headers, location.partition)]
