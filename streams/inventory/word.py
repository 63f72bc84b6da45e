"""PURE: what of a record is older than what is known (decision 0028)."""

from __future__ import annotations

from collections.abc import Iterable

from streams.positions.timed_positions import TimedQuantities
from streams.runtime.role import Record
from topics.records.word import CLOCKS_APART_MS


def is_late(record: Record, said: int) -> bool:
    """Whether a word was under way for so long that a newer one may have been taken before it."""
    return record.timestamp_ms - said > CLOCKS_APART_MS


def older_than_known(table: TimedQuantities, stock: str, skus: Iterable[str], said: int) -> set[str]:
    """Those SKUs whose position is from a newer word."""
    newer_ms = said + CLOCKS_APART_MS
    return {sku for sku in skus if (known_ms := table.said_at(stock, sku)) is not None and known_ms > newer_ms}
