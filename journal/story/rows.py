"""Rows from which the story of an order is told: those of the journal that name it, and what is known of its
destinations and of the orders role now. Members have the names of the tables' columns (docs/journal-tables.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from topics.records.keys import unescape
from topics.values import Value


class OrderRow(Value, frozen=True, kw_only=True):
    order_key: str
    received_ms: int
    kind: str
    channel: str
    code: str
    state: str
    state_since_ms: int
    is_open: bool
    location: str | None
    due_ms: int | None
    forward_code: str | None
    units: int
    units_open: int
    stuck_step: str | None
    stuck_since_ms: int | None
    partition: int
    record_offset: int


class FactRow(Value, frozen=True, kw_only=True):
    partition: int
    record_offset: int
    sequence: int
    name: str
    at_ms: int
    state: str
    event_id: str
    data: str


class RequestRow(Value, frozen=True, kw_only=True):
    request_id: str
    destination: str
    lane: str
    sequence: int
    created_ms: int
    written_ms: int


class AttemptRow(Value, frozen=True, kw_only=True):
    request_id: str
    number: int
    destination: str
    touchpoint: str
    result: str
    at_ms: int
    took_us: int
    status: int | None
    error: str
    partition: int
    record_offset: int


class WaitingRow(Value, frozen=True, kw_only=True):
    lane: str
    request_id: str
    destination: str
    shard: int
    touchpoint: str
    position: int
    queued_ms: int
    next_ms: int
    attempts: int
    last_ms: int | None
    last_status: int | None
    last_error: str
    is_held: bool
    is_redriven: bool = False
    is_hold: bool = False
    partition: int
    record_offset: int


class DeadLetterRow(Value, frozen=True, kw_only=True):
    request_id: str
    destination: str
    touchpoint: str
    kind: str
    died_ms: int
    attempts: int
    status: int | None
    error: str
    message: str
    holds_lane: bool
    concluded: str | None
    concluded_ms: int | None
    partition: int
    record_offset: int


class RefusedCallRow(Value, frozen=True, kw_only=True):
    number: int
    touchpoint: str
    code: str
    reason: str
    status: int | None
    calls: int
    first_ms: int
    last_ms: int
    event_id: str
    partition: int
    record_offset: int


class ActionRow(Value, frozen=True, kw_only=True):
    topic: str
    at_ms: int
    action: str
    actor: str
    reason: str
    partition: int
    record_offset: int


class Pause(Value, frozen=True, kw_only=True):
    """An operator paused a destination. `until_ms`: its planned end; `ended_ms`: when it ended; None: it lasts."""

    destination: str
    since_ms: int
    until_ms: int | None
    ended_ms: int | None
    actor: str
    reason: str
    topic: str
    partition: int
    record_offset: int


class Down(Value, frozen=True, kw_only=True):
    """A destination was down: its breaker was open, or all its attempts failed. `end_ms` None: it is down now. The
    proof is the first attempt that failed."""

    destination: str
    begin_ms: int
    end_ms: int | None
    error: str
    partition: int
    record_offset: int


class Quiet(Value, frozen=True, kw_only=True):
    """A shard of a destination asked for quiet (a row of `gates` whose scope is the shard). `since_ms`: of the answer
    that asked, the last throttled attempt there; 0: not known."""

    destination: str
    shard: int
    since_ms: int
    opens_ms: int
    partition: int
    record_offset: int


class Turn(Value, frozen=True, kw_only=True):
    """The place of a waiting request among those of its destination that may leave. `ahead`: before it; `per_s`: how
    many leave in a second by the destination's budget; 0: it has none. `is_more`: there are more than were counted."""

    request_id: str
    ahead: int
    per_s: float
    is_more: bool = False


class Lag(Value, frozen=True, kw_only=True):
    """How far the orders role is in the order's partition of `orders.commands`. `next_offset`: of the first command
    that it has not decided; `oldest_ms`: that one's time."""

    partition: int
    next_offset: int
    end_offset: int
    oldest_ms: int


class Rows(Value, frozen=True, kw_only=True):
    """Rows are in any sequence. `waiting` has the requests of the order alone."""

    order: OrderRow
    facts: Sequence[FactRow] = ()
    requests: Sequence[RequestRow] = ()
    attempts: Sequence[AttemptRow] = ()
    waiting: Sequence[WaitingRow] = ()
    dead_letters: Sequence[DeadLetterRow] = ()
    refused_calls: Sequence[RefusedCallRow] = ()
    actions: Sequence[ActionRow] = ()
    pauses: Sequence[Pause] = ()
    downs: Sequence[Down] = ()
    quiets: Sequence[Quiet] = ()
    turns: Sequence[Turn] = ()
    lag: Lag | None = None


UNKNOWN = "UNKNOWN"
"""The state of an order of which no fact is known: nothing came, or what came is not decided yet."""


def nothing_known(order_key: str, partition: int, now_ms: int) -> OrderRow:
    """An order of which there is no row. `partition`: where its facts would be."""
    channel, _, rest = order_key.partition("|")
    kind, _, code = rest.partition("|")
    is_other = kind in ("return", "manifest") and bool(code)
    return OrderRow(
        order_key=order_key,
        received_ms=now_ms,
        kind=kind if is_other else "order",
        channel=unescape(channel),
        code=unescape(code if is_other else rest),
        state=UNKNOWN,
        state_since_ms=now_ms,
        is_open=True,
        location=None,
        due_ms=None,
        forward_code=None,
        units=0,
        units_open=0,
        stuck_step=None,
        stuck_since_ms=None,
        partition=partition,
        record_offset=-1,
    )


Row = TypeVar("Row", bound=Value)


def row_of(kind: type[Row], columns: Mapping[Any, Any]) -> Row:
    """A row of a table as the story takes it: those of its columns that the story is told from."""
    return kind(**{name: columns[name] for name in kind.__struct_fields__})
