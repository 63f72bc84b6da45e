"""`story(rows, now)`: what an order is, what it waits for, where its time went, and everything that happened. Pure.

API, command line and console are to show this, so that all say the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from journal.story.account import Account, account_of
from journal.story.causes import Proof, Wait, proof_of
from journal.story.history import Line, Shipment, Told, is_held, lines_of, shipments_of, told
from journal.story.rows import UNKNOWN, OrderRow, Rows
from journal.story.waits import waits_of
from journal.story.words import answer, duration, far_side, moment, plural
from topics.values import Value


class RefusedCall(Value, frozen=True, kw_only=True):
    touchpoint: str
    status: int | None
    code: str
    reason: str
    calls: int
    first_ms: int
    last_ms: int
    event_id: str


class Moment(Value, frozen=True, kw_only=True):
    """Something that happened. `kind`: fact, attempt, given-up, refused-call or action."""

    at_ms: int
    kind: str
    name: str
    text: str
    proof: Proof


class Story(Value, frozen=True, kw_only=True):
    """`headline`: the story in a sentence or two. `wait`: what the order waits for, None: for nothing; `waits`: all
    waits, the first of which is `wait`."""

    key: str
    kind: str
    channel: str
    code: str
    state: str
    state_since_ms: int
    received_ms: int
    due_ms: int | None
    is_open: bool
    on_hold: bool
    location: str | None
    headline: str
    wait: Wait | None
    waits: tuple[Wait, ...]
    lines: tuple[Line, ...]
    shipments: tuple[Shipment, ...]
    refused_calls: tuple[RefusedCall, ...]
    account: Account
    moments: tuple[Moment, ...]


def story(rows: Rows, now_ms: int) -> Story:
    """The story of an order, return or manifest at `now_ms`."""
    order, facts = rows.order, told(rows.facts)
    waits = waits_of(rows, facts, now_ms)
    wait = waits[0] if waits else None
    return Story(
        key=order.order_key,
        kind=order.kind,
        channel=order.channel,
        code=order.code,
        state=order.state,
        state_since_ms=order.state_since_ms,
        received_ms=order.received_ms,
        due_ms=order.due_ms,
        is_open=order.is_open,
        on_hold=order.is_open and is_held(facts, order.state),
        location=order.location,
        headline=_headline(order, wait, now_ms),
        wait=wait,
        waits=waits,
        lines=lines_of(facts),
        shipments=shipments_of(facts),
        refused_calls=_refused_calls(rows),
        account=account_of(rows, facts, now_ms, waits=wait is not None),
        moments=tuple(sorted(_moments(rows, facts), key=lambda one: (one.at_ms, one.proof.topic, one.proof.offset))),
    )


def _headline(order: OrderRow, wait: Wait | None, now_ms: int) -> str:
    units = f", {plural(order.units_open, 'unit')} of {order.units} open" if order.units_open else ""
    if order.state == UNKNOWN and wait is None:
        return f"Nothing is known of {order.kind} {order.code} of {order.channel}."
    state = f"{order.kind.capitalize()} {order.code} of {order.channel} is {order.state}{units}."
    if wait is None:
        return f"{state} It waits for nothing since {moment(order.state_since_ms)}."
    return f"{state} {wait.sentence} (for {duration(now_ms - wait.since_ms)})"


def _refused_calls(rows: Rows) -> tuple[RefusedCall, ...]:
    return tuple(
        RefusedCall(
            touchpoint=row.touchpoint,
            status=row.status,
            code=row.code,
            reason=row.reason,
            calls=row.calls,
            first_ms=row.first_ms,
            last_ms=row.last_ms,
            event_id=row.event_id,
        )
        for row in sorted(rows.refused_calls, key=lambda row: row.number)
    )


def _moments(rows: Rows, facts: list[Told]) -> Iterator[Moment]:
    for fact in facts:
        state = f": {fact.row.state}" if fact.row.state else ""
        yield Moment(
            at_ms=fact.row.at_ms,
            kind="fact",
            name=fact.row.name,
            text=f"{fact.row.name}{state}",
            proof=proof_of("orders.events", fact.row, "the fact"),
        )
    for attempt in rows.attempts:
        took = f", in {attempt.took_us // 1_000} ms"
        yield Moment(
            at_ms=attempt.at_ms,
            kind="attempt",
            name=attempt.result,
            text=f"{attempt.touchpoint} to {far_side(attempt.destination)}, attempt {attempt.number}: "
            f"{attempt.result}, {answer(attempt.status, attempt.error)}{took}",
            proof=proof_of("deliveries.attempts", attempt, "the attempt"),
        )
    for letter in rows.dead_letters:
        what = "given up" if letter.kind == "dead" else "refused"
        end = f"; then {letter.concluded}" if letter.concluded else ""
        yield Moment(
            at_ms=letter.died_ms,
            kind="given-up",
            name=letter.kind,
            text=f"{letter.touchpoint} to {far_side(letter.destination)} {what}{end}",
            proof=proof_of("deliveries.dead", letter, "the dead letter"),
        )
    for call in rows.refused_calls:
        yield Moment(
            at_ms=call.last_ms,
            kind="refused-call",
            name=call.code,
            text=f"{call.touchpoint} refused with {call.code}: {call.reason}"
            + (f" ({call.calls} times)" if call.calls > 1 else ""),
            proof=proof_of("orders.refused", call, "the refused calls of the order"),
        )
    for action in rows.actions:
        yield Moment(
            at_ms=action.at_ms,
            kind="action",
            name=action.action,
            text=f"{action.action} by {action.actor or 'somebody'}" + (f": {action.reason}" if action.reason else ""),
            proof=proof_of(action.topic, action, "the action"),
        )
