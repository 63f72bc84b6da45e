"""A stock position: the value of a record on `inventory.positions` and `inventory.sent`.

A position is the whole tuple: two positions with the same quantity and another expiry differ. For the consolidated
form the location is a pseudo-location and the rest of the item travels in `item`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from topics.records.json_text import read, write_sorted

QUANTITY_MAX = 2**31 - 1
"""The contract's Integer (topics.schema_base.Count)."""
CONSOLIDATED = "~"
"""First character of the pseudo-location of a consolidated position: `~ALL`, `~STORE` (contract 12)."""
BOOKKEEPING = b"~"
"""First character of keys on inventory.positions and inventory.sent that are not positions; readers skip these keys."""
ORIGIN = "~origin"
"""First part of keys of the inventory role: how far it applied records that another partition sent on."""
FLIGHT = "~flight"
"""First part of keys of the delivery role: the SKUs of a call whose end it has not seen."""
REFUSED = "~refused"
"""First part of keys of the delivery role: a SKU that the channel refuses."""
RESYNC = "~resync"
"""First part of keys of the delivery role: how far the resync of a location has come."""
RECONCILE = "~reconcile"
"""First part of keys of the delivery role: how far the reconciliation of a location has come."""
DRIFT = "~drift"
"""First part of keys of the delivery role: a SKU that a reconciliation found wrong."""


def is_position(key: bytes) -> bool:
    """False for records that a role keeps beside the positions; the name of a channel never begins with `~`."""
    return not key.startswith(BOOKKEEPING)


def consolidated_location(consolidation_type: str) -> str:
    return CONSOLIDATED + consolidation_type


def is_consolidated(location: str) -> bool:
    return location.startswith(CONSOLIDATED)


def encode_position(item: dict[str, Any]) -> bytes:
    """Encodes the item without null members and with sorted names, so that equal positions have equal bytes.

    `item` is one member of `inventories`: location-wise `{channelSkuCode, quantity, channelSerialNo?, minExpiry?}`,
    consolidated with `consolidatedQuantity`, `listingId` and the rest.
    """
    present = {name: value for name, value in item.items() if value is not None}
    return write_sorted(present)


def decode_positions(positions: Iterable[bytes]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = read(b"[%b]" % b",".join(positions))
    return items


def decode_position(raw: bytes) -> dict[str, Any]:
    item: dict[str, Any] = read(raw)
    return item
