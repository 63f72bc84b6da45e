"""Whatever the rows of an order are, its time account adds up, and each request waits for one cause."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from journal.story.account import PARTS
from journal.story.causes import RANK
from journal.story.rows import Down, FactRow, Lag, Pause, Quiet, Rows, Turn
from tests.support.journal.story import RECEIVED_MS, attempt, fact, letter, order, request, story_of, waiting

DESTINATIONS = ("increff", "channel:demo", "subscription:s")
AFTER = st.integers(-100_000, 2_000_000)
"""Milliseconds after the order came: clocks are apart, and records come late."""
TIME = AFTER.map(lambda after: RECEIVED_MS + after)
LATER = st.none() | TIME
NAMES = st.sampled_from([f"r-{number}" for number in range(5)])
STATES = st.sampled_from(
    [
        *("EXPECTED", "RECEIVED", "HELD", "SUBMITTED", "REJECTED", "ACKNOWLEDGED", "PACKED", "HANDED_OVER"),
        *("DELIVERED", "CANCELLED", "ASKED", "A_STATE_OF_TOMORROW"),
    ]
)
FACTS = st.sampled_from(
    [
        *("order-created", "order-held", "order-released", "hold-crossed", "order-rejected", "order-revived"),
        *("request-resubmitted", "event-parked", "event-expired", "order-stuck", "shipment-packed", "a-new-fact"),
    ]
)
PLACE = {"partition": 3, "record_offset": 1}


@st.composite
def told_facts(draw: st.DrawFn) -> list[FactRow]:
    found = []
    for sequence in range(1, draw(st.integers(0, 6)) + 1):
        members: dict[str, Any] = {"eventId": "x", "untilMs": draw(TIME), "shipmentId": 1, "limitMs": 5}
        members["onHold"] = draw(st.sampled_from([True, False, None]))
        found.append(fact(sequence, draw(FACTS), draw(AFTER), **members))
    return found


@st.composite
def histories(draw: st.DrawFn) -> Rows:
    names = draw(st.lists(NAMES, unique=True))
    where = {name: draw(st.sampled_from(DESTINATIONS)) for name in names}
    lanes = {name: f"{where[name]}|{draw(st.integers(0, 1))}" for name in names}

    def of(name: str) -> dict[str, Any]:
        return {"destination": where[name], "lane": lanes[name]}

    requests = [
        request(name, **of(name), created_ms=draw(TIME), written_ms=draw(TIME), sequence=draw(st.integers(0, 3)))
        for name in names
    ]
    attempts = [
        attempt(
            name,
            number,
            draw(AFTER),
            destination=where[name],
            result=draw(st.sampled_from(["delivered", "retry", "throttled", "refused", "superseded", "gone"])),
            took_us=draw(st.integers(-1_000, 90_000_000)),
            status=draw(st.sampled_from([None, 200, 503])),
        )
        for name in names
        for number in range(1, draw(st.integers(0, 4)) + 1)
    ]
    held = [
        waiting(
            name,
            **of(name),
            position=draw(st.integers(0, 3)),
            queued_ms=draw(TIME),
            next_ms=draw(st.just(0) | TIME),
            attempts=draw(st.integers(0, 3)),
            last_ms=draw(LATER),
            is_held=draw(st.booleans()),
        )
        for name in names
        if draw(st.booleans())
    ]
    letters = [
        letter(
            name,
            destination=where[name],
            kind=draw(st.sampled_from(["dead", "refused", ""])),
            died_ms=draw(TIME),
            holds_lane=draw(st.booleans()),
            concluded=draw(st.sampled_from([None, "delivered"])),
            concluded_ms=draw(LATER),
        )
        for name in names
        if draw(st.booleans())
    ]
    destination = st.sampled_from(DESTINATIONS)
    pauses = [
        Pause(
            destination=draw(destination),
            since_ms=draw(TIME),
            until_ms=draw(LATER),
            ended_ms=draw(LATER),
            actor="a",
            reason="",
            topic="t",
            **PLACE,
        )
        for _ in range(draw(st.integers(0, 2)))
    ]
    downs = [
        Down(destination=draw(destination), begin_ms=draw(TIME), end_ms=draw(LATER), error="", **PLACE)
        for _ in range(draw(st.integers(0, 2)))
    ]
    quiets = [
        Quiet(destination=draw(destination), shard=0, since_ms=draw(TIME), opens_ms=draw(TIME), **PLACE)
        for _ in range(draw(st.integers(0, 2)))
    ]
    turns = [Turn(request_id=name, ahead=3, per_s=draw(st.sampled_from([0.0, 0.5]))) for name in names]
    lag = draw(
        st.none() | st.builds(Lag, partition=st.just(3), next_offset=st.just(1), end_offset=st.just(2), oldest_ms=TIME)
    )
    row = order(
        kind=draw(st.sampled_from(["order", "return", "manifest"])),
        state=draw(STATES),
        state_since_ms=draw(TIME),
        is_open=draw(st.booleans()),
        due_ms=draw(LATER),
        stuck_step=draw(st.sampled_from([None, "pack", "dispatch"])),
        stuck_since_ms=draw(LATER),
    )
    return Rows(
        order=row,
        facts=draw(told_facts()),
        requests=requests,
        attempts=attempts,
        waiting=held,
        dead_letters=letters,
        pauses=pauses,
        downs=downs,
        quiets=quiets,
        turns=turns,
        lag=lag,
    )


@given(histories(), TIME)
def test_the_parts_of_a_life_are_the_whole_of_it(rows: Rows, now_ms: int) -> None:
    account = story_of(rows, now_ms).account
    assert sum(account.parts.values()) == account.whole_ms == account.end_ms - account.begin_ms
    assert list(account.parts) == list(PARTS)
    assert all(ms >= 0 for ms in account.parts.values())
    at_ms, part = account.begin_ms, ""
    for span in account.spans:
        assert span.begin_ms == at_ms < span.end_ms
        assert span.part != part, "neighbours of one part are one span"
        at_ms, part = span.end_ms, span.part
    assert at_ms == account.end_ms


@given(histories(), TIME)
def test_each_request_waits_for_one_cause_and_the_first_counts(rows: Rows, now_ms: int) -> None:
    found = story_of(rows, now_ms)
    of_requests = [(wait.request_id, wait.destination) for wait in found.waits if wait.request_id]
    assert len(of_requests) == len(set(of_requests))
    assert {row.request_id for row in rows.waiting if not row.destination.startswith("subscription:")} <= {
        request for request, _ in of_requests
    }
    ranks = [RANK[wait.cause] for wait in found.waits]
    assert ranks == sorted(ranks)
    assert found.wait == (found.waits[0] if found.waits else None)
    for wait in found.waits:
        assert wait.sentence
        assert wait.actions
        assert wait.proof.what
        assert found.headline.startswith(("Order", "Return", "Manifest"))


@given(histories(), TIME)
def test_a_story_is_the_same_in_whatever_sequence_the_rows_come(rows: Rows, now_ms: int) -> None:
    turned = replace(
        rows,
        facts=rows.facts[::-1],
        requests=rows.requests[::-1],
        attempts=rows.attempts[::-1],
        waiting=rows.waiting[::-1],
        dead_letters=rows.dead_letters[::-1],
        turns=rows.turns[::-1],
    )
    one, other = story_of(turned, now_ms), story_of(rows, now_ms)
    assert (one.account, one.waits, one.shipments) == (other.account, other.waits, other.shipments)
