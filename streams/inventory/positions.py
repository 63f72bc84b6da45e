"""PURE: (what is known, a batch of stock) -> what changes. No I/O.

Positions are absolute and carry no sequence, so arrival in the partition is the order (contract 12). A position is the
whole item: another expiry or serial number is a change. Never seen is not zero: a first quantity of 0 is a change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from topics.keys import position_key
from topics.models.inventory import is_consolidated_body
from topics.positions import consolidated_location, encode_position


@dataclass(frozen=True, slots=True)
class PositionChanged:
    """`key` and `value` as on inventory.positions."""

    key: bytes
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
        if known(key) != value:
            yield PositionChanged(key, value)
