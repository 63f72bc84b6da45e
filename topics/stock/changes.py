"""What a batch of stock changed: the value of a record on `inventory.changes`, for analytics.

Written by the thousands a second, so these are not the models that readers are told of, but their equals
(topics.contract.models.inventory.StockChanged).
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
    """A snapshot of a location, or what became 0 because it was complete and did not name it."""


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
