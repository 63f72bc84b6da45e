"""How far the journal has read: what makes it exact."""

from __future__ import annotations

from sqlalchemy import Table

from journal.tables.base import METADATA, number, small, text

OFFSETS = Table(
    "offsets",
    METADATA,
    text("topic", "Name of the topic in the catalogue", primary_key=True),
    small("partition", "Its partition", primary_key=True),
    number("next_offset", "Everything before it is in the tables, or does not count"),
    number("claim", "Counts the owners of the partition: only the last may write"),
    text("memory", "What reading goes by, as docs/reading.md says it: JSON"),
    number("record_ms", "Time of the last record that was read"),
    comment="How far each partition was read. Changed in the transaction of the rows, by compare and set",
)
