"""Skips: an operator's word that a role leaves out one record of its source topic (`sluice skip`)."""

from __future__ import annotations

from topics.records.json_record import JsonRecord, decode_record
from topics.records.keys import join, split

SKIPS = "skips"
"""The catalogue name of the topic that carries them."""
SOURCES = {"orders.commands": "orders", "inventory.updates": "inventory", "deliveries.requests": "delivery"}
"""By catalogue name, the topics whose records can be skipped, and the role that decides them."""


class Skip(JsonRecord, frozen=True):
    """Its key is the record's place, as `skip_key` makes it."""

    by: str
    """The operator's name."""
    reason: str
    atMs: int
    action_id: str = ""
    """Its facts on `operators.events`; empty: a version before wrote none."""


def skip_key(topic: str, partition: int, offset: int) -> bytes:
    """`topic` is the catalogue name."""
    return join(topic, str(partition), str(offset))


def place_of(key: bytes) -> tuple[str, int, int]:
    """Topic, partition and offset. Raises ValueError."""
    topic, partition, offset = split(key)
    return topic, int(partition), int(offset)


def decode_skip(raw: bytes) -> Skip:
    """Raises ValueError."""
    return decode_record(raw, Skip)
