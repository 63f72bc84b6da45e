"""Requests, their attempts and bodies, those that wait, those that were given up, and the destinations' gates."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Index, Table
from sqlalchemy import text as condition

from journal.tables.base import (
    METADATA,
    MONTHLY,
    content,
    flag,
    index_of_retention,
    number,
    order_columns,
    proof_columns,
    small,
    text,
)

HAS_NO_END: Final = condition("concluded IS NULL")
"""The condition of dead letters that still wait for somebody, as an index has it."""
NEEDS_A_PERSON: Final = condition("concluded IS NULL AND touchpoint <> 'fact'")
"""The condition of those of them that are of orders, not of a subscriber, as an index has it."""


def _where(rows: Any) -> dict[str, Any]:
    """Options of an index that has some rows only."""
    return {"postgresql_where": rows, "sqlite_where": rows}


REQUESTS = Table(
    "requests",
    METADATA,
    *order_columns(),
    text("request_id", "Its id, the `Sluice-Delivery-Id` of its attempts", primary_key=True),
    text("channel", "The channel"),
    text("subject", "The code that it is about"),
    text("destination", "`increff`, `channel:NAME` or `subscription:ID`"),
    small("shard", "The shard of the destination"),
    text("touchpoint", "The call, as in docs/touchpoints.md; `fact`: a fact for a subscriber"),
    text("lane", "Its lane: the requests of one lane leave one after the other"),
    number("sequence", "Its number among the order's requests to this destination; 0: none"),
    number("created_ms", "When what caused it came: the time of that record"),
    number("written_ms", "When it was written: its own record's time"),
    flag("is_relay", "Whether a caller waits for its answer"),
    number("deadline_ms", "Until when the caller waits", nullable=True),
    flag("is_hold", "Whether it puts its order on hold or releases it"),
    flag("is_again", "Whether an earlier request for the same may have been carried out"),
    text("takes_place_of", "The refused request that it repeats; empty: none"),
    number("epoch", "The owner that made it; 0: a gateway"),
    number("command_offset", "Offset on `orders.commands` of the command that caused it; -1: a gateway made it"),
    small("body_bytes", "Bytes of its body, which is in `bodies`"),
    *proof_columns(),
    index_of_retention(),
    Index(None, "written_ms", "request_id"),
    Index(None, "destination", "written_ms"),
    comment="Each request on `deliveries.requests` that counts, whether it has left or not",
    **MONTHLY,
)

ATTEMPTS = Table(
    "attempts",
    METADATA,
    *order_columns(),
    text("event_id", "`ce_id`: the request's id and the attempt's number", primary_key=True),
    text("request_id", "The request"),
    small("number", "Counts the attempts of the request, from 1"),
    text("channel", "The channel"),
    text("destination", "As in `requests`"),
    text("touchpoint", "As in `requests`"),
    text("lane", "As in `requests`"),
    number("sequence", "As in `requests`"),
    number("previous_sequence", "That of the request before it in the lane; 0: none is known"),
    text(
        "result", "`delivered`, `refused`, `retry`, `throttled`, ..: as in docs/responses.md. `superseded`: no attempt"
    ),
    text("far_side", "`http`, `kafka` or `self`"),
    number("at_ms", "When it was sent"),
    number("took_us", "Microseconds until the answer, or until there was none"),
    small("status", "HTTP status; null: no answer", nullable=True),
    text("error", "Why there was no answer, or none that can be used; empty: there was"),
    *proof_columns(),
    index_of_retention(),
    Index(None, "destination", "at_ms"),
    comment="Each attempt on `deliveries.attempts` that counts",
    **MONTHLY,
)

BODIES = Table(
    "bodies",
    METADATA,
    *order_columns(),
    text("kind", "`request`: of a request or a dead letter; `rejected`: of a rejected record", primary_key=True),
    text("id", "The request's id; of a rejected record, `topic|partition|offset` of the original", primary_key=True),
    text("form", "`plain`; `encrypted`; `reduced`: without members that may name people"),
    content("body", "The body's bytes, or what of them is kept; encrypted: as journal/rows/keeper.py says"),
    small("bytes", "Bytes of the original body"),
    index_of_retention(),
    comment="Bodies, apart from what lists show. What of them is kept is `SLUICE_JOURNAL_PERSONAL`'s choice",
    **MONTHLY,
)

WAITING = Table(
    "waiting",
    METADATA,
    text("lane", "Its lane", primary_key=True),
    text("request_id", "The request", primary_key=True),
    number("received_ms", "As in `orders`"),
    text("order_key", "As in `orders`"),
    text("channel", "The channel"),
    text("subject", "The code that it is about"),
    text("destination", "As in `requests`"),
    small("shard", "The shard of the destination"),
    text("touchpoint", "As in `requests`"),
    number("sequence", "As in `requests`"),
    number("position", "Its place in the lane: the lowest goes first"),
    number("created_ms", "When it was made"),
    number("queued_ms", "When delivery took it"),
    number("next_ms", "When its next attempt is due; 0: at once"),
    small("attempts", "Attempts so far"),
    small("failures", "Those after which its pauses grow"),
    number("first_ms", "Its first attempt; 0: none yet"),
    number("failed_ms", "When it first failed; 0: it has not"),
    number("last_ms", "Its last attempt; null: none yet", nullable=True),
    small("last_status", "HTTP status of its last attempt", nullable=True),
    text("last_error", "Why its last attempt had no usable answer; empty: it had one"),
    text("message", "The far side's last words, as `SLUICE_JOURNAL_PERSONAL` lets them be kept"),
    flag("is_held", "Given up, and its lane waits for an operator"),
    flag("is_redriven", "An operator sends it again"),
    flag("is_in_doubt", "Whether an attempt may have been carried out"),
    flag("is_relay", "Whether a caller waits for its answer"),
    flag("is_hold", "Whether it puts its order on hold or releases it"),
    number("deadline_ms", "Until when the caller waits", nullable=True),
    text("redrive", "The redrive that sends it again; empty: none"),
    *proof_columns(),
    Index(None, "order_key"),
    Index(None, "destination", "queued_ms"),
    Index(None, "destination", "next_ms"),
    Index(None, "queued_ms", "request_id"),
    comment="Each request that waits to be delivered: `deliveries.outbox` as it is now",
)

GATES = Table(
    "gates",
    METADATA,
    text("destination", "As in `requests`", primary_key=True),
    text("scope", "The shard of the destination, or `shard|stock`, `shard|stock|location`", primary_key=True),
    number("opens_ms", "Nothing is sent before, because the far side asked for quiet; 0: it never did"),
    *proof_columns(),
    comment="When each destination may be sent to again, by `deliveries.permits`. The latest of its rows counts",
)

DEAD_LETTERS = Table(
    "dead_letters",
    METADATA,
    text("request_id", "The request", primary_key=True),
    number("received_ms", "As in `orders`"),
    text("order_key", "As in `orders`; empty: only its end is known"),
    text("channel", "The channel"),
    text("subject", "The code that it is about"),
    text("destination", "As in `requests`"),
    small("shard", "The shard of the destination"),
    text("touchpoint", "As in `requests`"),
    text("lane", "Its lane"),
    text("kind", "`dead`: given up, may be redriven; `refused`: its order goes by that; empty: only its end is known"),
    number("died_ms", "When it was given up or refused; 0: only its end is known"),
    small("attempts", "Attempts by then"),
    number("first_ms", "Its first attempt; 0: there was none"),
    number("last_ms", "Its last attempt", nullable=True),
    small("status", "HTTP status of its last attempt", nullable=True),
    text("error", "Why its last attempt had no usable answer"),
    text("message", "The far side's words, as `SLUICE_JOURNAL_PERSONAL` lets them be kept"),
    flag("holds_lane", "Whether its lane waits for an operator"),
    text("concluded", "How it ended: `delivered`, `skipped`, `resubmitted`, `not-taken`; null: not yet", nullable=True),
    number("concluded_ms", "When it ended", nullable=True),
    text("concluded_message", "What was said of its end"),
    text("redrive", "The last redrive that sent it; empty: none"),
    *proof_columns(),
    Index(None, "order_key"),
    Index(None, "destination", "touchpoint", "died_ms"),
    Index(None, "died_ms"),
    Index(None, "died_ms", "request_id", **_where(HAS_NO_END)),
    Index("dead_letters_open", "kind", "died_ms", "order_key", **_where(NEEDS_A_PERSON)),
    comment="Each request on `deliveries.dead`: how it was given up or refused last, and how it ended. The proof is "
    "that of its last record",
)
