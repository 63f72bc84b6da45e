"""Changes by a batch of stock: the value of a record on `inventory.changes`, for analytics.

Thousands are written a second, so these are msgspec structs; the equal model for readers is
topics.contract.models.inventory.StockChanged.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

STOCK_CHANGED = "sluice.inventory.changed"
"""ce_type of a record on inventory.changes."""


class Cause(StrEnum):
    UPDATE = "update"
    """A batch of updates."""
    SNAPSHOT = "snapshot"
    """A snapshot of a location; also for SKUs set to 0 because a complete snapshot does not name them."""


class ChangedSku(msgspec.Struct, gc=False):
    channelSkuCode: str  # noqa: N815 - the contract's spelling
    before: int | None
    after: int


class StockChanges(msgspec.Struct, gc=False):
    channel: str
    location: str
    cause: Cause
    changes: list[ChangedSku]


_encode = msgspec.json.Encoder().encode


def encode_changes(changes: StockChanges) -> bytes:
    return _encode(changes)
