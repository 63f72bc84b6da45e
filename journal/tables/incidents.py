"""Rejected records, refused calls, and facts about stock."""

from __future__ import annotations

from sqlalchemy import Index, Table

from journal.tables.base import METADATA, number, proof_columns, small, text

REJECTED = Table(
    "rejected",
    METADATA,
    text("source_topic", "Full name of the topic that the record was read from", primary_key=True),
    small("source_partition", "Its partition there", primary_key=True),
    number("source_offset", "Its offset there", primary_key=True),
    number("at_ms", "The record's time"),
    text("role", "The role that could not decide it"),
    text("code", "Why: a code, as in docs/operations.md"),
    text("reason", "Why, in words, as `SLUICE_JOURNAL_PERSONAL` lets them be kept"),
    text("record_key", "The record's key, as far as it is text"),
    text("channel", "The channel that its headers name; empty: none"),
    text("event_id", "Its `ce_id`; empty: none"),
    text("event_type", "Its `ce_type`; empty: none"),
    text("subject", "Its `ce_subject`; empty: none"),
    small("bytes", "Bytes of its value, which is in `bodies`"),
    *proof_columns(),
    Index(None, "at_ms"),
    Index(None, "record_key"),
    Index(None, "code", "at_ms"),
    comment="Each record on `commands.rejected`",
)

REFUSED_CALLS = Table(
    "refused_calls",
    METADATA,
    text("order_key", "The order or return that was named, whether there is one or not", primary_key=True),
    small("number", "Its place among the refused calls of that key: the newest last", primary_key=True),
    text("touchpoint", "The call"),
    text("code", "The code of the answer"),
    text("reason", "The reason of the answer"),
    small("status", "HTTP status of the answer; null: no call over HTTP", nullable=True),
    number("calls", "How many were refused alike"),
    number("first_ms", "The first of them"),
    number("last_ms", "The last of them"),
    text("event_id", "The last one's event id, as in the access log"),
    text("source", "The gateway, or the producer by its `ce_source`"),
    text("address", "The last caller's address; empty: not known, or not kept by `SLUICE_JOURNAL_PERSONAL`"),
    *proof_columns(),
    Index(None, "last_ms"),
    comment="The refused calls of each order and return: `orders.refused` as it is now",
)

STOCK_EVENTS = Table(
    "stock_events",
    METADATA,
    text("event_id", "`ce_id`", primary_key=True),
    number("at_ms", "When it happened"),
    text("name", "The fact's name, as in docs/stock.md"),
    text("channel", "The channel"),
    text("location", "The location"),
    text("sku", "The SKU; empty: the fact is about the whole location"),
    text("data", "The fact: JSON, as in schemas/facts"),
    *proof_columns(),
    Index(None, "channel", "location", "at_ms"),
    Index(None, "at_ms"),
    comment="Each fact on `inventory.events`",
)
