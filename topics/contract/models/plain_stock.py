"""A stock batch that is exactly what the contract prints: judged while it is parsed, and passed on as it came.

Most batches are. `read_plain` accepts a part of what the models of `inventory.py` accept, and nothing else:
no member that the contract does not name, no quantity printed as a string. For all others it answers
None, and the models say what is wrong, or what must change. The two cannot disagree: `tests/properties/
test_stock_intake.py` holds them side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import msgspec

from topics.records.shape import NESTING_MAX
from topics.schema_base import CODE_MAX, SKUS_MAX, TEXT_MAX, is_iso_time

_TIME_MAX = 64
_Text = Annotated[str, msgspec.Meta(max_length=TEXT_MAX)]
_Code = Annotated[str, msgspec.Meta(min_length=1, max_length=CODE_MAX)]
LocationCode = Annotated[str, msgspec.Meta(min_length=1, max_length=CODE_MAX, pattern="^[^~]")]
_Time = Annotated[str, msgspec.Meta(min_length=1, max_length=_TIME_MAX)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
_Long = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Type = Literal["ALL", "STORE"]


class PlainQuantity(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """An item that has nothing but a quantity."""

    channelSkuCode: _Code
    quantity: _Count


class PlainPosition(PlainQuantity):
    channelSerialNo: _Text | None = None
    minExpiry: _Time | None = None


class PlainBatch(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    locationCode: LocationCode
    inventories: Annotated[list[PlainPosition], msgspec.Meta(max_length=SKUS_MAX)]


class PlainListing(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    channelSkuCode: _Code
    consolidatedQuantity: _Count
    listingId: _Long | _Code
    consolidatedMinExpiry: _Time | None = None
    channelSerialNo: _Text | None = None
    quantity: _Count | None = None
    minExpiry: _Time | None = None
    locationCode: _Text | None = None
    consolidationType: _Type | None = None


class _ConsolidatedOutside(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    consolidationType: _Type
    inventories: msgspec.Raw


class PlainConsolidated(msgspec.Struct, gc=False):
    """`raw`: the listings as they came."""

    consolidationType: str
    inventories: Sequence[PlainListing]
    raw: bytes


_BATCH = msgspec.json.Decoder(PlainBatch)
_OUTSIDE = msgspec.json.Decoder(_ConsolidatedOutside)
_LISTINGS = msgspec.json.Decoder(Annotated[list[PlainListing], msgspec.Meta(max_length=SKUS_MAX)])


def read_plain(raw: bytes) -> PlainBatch | None:
    """A location-wise batch, perhaps with a SKU that comes twice; None when it is another, or not plain."""
    try:
        batch = _BATCH.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    items = batch.inventories
    if not _is_flat(raw, len(items)):
        return None
    if _may_name_times(raw) and not _are_times(item.minExpiry for item in items):
        return None
    return batch


def read_plain_consolidated(raw: bytes) -> PlainConsolidated | None:
    """A consolidated batch, perhaps with a SKU that comes twice; None when it is another, or not plain."""
    try:
        outside = _OUTSIDE.decode(raw)
        listings = _LISTINGS.decode(outside.inventories)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if not _is_flat(raw, len(listings)):
        return None
    if _may_name_times(raw) and not _are_times(
        time for listing in listings for time in (listing.consolidatedMinExpiry, listing.minExpiry)
    ):
        return None
    return PlainConsolidated(outside.consolidationType, listings, bytes(outside.inventories))


def _is_flat(raw: bytes, items: int) -> bool:
    """Certainly not nested too deep: a bracket inside an item is never inside another item, too."""
    return raw.count(b"{") + raw.count(b"[") - items < NESTING_MAX


def _may_name_times(raw: bytes) -> bool:
    """A look at the bytes spares one at every item. A name may be written with escapes, too."""
    return b"Expiry" in raw or b"\\" in raw


def _are_times(texts: Iterable[str | None]) -> bool:
    return all(text is None or is_iso_time(text) for text in texts)
