"""The time account of histories that are told in full: each stretch is where an operator expects it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Table

from journal.story import rows as row_kinds
from journal.story.account import PARTS
from journal.story.rows import Down, Pause, Quiet, Rows, row_of
from journal.tables.catalogue import TABLES
from tests.support.journal.story import NOW_MS, RECEIVED_MS, attempt, fact, letter, order, request, story_of, waiting
from topics.values import Value

SENT = {"result": "delivered", "status": 200}


def parts(rows: Rows, now_ms: int = NOW_MS) -> dict[str, int]:
    """The parts that are not empty."""
    return {part: ms for part, ms in story_of(rows, now_ms).account.parts.items() if ms}


def test_an_order_that_goes_well() -> None:
    """Forty milliseconds for its decision, the rest of a second for its turn; then it is Increff's."""
    asked = request(written_ms=RECEIVED_MS + 40)
    rows = Rows(order=order(state="SUBMITTED"), requests=[asked], attempts=[attempt("r-1", 1, 1_000, **SENT)])
    assert parts(rows) == {"deciding": 40, "budget": 960, "far-side": 599_000}


def test_failures_a_retry_after_and_an_outage() -> None:
    made = [
        attempt("r-1", 1, 1_000),
        attempt("r-1", 2, 11_100, status=429, result="throttled"),
        attempt("r-1", 3, 41_200, status=None, error="connection refused"),
        attempt("r-1", 4, 101_300, **SENT),
    ]
    down = Down(
        destination="increff",
        begin_ms=RECEIVED_MS + 41_200,
        end_ms=RECEIVED_MS + 91_300,
        error="refused",
        partition=3,
        record_offset=33,
    )
    rows = Rows(order=order(state="SUBMITTED"), requests=[request()], attempts=made, downs=[down])
    assert parts(rows) == {
        "budget": 1_000,
        "back-off": 10_000 + 10_000,
        "quiet": 30_000,
        "down": 50_000,
        "far-side": 600_000 - 101_000,
    }


def test_a_lane_that_was_held_and_then_retried() -> None:
    rows = Rows(
        order=order(state="SUBMITTED"),
        requests=[
            request(),
            request("r-2", sequence=2, created_ms=RECEIVED_MS + 5),
        ],
        attempts=[
            attempt("r-1", 1, 0),
            attempt("r-1", 2, 400_000, **SENT),
            attempt("r-2", 1, 402_100, **SENT),
        ],
        dead_letters=[
            letter(
                holds_lane=True,
                died_ms=RECEIVED_MS + 100,
                concluded="delivered",
                concluded_ms=RECEIVED_MS + 400_100,
            )
        ],
    )
    assert parts(rows) == {"operator": 399_900, "budget": 2_000, "far-side": 600_000 - 401_900}


def test_a_lane_that_waits_for_an_operator_now() -> None:
    rows = Rows(
        order=order(),
        requests=[request()],
        attempts=[attempt("r-1", 1, 0)],
        waiting=[waiting(is_held=True, attempts=1, last_ms=RECEIVED_MS)],
        dead_letters=[letter(holds_lane=True, died_ms=RECEIVED_MS + 100)],
    )
    assert parts(rows) == {"operator": 599_900, "far-side": 100}


def test_what_waits_now_counts_until_now() -> None:
    pause = Pause(
        destination="increff",
        since_ms=NOW_MS - 100_000,
        until_ms=None,
        ended_ms=NOW_MS - 40_000,
        actor="",
        reason="",
        topic="operators.events",
        partition=0,
        record_offset=1,
    )
    quiet = Quiet(
        destination="increff", shard=0, since_ms=NOW_MS - 50_000, opens_ms=NOW_MS + 1, partition=0, record_offset=1
    )
    rows = Rows(order=order(), requests=[request()], waiting=[waiting()], pauses=[pause], quiets=[quiet])
    assert parts(rows) == {"budget": 500_000, "operator": 60_000, "quiet": 40_000}
    spans = story_of(rows).account.spans
    assert [span.part for span in spans] == ["budget", "operator", "quiet"]


def test_a_hold_that_ended_and_one_that_lasts() -> None:
    rows = Rows(
        order=order(state="HELD"),
        facts=[
            fact(1, "order-created", 0, onHold=False),
            fact(2, "order-held", 10_000, onHold=True),
            fact(3, "order-released", 30_000, onHold=False),
            fact(4, "order-held", 590_000, onHold=True),
        ],
    )
    assert parts(rows) == {"hold": 30_000, "far-side": 570_000}
    crossed = [*rows.facts[:2], fact(3, "hold-crossed", 15_000)]
    assert parts(replace(rows, facts=crossed)) == {"hold": 5_000, "far-side": 595_000}


def test_an_order_that_was_refused_waits_for_a_person() -> None:
    rejected = [fact(1, "order-created", 0), fact(2, "order-rejected", 1_000, status=400)]
    row = order(state="REJECTED", is_open=False, state_since_ms=RECEIVED_MS + 1_000)
    assert parts(Rows(order=row, facts=rejected)) == {"operator": 599_000, "far-side": 1_000}
    again = [*rejected, fact(3, "request-resubmitted", 301_000)]
    assert parts(Rows(order=order(), facts=again)) == {"operator": 300_000, "far-side": 300_000}


def test_a_manifest_that_was_refused_waits_for_a_person_too() -> None:
    refused = [fact(1, "manifest-refused", 1_000, status=400)]
    row = order(kind="manifest", state="REFUSED", is_open=False, state_since_ms=RECEIVED_MS + 1_000)
    assert parts(Rows(order=row, facts=refused)) == {"operator": 599_000, "far-side": 1_000}
    made = [*refused, fact(2, "manifest-created", 301_000)]
    row = order(kind="manifest", state="MANIFESTED", is_open=False, state_since_ms=RECEIVED_MS + 301_000)
    assert parts(Rows(order=row, facts=made)) == {"operator": 300_000, "far-side": 1_000}


def test_a_life_ends_with_the_order() -> None:
    row = order(state="CANCELLED", is_open=False, state_since_ms=RECEIVED_MS + 50_000)
    late = [attempt("r-1", 1, 60_000, **SENT)]
    assert parts(Rows(order=row)) == {"far-side": 50_000}
    assert story_of(Rows(order=row, attempts=late)).account.whole_ms == 60_100


def test_a_clock_that_is_behind_makes_no_negative_time() -> None:
    account = story_of(Rows(order=order(), requests=[request()]), RECEIVED_MS - 5_000).account
    assert (account.whole_ms, account.spans, set(account.parts.values())) == (0, (), {0})
    assert list(account.parts) == list(PARTS)


KINDS: dict[str, type[Value]] = {
    "orders": row_kinds.OrderRow,
    "facts": row_kinds.FactRow,
    "requests": row_kinds.RequestRow,
    "attempts": row_kinds.AttemptRow,
    "waiting": row_kinds.WaitingRow,
    "dead_letters": row_kinds.DeadLetterRow,
    "refused_calls": row_kinds.RefusedCallRow,
    "actions": row_kinds.ActionRow,
}


@pytest.mark.parametrize("name", KINDS)
def test_a_row_is_made_of_its_tables_columns(name: str) -> None:
    (found,) = [table for table in TABLES if isinstance(table, Table) and table.name == name]
    columns: dict[str, Any] = {column.name: column.name for column in found.columns}
    made = row_of(KINDS[name], columns)
    assert all(getattr(made, member) == member for member in KINDS[name].__struct_fields__)


def test_a_quiet_that_began_at_a_time_that_is_not_known_takes_nothing() -> None:
    quiet = Quiet(destination="increff", shard=0, since_ms=0, opens_ms=NOW_MS + 9, partition=0, record_offset=1)
    rows = Rows(order=order(), requests=[request()], waiting=[waiting()], quiets=[quiet])
    assert parts(rows) == {"budget": 600_000}
    wait = story_of(rows).wait
    assert wait is not None
    assert (wait.cause, wait.since_ms) == ("quiet", RECEIVED_MS + 10)


def test_a_letter_of_which_only_the_end_is_known_takes_nothing() -> None:
    ended = letter(kind="", holds_lane=True, died_ms=0, concluded="skipped", concluded_ms=RECEIVED_MS + 5_000)
    rows = Rows(order=order(state="SUBMITTED"), requests=[request()], dead_letters=[ended])
    assert parts(rows) == {"budget": 5_000, "far-side": 595_000}
