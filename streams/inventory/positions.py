"""PURE: (what is known, a batch of stock) -> what changes. No I/O.

Positions are absolute and carry no sequence, so arrival in the partition is the order (contract 12). A position is the
whole item: another expiry or serial number is a change. Never seen is not zero: a first quantity of 0 is a change.

Nearly all stock is location-wise SKUs with a quantity and nothing more. Such a batch is read, checked and compared in
one pass (`read_plain`, `changed_quantities`); whatever is different in any way is read by the models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from topics.contract.models.inventory import is_consolidated_body
from topics.records.keys import position_key
from topics.schema_base import CODE_MAX, SKUS_MAX
from topics.stock.position_map import PLAIN_MASK, UNKNOWN
from topics.stock.positions import QUANTITY_MAX, consolidated_location, encode_position


class PlainItem(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """As topics.contract.models.inventory.Position, of an item that has only these members."""

    channelSkuCode: Annotated[str, msgspec.Meta(min_length=1, max_length=CODE_MAX)]  # noqa: N815 - the contract's
    quantity: Annotated[int, msgspec.Meta(ge=0, le=QUANTITY_MAX)]
    channelSerialNo: None = None  # noqa: N815
    minExpiry: None = None  # noqa: N815


class PlainBatch(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """As topics.contract.models.inventory.LocationWiseAtp, of a batch that has only these members."""

    locationCode: Annotated[str, msgspec.Meta(min_length=1, max_length=CODE_MAX, pattern="^[^~]")]  # noqa: N815
    inventories: Annotated[list[PlainItem], msgspec.Meta(max_length=SKUS_MAX)]


_decode = msgspec.json.Decoder(PlainBatch).decode


def read_plain(raw: bytes) -> PlainBatch | None:
    """A batch of plain items, valid in all of them; None: the models have to read it."""
    try:
        return _decode(raw)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def changed_quantities(known: Mapping[str, int], items: Iterable[PlainItem]) -> dict[str, int]:
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


@dataclass(frozen=True, slots=True)
class PositionChanged:
    """`key` and `value` as on inventory.positions."""

    sku: str
    key: bytes
    before: bytes | None
    value: bytes


def location_of(members: dict[str, Any]) -> str:
    """The location a batch is about; of the consolidated form the pseudo-location of its consolidation type."""
    if is_consolidated_body(members):
        return consolidated_location(members["consolidationType"])
    location: str = members["locationCode"]
    return location


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
