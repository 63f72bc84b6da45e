"""A batch of stock becomes positions in the table, and one record on inventory.changes that says what changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from streams.inventory.positions import PlainItem, changed_quantities, changes
from streams.positions.position_table import Quantities
from streams.runtime.role import Effect, Record
from topics.records.envelope import INVENTORY_SOURCE, stamped
from topics.stock.changes import STOCK_CHANGED, Cause, StockChange, StockChanges, encode_changes
from topics.stock.position_map import QUANTITY_MASK, quantity_of


@dataclass(frozen=True, slots=True)
class Place:
    """A channel's location. `key` is its stock key; `stock` the same as text; `partition` where its positions are."""

    channel: str
    location: str
    key: bytes
    stock: str
    partition: int


def apply_plain(
    table: Quantities, place: Place, items: Iterable[PlainItem], record: Record, cause: Cause = Cause.UPDATE
) -> list[Effect]:
    """Items that are nothing but a quantity."""
    return apply_quantities(table, place, changed_quantities(table.known(place.stock), items), record, cause)


def apply_quantities(
    table: Quantities, place: Place, quantities: dict[str, int], record: Record, cause: Cause, part: str = ""
) -> list[Effect]:
    """Plain positions that differ from what is known. `part`: see `_told`."""
    if not quantities:
        return []
    known = table.known(place.stock).get
    put = table.put_quantities(place.stock, quantities)
    listed = [
        StockChange(sku, None if (before := known(sku)) is None else before & QUANTITY_MASK, quantity)
        for sku, quantity in put.items()
    ]
    return _told(place, listed, record, cause, part)


def apply_items(
    table: Quantities,
    place: Place,
    items: Iterable[dict[str, Any]],
    record: Record,
    cause: Cause = Cause.UPDATE,
    part: str = "",
) -> list[Effect]:
    """Items of any form. `part`: see `_told`."""
    listed = []
    for change in changes(table.get, place.channel, place.location, items):
        # A position made from this record or a later one: Kafka's redelivery, which must not put old after new.
        if not table.is_made_from(change.key):
            table.put(change.key, change.value)
            before = None if change.before is None else quantity_of(change.before)
            listed.append(StockChange(change.sku, before, quantity_of(change.value)))
    return _told(place, listed, record, cause, part)


def _told(place: Place, listed: list[StockChange], record: Record, cause: Cause, part: str) -> list[Effect]:
    """A redelivery after a crash tells again what was not durable yet, under the same id: the first one is complete.

    `part` is in the id of what need not be the same when the record comes again.
    """
    if not listed:
        return []
    id_ = f"inventory.updates/{record.partition}/{record.offset}{part}"
    headers = stamped(id_, STOCK_CHANGED, INVENTORY_SOURCE, place.channel, place.location, record.timestamp_ms)
    value = encode_changes(StockChanges(place.channel, place.location, cause, listed))
    return [Effect("inventory.changes", place.key, value, headers, place.partition)]
