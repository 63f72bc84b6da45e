"""The time account of an order: where its life went, in parts that add up to the whole. Pure.

Each moment belongs to one part: of those that hold it, to the first in PARTS. What none holds is the far side's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from journal.story.history import REJECTING, Told, holds_of
from journal.story.rows import AttemptRow, DeadLetterRow, RequestRow, Rows
from topics.records.keys import subscription_of
from topics.values import Value

OPERATOR: Final = "operator"
QUIET: Final = "quiet"
DOWN: Final = "down"
BACK_OFF: Final = "back-off"
BUDGET: Final = "budget"
DECIDING: Final = "deciding"
HOLD: Final = "hold"
FAR_SIDE: Final = "far-side"
PARTS: Final = {
    OPERATOR: "waited for an operator: a destination was paused, a lane was held, the order was refused",
    QUIET: "a far side had asked for quiet",
    DOWN: "a far side was down",
    BACK_OFF: "the pause after an attempt that failed",
    BUDGET: "a request waited for its turn",
    DECIDING: "a command waited for its decision, until its request was written",
    HOLD: "on hold by the marketplace",
    FAR_SIDE: "the other side worked on it: everything else",
}
"""Each part, and what it is."""

_GOES_ON = (
    "order-created",
    "order-revived",
    "order-cancelled",
    "order-forgotten",
    "request-resubmitted",
    "return-created",
    "return-revived",
    "manifest-created",
)
_THROTTLED = "throttled"
_FAILED = ("retry", _THROTTLED)


class Span(Value, frozen=True):
    """A stretch of an order's life that belongs to one part."""

    begin_ms: int
    end_ms: int
    part: str


class Account(Value, frozen=True, kw_only=True):
    """`parts`: milliseconds by part, which add up to `whole_ms`; `spans`: the same in sequence, without a gap."""

    begin_ms: int
    end_ms: int
    whole_ms: int
    parts: dict[str, int]
    spans: tuple[Span, ...]


def account_of(rows: Rows, facts: list[Told], now_ms: int, *, waits: bool) -> Account:
    """`waits`: whether the order still waits for something; else its life ended with its state."""
    order = rows.order
    begin_ms = order.received_ms
    end_ms = max(begin_ms, now_ms if waits or order.is_open else min(_end_ms(rows), now_ms))
    spans = tuple(_swept(_held(rows, facts, end_ms), begin_ms, end_ms))
    parts = dict.fromkeys(PARTS, 0)
    for span in spans:
        parts[span.part] += span.end_ms - span.begin_ms
    return Account(begin_ms=begin_ms, end_ms=end_ms, whole_ms=end_ms - begin_ms, parts=parts, spans=spans)


def _end_ms(rows: Rows) -> int:
    """When an order that is over came to its end: with its state, or with the last attempt of what still left."""
    attempts = [_ended_ms(one) for one in rows.attempts if subscription_of(one.destination) is None]
    return max([rows.order.state_since_ms, *attempts])


def _swept(held: Iterable[Span], begin_ms: int, end_ms: int) -> Iterator[Span]:
    """The life in spans of one part each."""
    moments: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for span in held:
        begin, end = max(span.begin_ms, begin_ms), min(span.end_ms, end_ms)
        if begin < end:
            moments[begin].append((span.part, 1))
            moments[end].append((span.part, -1))
    counts = dict.fromkeys(PARTS, 0)
    begun_ms, part = begin_ms, ""
    for moment_ms in sorted({begin_ms, *moments} - {end_ms}):
        for name, change in moments.get(moment_ms, ()):
            counts[name] += change
        following = _first(counts)
        if following == part:
            continue
        if part and moment_ms > begun_ms:
            yield Span(begun_ms, moment_ms, part)
        begun_ms, part = moment_ms, following
    if begun_ms < end_ms:
        yield Span(begun_ms, end_ms, part)


def _first(counts: dict[str, int]) -> str:
    return next((part for part in PARTS if counts[part]), FAR_SIDE)


def _held(rows: Rows, facts: list[Told], end_ms: int) -> Iterator[Span]:
    """Stretches with what holds them; they may overlap, and reach beyond the life."""
    for fact, ended_ms in holds_of(facts):
        yield Span(fact.row.at_ms, end_ms if ended_ms is None else ended_ms, HOLD)
    yield from _rejected(facts, end_ms)
    requests = _requests_of(rows)
    for request in requests:
        yield Span(request.created_ms, request.written_ms, DECIDING)
    yield from _lanes(rows, requests, end_ms)


def _rejected(facts: list[Told], end_ms: int) -> Iterator[Span]:
    begun_ms: int | None = None
    for fact in facts:
        if fact.row.name in REJECTING and begun_ms is None:
            begun_ms = fact.row.at_ms
        elif fact.row.name in _GOES_ON and begun_ms is not None:
            yield Span(begun_ms, fact.row.at_ms, OPERATOR)
            begun_ms = None
    if begun_ms is not None:
        yield Span(begun_ms, end_ms, OPERATOR)


def _requests_of(rows: Rows) -> list[RequestRow]:
    """Those to far sides, in the sequence in which they were made."""
    found = [one for one in rows.requests if subscription_of(one.destination) is None]
    return sorted(found, key=lambda one: (one.created_ms, one.sequence, one.request_id))


def _lanes(rows: Rows, requests: list[RequestRow], end_ms: int) -> Iterator[Span]:
    attempts: dict[str, list[AttemptRow]] = defaultdict(list)
    for attempt in rows.attempts:
        attempts[attempt.request_id].append(attempt)
    letters = {letter.request_id: letter for letter in rows.dead_letters}
    waiting = {row.request_id for row in rows.waiting}
    free_ms: dict[str, int] = {}
    for request in requests:
        made = sorted(attempts[request.request_id], key=lambda one: (one.at_ms, one.number))
        is_waiting = request.request_id in waiting
        left_ms = end_ms if is_waiting else _left_ms(request, made, letters.get(request.request_id))
        begin_ms = max(request.written_ms, free_ms.get(request.lane, 0))
        for gap in _gaps(made, letters.get(request.request_id), begin_ms, left_ms):
            yield gap
            yield from _overlaid(rows, request, gap)
        free_ms[request.lane] = max(left_ms, free_ms.get(request.lane, 0))


def _left_ms(request: RequestRow, made: list[AttemptRow], letter: DeadLetterRow | None) -> int:
    """When a request that waits no more left its lane."""
    times = [_ended_ms(one) for one in made]
    if letter is not None:
        times.append(letter.concluded_ms if letter.holds_lane and letter.concluded_ms is not None else letter.died_ms)
    return max(times, default=request.created_ms)


def _ended_ms(attempt: AttemptRow) -> int:
    return attempt.at_ms + max(attempt.took_us, 0) // 1_000


def _gaps(made: list[AttemptRow], letter: DeadLetterRow | None, begin_ms: int, left_ms: int) -> Iterator[Span]:
    """The times between which the request was sent: before its first attempt, and after each that failed."""
    died_ms = letter.died_ms or None if letter is not None and letter.holds_lane else None
    at_ms, part = begin_ms, BUDGET
    for attempt in made:
        yield from _until_died(at_ms, attempt.at_ms, part, died_ms)
        at_ms = _ended_ms(attempt)
        part = QUIET if attempt.result == _THROTTLED else BACK_OFF
    if not made or made[-1].result in _FAILED or died_ms is not None:
        yield from _until_died(at_ms, left_ms, part, died_ms)


def _until_died(begin_ms: int, end_ms: int, part: str, died_ms: int | None) -> Iterator[Span]:
    """A gap; from the moment at which the request was given up it is the operator's."""
    if died_ms is not None and died_ms < end_ms:
        yield Span(begin_ms, died_ms, part)
        yield Span(max(begin_ms, died_ms), end_ms, OPERATOR)
    else:
        yield Span(begin_ms, end_ms, part)


def _overlaid(rows: Rows, request: RequestRow, gap: Span) -> Iterator[Span]:
    """Parts of a gap in which the whole destination was not sent to."""
    destination = request.destination
    for pause in rows.pauses:
        if pause.destination == destination:
            yield from _common(gap, pause.since_ms, pause.ended_ms, OPERATOR)
    for quiet in rows.quiets:
        if quiet.destination == destination:
            yield from _common(gap, quiet.since_ms or quiet.opens_ms, quiet.opens_ms, QUIET)
    for down in rows.downs:
        if down.destination == destination:
            yield from _common(gap, down.begin_ms, down.end_ms, DOWN)


def _common(gap: Span, begin_ms: int, end_ms: int | None, part: str) -> Iterator[Span]:
    begin, end = max(gap.begin_ms, begin_ms), gap.end_ms if end_ms is None else min(gap.end_ms, end_ms)
    if begin < end:
        yield Span(begin, end, part)
