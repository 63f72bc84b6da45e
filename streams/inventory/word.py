"""PURE: from when the word of a record is, and what of it is older than what is known (decision 0028)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from streams.positions.timed_positions import TimedQuantities
from streams.runtime.role import Record
from topics.records.envelope import Envelope

CLOCKS_APART_MS: Final = 1_000
"""The clocks of gateways, producers and brokers differ by less (NTP keeps them within some milliseconds). A word that
is older by less than this may be the newer one, so it counts: the later in the topic wins."""
PLAUSIBLE_MS: Final = 24 * 3_600_000
"""A time that is longer ago than this tells of a clock that is wrong, and of no word that was under way: Kafka's time
counts."""


def said_ms(record: Record, envelope: Envelope) -> int:
    """From when the word of a record is: its ce_time, or when Kafka took it, if that is earlier or there is none."""
    taken_ms, said = record.timestamp_ms, envelope.time_ms
    return said if taken_ms - PLAUSIBLE_MS < said < taken_ms else taken_ms


def is_late(record: Record, said: int) -> bool:
    """Whether a word was under way for so long that a newer one may have been taken before it."""
    return record.timestamp_ms - said > CLOCKS_APART_MS


def older_than_known(table: TimedQuantities, stock: str, skus: Iterable[str], said: int) -> set[str]:
    """Those SKUs whose position is from a newer word."""
    newer_ms = said + CLOCKS_APART_MS
    return {sku for sku in skus if (known_ms := table.said_at(stock, sku)) is not None and known_ms > newer_ms}
