"""PURE: a batch of stock becomes positions in the table, and one record on inventory.changes that says what changed.

Positions are absolute and carry no sequence, so arrival in the partition is the order (contract 12). A position is the
whole item: another expiry or serial number is a change. Never seen is not zero: a first quantity of 0 is a change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from streams.inventory.batches import QuantityItem
from streams.positions.position_table import Quantities
from streams.runtime.role import Effect, Record
from topics.records.envelope import INVENTORY_SOURCE, stamped
from topics.records.keys import position_key
from topics.stock.changes import STOCK_CHANGED, Cause, ChangedSku, StockChanges, encode_changes
from topics.stock.position_map import PLAIN_MASK, QUANTITY_MASK, UNKNOWN, quantity_of
from topics.stock.positions import encode_position


@dataclass(frozen=True, slots=True)
class StockLocation:
    """A channel's location. `key` is its stock key; `stock` the same as text; `partition` where its positions are."""

    channel: str
    location: str
    key: bytes
    stock: str
    partition: int


@dataclass(frozen=True, slots=True)
class PositionChanged:
    """`key` and `value` as on inventory.positions."""

    sku: str
    key: bytes
    before: bytes | None
    value: bytes


def changed_quantities(known: Mapping[str, int], items: Iterable[QuantityItem]) -> dict[str, int]:
    """SKU -> new quantity of what a batch changes, as `changes` would say. `known` is packed (position_map)."""
    changed: dict[str, int] = {}
    known_of = known.get
    for item in items:
        sku, quantity = item.channelSkuCode, item.quantity
        if known_of(sku, UNKNOWN) & PLAIN_MASK != quantity:
            changed[sku] = quantity
        elif sku in changed:
            del changed[sku]
    return changed


def changes(
    known: Callable[[bytes], bytes | None], channel: str, location: str, items: Iterable[dict[str, Any]]
) -> Iterator[PositionChanged]:
    """What a batch changes. A SKU that comes twice counts with its last value; an equal value is no change."""
    latest = {item["channelSkuCode"]: item for item in items}
    for sku, item in latest.items():
        key = position_key(channel, location, sku)
        value = encode_position(item)
        before = known(key)
        if before != value:
            yield PositionChanged(sku, key, before, value)


def apply_quantity_items(
    table: Quantities,
    location: StockLocation,
    items: Iterable[QuantityItem],
    record: Record,
    cause: Cause = Cause.UPDATE,
) -> list[Effect]:
    """Items that are nothing but a quantity."""
    return apply_quantities(table, location, changed_quantities(table.known(location.stock), items), record, cause)


def apply_quantities(
    table: Quantities, location: StockLocation, quantities: dict[str, int], record: Record, cause: Cause, part: str = ""
) -> list[Effect]:
    """Plain positions that differ from what is known. `part`: see `_told`."""
    if not quantities:
        return []
    known = table.known(location.stock).get
    put = table.put_quantities(location.stock, quantities)
    listed = [
        ChangedSku(sku, None if (before := known(sku)) is None else before & QUANTITY_MASK, quantity)
        for sku, quantity in put.items()
    ]
    return _told(location, listed, record, cause, part)


def apply_items(
    table: Quantities,
    location: StockLocation,
    items: Iterable[dict[str, Any]],
    record: Record,
    cause: Cause = Cause.UPDATE,
    part: str = "",
) -> list[Effect]:
    """Items of any form. `part`: see `_told`."""
    listed = []
    for change in changes(table.get, location.channel, location.location, items):
        # A position made from this record or a later one: Kafka's redelivery, which must not put old after new.
        if not table.is_made_from(change.key):
            table.put(change.key, change.value)
            before = None if change.before is None else quantity_of(change.before)
            listed.append(ChangedSku(change.sku, before, quantity_of(change.value)))
    return _told(location, listed, record, cause, part)


def _told(location: StockLocation, listed: list[ChangedSku], record: Record, cause: Cause, part: str) -> list[Effect]:
    """A redelivery after a crash tells again what was not durable yet, under the same id: the first one is complete.

    `part` is in the id of what need not be the same when the record comes again.
    """
    if not listed:
        return []
    id_ = f"inventory.updates/{record.partition}/{record.offset}{part}"
    headers = stamped(id_, STOCK_CHANGED, INVENTORY_SOURCE, location.channel, location.location, record.timestamp_ms)
    value = encode_changes(StockChanges(location.channel, location.location, cause, listed))
    return [Effect("inventory.changes", location.key, value, headers, location.partition)]
