"""Actions of operators, the requests that their redrives sent, their pauses of destinations."""

from __future__ import annotations

from sqlalchemy import Index, Table

from journal.tables.base import METADATA, number, proof_columns, small, text

ACTIONS = Table(
    "actions",
    METADATA,
    text(
        "event_id",
        "The action's id; of one by a version before, the `ce_id` or the key of its record",
        primary_key=True,
    ),
    text(
        "topic",
        "Name of the topic in the catalogue: `operators.events`; of a version before, another",
        primary_key=True,
    ),
    number("at_ms", "When it was begun"),
    text("action", "`redrive`, `retry-delivery`, `pause-destination`, ..: as in docs/actions.md"),
    text("actor", "The operator: the name of the token, or of the login"),
    text("reason", "The operator's own words"),
    text("channel", "The channel; empty: none, or several"),
    text("order_key", "The order, return or manifest that it is about; empty: none, or several"),
    text("target", "What it is about: a destination, a delivery, `channel|location`, a record; empty: many"),
    small("shown", "How many the preview showed; 0: it is about one thing"),
    text("before", "The state before, as JSON"),
    text("after", "The state that was asked for, or what chose the many, as JSON"),
    text("outcome", "`done`, `failed`, `stopped`, `refused`; empty: its end is not known"),
    number("ended_ms", "When it ended", nullable=True),
    text("message", "Why it did not come to its end"),
    text("result", "The state after it, or the counts of what came of many, as JSON"),
    *proof_columns(),
    Index(None, "at_ms"),
    Index(None, "order_key"),
    Index(None, "actor", "at_ms"),
    Index(None, "action", "at_ms"),
    Index(None, "target", "at_ms"),
    comment="Each action of an operator, by its facts on `operators.events`. The proof is that of its beginning",
)

REDRIVEN = Table(
    "redriven",
    METADATA,
    text("redrive", "The action, as `event_id` in `actions`", primary_key=True),
    text("request_id", "The request", primary_key=True),
    small("attempts", "Its attempts when it was given up", primary_key=True),
    number("at_ms", "When it was sent again"),
    text("order_key", "The order, return or manifest that it belongs to"),
    text("lane", "Its lane"),
    *proof_columns(),
    Index(None, "at_ms"),
    Index(None, "order_key"),
    comment="Each request that a redrive gave to delivery again, on `deliveries.requests`",
)

PAUSES = Table(
    "pauses",
    METADATA,
    text("destination", "As in `requests`", primary_key=True),
    number("since_ms", "When it began", primary_key=True),
    number("until_ms", "When it ends by itself; null: when an operator resumes", nullable=True),
    number(
        "ended_ms", "When a later word of an operator ended it; null: none did, so it ends at `until_ms`", nullable=True
    ),
    text("actor", "The operator who paused"),
    text("reason", "Why, in the operator's words"),
    text("action_id", "The action that paused, as `event_id` in `actions`"),
    text("ended_by", "The operator who ended it; empty: none did"),
    *proof_columns(),
    Index(None, "ended_ms"),
    comment="Each pause of a destination, by `destinations.controls`. The proof is that of the record that began it",
)
