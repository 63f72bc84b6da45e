"""Rows of the journal for stories of orders: an order in a state, and what is wanted beside it."""

from __future__ import annotations

from typing import Any

import orjson

from journal.story.history import told
from journal.story.rows import (
    AttemptRow,
    DeadLetterRow,
    FactRow,
    OrderRow,
    RequestRow,
    Rows,
    WaitingRow,
)
from journal.story.story import Story, story

RECEIVED_MS = 1_764_500_000_000
NOW_MS = RECEIVED_MS + 600_000
ORDER = {
    "order_key": "demo|O-1",
    "received_ms": RECEIVED_MS,
    "kind": "order",
    "channel": "demo",
    "code": "O-1",
    "state": "RECEIVED",
    "state_since_ms": RECEIVED_MS,
    "is_open": True,
    "location": "DXB-WH-01",
    "due_ms": None,
    "forward_code": None,
    "units": 3,
    "units_open": 3,
    "stuck_step": None,
    "stuck_since_ms": None,
    "partition": 3,
    "record_offset": 100,
}


def order(**changes: Any) -> OrderRow:
    return OrderRow(**{**ORDER, **changes})


def fact(sequence: int, name: str, after_ms: int, **members: Any) -> FactRow:
    """A fact so long after the order came."""
    event = members.pop("event_id", f"e-{sequence}")
    data = orjson.dumps({"sequence": sequence, **members}).decode()
    return FactRow(
        partition=3,
        record_offset=100 + sequence,
        sequence=sequence,
        name=name,
        at_ms=RECEIVED_MS + after_ms,
        state=str(members.get("state", "")),
        event_id=f"{event}.f",
        data=data,
    )


def waiting(request: str = "r-1", **changes: Any) -> WaitingRow:
    row = {
        "lane": "increff|demo|O-1",
        "request_id": request,
        "destination": "increff",
        "shard": 0,
        "touchpoint": "create-outward-order",
        "position": 1,
        "queued_ms": RECEIVED_MS + 10,
        "next_ms": 0,
        "attempts": 0,
        "last_ms": None,
        "last_status": None,
        "last_error": "",
        "is_held": False,
        "partition": 3,
        "record_offset": 7,
    }
    return WaitingRow(**{**row, **changes})


def request(name: str = "r-1", **changes: Any) -> RequestRow:
    row = {
        "request_id": name,
        "destination": "increff",
        "lane": "increff|demo|O-1",
        "sequence": 1,
        "created_ms": RECEIVED_MS,
        "written_ms": RECEIVED_MS,
    }
    return RequestRow(**{**row, **changes})


def attempt(name: str, number: int, at_ms: int, **changes: Any) -> AttemptRow:
    row = {
        "request_id": name,
        "number": number,
        "destination": "increff",
        "touchpoint": "create-outward-order",
        "result": "retry",
        "at_ms": RECEIVED_MS + at_ms,
        "took_us": 100_000,
        "status": 503,
        "error": "",
        "partition": 3,
        "record_offset": 30 + number,
    }
    return AttemptRow(**{**row, **changes})


def letter(name: str = "r-1", **changes: Any) -> DeadLetterRow:
    row = {
        "request_id": name,
        "destination": "increff",
        "touchpoint": "create-outward-order",
        "kind": "dead",
        "died_ms": RECEIVED_MS + 300_000,
        "attempts": 5,
        "status": 503,
        "error": "",
        "message": "",
        "holds_lane": False,
        "concluded": None,
        "concluded_ms": None,
        "partition": 3,
        "record_offset": 9,
    }
    return DeadLetterRow(**{**row, **changes})


def story_of(rows: Rows, now_ms: int = NOW_MS) -> Story:
    found = story(rows, now_ms)
    assert sum(found.account.parts.values()) == found.account.whole_ms
    assert [one.row.sequence for one in told(rows.facts)] == sorted(row.sequence for row in rows.facts)
    return found
