"""Each of the twelve causes has a told example: its sentence, its proof, its times and what may be done."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from msgspec.structs import replace

from journal.story.causes import CAUSES, PRECEDENCE, RANK
from journal.story.rows import Down, Lag, Pause, Quiet, Rows, Turn, nothing_known
from tests.support.journal.story import NOW_MS, RECEIVED_MS, attempt, fact, letter, order, request, story_of, waiting
from topics.records.keys import order_key

AT = "2025-11-30 10:5"
"""The beginning of moments in the examples."""
LAG = Lag(partition=3, next_offset=40, end_offset=1244, oldest_ms=NOW_MS - 60_000)
PAUSE = Pause(
    destination="increff",
    since_ms=NOW_MS - 120_000,
    until_ms=NOW_MS + 60_000,
    ended_ms=None,
    actor="alice",
    reason="they asked for it",
    topic="operators.events",
    partition=0,
    record_offset=12,
)
QUIET = Quiet(
    destination="increff", shard=0, since_ms=NOW_MS - 1_000, opens_ms=NOW_MS + 30_000, partition=3, record_offset=5
)
DOWN = Down(
    destination="increff",
    begin_ms=NOW_MS - 90_000,
    end_ms=None,
    error="connection refused",
    partition=3,
    record_offset=31,
)
TRIED = waiting(attempts=2, last_ms=NOW_MS - 5_000, last_status=503, next_ms=NOW_MS + 25_000)
HELD = waiting(is_held=True, attempts=5, last_ms=RECEIVED_MS + 299_000, last_status=503)
CREATED = fact(1, "order-created", 0, state="HELD", onHold=True)

EXAMPLES: dict[str, tuple[Rows, str, tuple[str, int, int], int, int | None, list[str]]] = {
    "role-behind": (
        Rows(order=order(), lag=LAG),
        (
            "The orders role is behind: 1204 commands of partition 3 are not decided, the first since "
            "2025-11-30 11:02:20Z (1 min). What came for this order since then is not told here."
        ),
        ("orders.commands", 3, 40),
        NOW_MS - 60_000,
        None,
        ["look-at-roles"],
    ),
    "early": (
        Rows(
            order=order(state="EXPECTED", units_open=0),
            facts=[fact(1, "event-parked", 0, eventId="x", event="handover", untilMs=NOW_MS + 9, event_id="x")],
        ),
        "handover came at 2025-11-30 10:53:20Z, before its Create. It is kept until 2025-11-30 11:03:20Z.",
        ("orders.events", 3, 101),
        RECEIVED_MS,
        NOW_MS + 9,
        ["ask", "wait"],
    ),
    "on-hold": (
        Rows(order=order(state="HELD"), facts=[CREATED]),
        "The marketplace put the order on hold at 2025-11-30 10:53:20Z and has not released it.",
        ("orders.events", 3, 101),
        RECEIVED_MS,
        None,
        ["ask"],
    ),
    "budget": (
        Rows(order=order(), waiting=[waiting()], turns=[Turn(request_id="r-1", ahead=311, per_s=3.11)]),
        (
            "create-outward-order waits for its turn at Increff: 311 requests before it, some time near "
            "2025-11-30 11:05:00Z."
        ),
        ("deliveries.outbox", 3, 7),
        RECEIVED_MS + 10,
        NOW_MS + 100_000,
        ["wait", "look-at-destination"],
    ),
    "quiet": (
        Rows(order=order(), waiting=[waiting()], quiets=[QUIET]),
        "create-outward-order waits: Increff asked for quiet until 2025-11-30 11:03:50Z.",
        ("deliveries.permits", 3, 5),
        NOW_MS - 1_000,
        NOW_MS + 30_000,
        ["wait", "look-at-destination"],
    ),
    "down": (
        Rows(order=order(), waiting=[waiting()], downs=[DOWN]),
        "create-outward-order waits: Increff is down since 2025-11-30 11:01:50Z: connection refused. It is probed.",
        ("deliveries.attempts", 3, 31),
        NOW_MS - 90_000,
        None,
        ["look-at-destination", "ask"],
    ),
    "back-off": (
        Rows(order=order(), waiting=[TRIED], attempts=[attempt("r-1", 1, 0), attempt("r-1", 2, 500)]),
        "create-outward-order is tried again at 2025-11-30 11:03:45Z: attempt 2 to Increff ended with status 503.",
        ("deliveries.attempts", 3, 32),
        NOW_MS - 5_000,
        NOW_MS + 25_000,
        ["wait", "look-at-destination"],
    ),
    "given-up": (
        Rows(order=order(), waiting=[HELD], dead_letters=[letter(holds_lane=True)]),
        (
            "create-outward-order to Increff was given up at 2025-11-30 10:58:20Z after 5 attempts, the last with "
            "status 503. It holds its lane: what comes behind it waits."
        ),
        ("deliveries.dead", 3, 9),
        RECEIVED_MS + 300_000,
        None,
        ["retry", "skip"],
    ),
    "refused": (
        Rows(
            order=order(state="REJECTED", is_open=False, state_since_ms=RECEIVED_MS + 90),
            dead_letters=[letter(kind="refused", status=400, message="unknown SKU")],
        ),
        "Increff refused create-outward-order at 2025-11-30 10:58:20Z with status 400: “unknown SKU”.",
        ("deliveries.dead", 3, 9),
        RECEIVED_MS + 300_000,
        None,
        ["resubmit", "ask"],
    ),
    "far-side": (
        Rows(
            order=order(state="SUBMITTED", stuck_step="acknowledge", stuck_since_ms=RECEIVED_MS + 50),
            facts=[
                fact(1, "order-submitted", 50, state="SUBMITTED"),
                fact(2, "order-stuck", 300_050, step="acknowledge", limitMs=300_000),
            ],
        ),
        (
            "It is Increff's turn to acknowledge the order at DXB-WH-01, since 2025-11-30 10:53:20Z. It is past "
            "its time: the channel allows 5 min."
        ),
        ("orders.events", 3, 102),
        RECEIVED_MS + 50,
        RECEIVED_MS + 300_050,
        ["ask", "look-at-destination"],
    ),
    "paused": (
        Rows(order=order(), waiting=[waiting()], pauses=[PAUSE]),
        (
            "create-outward-order waits: alice paused Increff at 2025-11-30 11:01:20Z until 2025-11-30 11:04:20Z: they "
            "asked for it."
        ),
        ("operators.events", 0, 12),
        NOW_MS - 120_000,
        NOW_MS + 60_000,
        ["resume"],
    ),
}


@pytest.mark.parametrize("cause", EXAMPLES)
def test_a_cause_is_told(cause: str) -> None:
    rows, sentence, proof, since_ms, until_ms, acts = EXAMPLES[cause]
    found = story_of(rows)
    wait = found.wait
    assert wait is not None
    assert (wait.cause, wait.sentence) == (cause, sentence)
    assert (wait.proof.topic, wait.proof.partition, wait.proof.offset) == proof
    assert (wait.since_ms, wait.until_ms) == (since_ms, until_ms)
    assert [act.name for act in wait.actions] == acts
    assert sentence in found.headline


def test_a_request_behind_another_is_told_with_what_holds_that_one_up() -> None:
    behind = waiting("r-2", touchpoint="update-order-properties", position=2, queued_ms=RECEIVED_MS + 20)
    found = story_of(Rows(order=order(), waiting=[behind, TRIED]))
    assert [wait.cause for wait in found.waits] == ["back-off", "behind-request"]
    assert found.waits[1].sentence.startswith(
        "update-order-properties waits behind create-outward-order of its lane. create-outward-order is tried again at "
    )
    assert (found.waits[1].since_ms, found.waits[1].until_ms) == (RECEIVED_MS + 20, NOW_MS + 25_000)
    assert found.waits[1].proof.what == "the first of the lane"


def test_every_cause_has_an_example_and_a_rank() -> None:
    assert {*EXAMPLES, "behind-request"} == {cause.name for cause in CAUSES} == {cause.name for cause in PRECEDENCE}
    assert [cause.number for cause in CAUSES] == list(range(1, 13))


SENDING: dict[str, dict[str, Any]] = {
    "given-up": {"waiting": [HELD], "dead_letters": [letter(holds_lane=True)]},
    "paused": {"pauses": [PAUSE]},
    "quiet": {"quiets": [QUIET]},
    "down": {"downs": [DOWN]},
    "back-off": {"waiting": [TRIED]},
    "budget": {"waiting": [waiting()]},
}
"""What makes each cause of a request, from the first in precedence to the last."""


@pytest.mark.parametrize("causes", list(combinations(SENDING, 2)), ids="+".join)
def test_a_request_has_the_first_of_its_causes(causes: tuple[str, str]) -> None:
    first, second = causes
    made = {"waiting": [waiting()], **SENDING[second], **SENDING[first]}
    if "waiting" in SENDING[second] and "waiting" not in SENDING[first]:
        made["waiting"] = SENDING[second]["waiting"]
    found = story_of(Rows(order=order(), **made))
    assert [wait.cause for wait in found.waits] == [first]
    assert RANK[first] < RANK[second]


def test_what_an_operator_has_to_do_comes_before_what_goes_on_by_itself() -> None:
    rows = Rows(
        order=order(),
        facts=[fact(1, "order-held", 5, onHold=True)],
        waiting=[TRIED, waiting("r-9", lane="channel:demo|demo|O-1", destination="channel:demo", position=1)],
        dead_letters=[letter("r-0", destination="channel:demo", touchpoint="acknowledgement")],
    )
    found = story_of(rows)
    assert [wait.cause for wait in found.waits] == ["given-up", "back-off", "budget"]
    assert found.waits[0].sentence.endswith("Its lane went on without it.")
    assert [act.command for act in found.waits[0].actions] == ["sluice redrive --order O-1 --channel demo --reason WHY"]


def test_a_pause_that_is_over_is_none() -> None:
    over = replace(PAUSE, until_ms=NOW_MS - 1)
    assert [wait.cause for wait in story_of(Rows(order=order(), waiting=[waiting()], pauses=[over])).waits] == [
        "budget"
    ]


@pytest.mark.parametrize("state", ["DELIVERED", "CANCELLED", "HANDED_OVER"])
def test_an_order_that_is_over_waits_for_nothing(state: str) -> None:
    row = order(state=state, is_open=False, state_since_ms=RECEIVED_MS + 5_000, units_open=0)
    found = story_of(Rows(order=row, lag=LAG, dead_letters=[letter(kind="refused")]))
    assert (found.wait, found.waits) == (None, ())
    assert found.headline == f"Order O-1 of demo is {state}. It waits for nothing since 2025-11-30 10:53:25Z."
    assert found.account.whole_ms == 5_000


def test_facts_for_subscribers_hold_up_no_order() -> None:
    fan_out = waiting(destination="subscription:s", touchpoint="fact", attempts=3, next_ms=NOW_MS + 9)
    found = story_of(Rows(order=order(state="ACKNOWLEDGED"), waiting=[fan_out]))
    assert [wait.cause for wait in found.waits] == ["far-side"]
    assert found.wait is not None
    assert "pack the order" in found.wait.sentence


def test_an_order_of_which_nothing_is_known_may_wait_for_its_decision() -> None:
    row = nothing_known("demo|return|R|1", 3, NOW_MS)
    assert (row.kind, row.channel, row.code) == ("return", "demo", "R|1")
    assert story_of(Rows(order=row)).headline == "Nothing is known of return R|1 of demo."
    behind = story_of(Rows(order=nothing_known("demo|O-1", 3, NOW_MS), lag=LAG))
    assert behind.wait is not None
    assert behind.wait.cause == "role-behind"
    assert nothing_known("demo|O|2", 3, NOW_MS).code == "O|2"
    assert nothing_known(order_key("demo", "O|3%").decode(), 3, NOW_MS).code == "O|3%"


@pytest.mark.parametrize(
    ("kind", "state", "text"),
    [
        ("return", "ASKED", "The return waits for its order F-1"),
        ("return", "SUBMITTED", "It is Increff's turn to inspect the return"),
        ("return", "ACKNOWLEDGED", "It is Increff's turn to inspect the rest"),
    ],
)
def test_a_return_waits_too(kind: str, state: str, text: str) -> None:
    found = story_of(Rows(order=order(kind=kind, state=state, forward_code="F-1")))
    assert found.wait is not None
    assert found.wait.sentence.startswith(text)


def test_an_early_event_that_was_decided_is_no_wait() -> None:
    parked = fact(2, "event-parked", 5, eventId="x", event="handover", untilMs=NOW_MS + 9)
    kept = Rows(order=order(state="ACKNOWLEDGED"), facts=[parked])
    assert [wait.cause for wait in story_of(kept).waits] == ["early", "far-side"]
    for later in (
        fact(3, "shipment-handed-over", 9, event_id="x"),
        fact(3, "event-refused", 9, eventId="x"),
        fact(3, "event-expired", 9, eventId="x"),
    ):
        done = Rows(order=order(state="ACKNOWLEDGED"), facts=[later, parked])
        assert [wait.cause for wait in story_of(done).waits] == ["far-side"]
    assert [wait.cause for wait in story_of(kept, NOW_MS + 9).waits] == ["far-side"]


def test_lines_shipments_and_moments_are_told_in_sequence() -> None:
    line = {"orderItemCode": "1", "channelSkuCode": "TEE", "ordered": 2, "open": 1, "packed": 1, "cancelled": 0}
    shipped = {"shipmentId": 7, "shipmentCode": "S-7", "shipmentLocationCode": "DXB", "items": []}
    rows = Rows(
        order=order(state="LABELLED"),
        facts=[
            fact(3, "label-issued", 30_000, **shipped, shipmentState="LABELLED", awbNumber="A-1"),
            fact(1, "order-created", 0, state="RECEIVED", lines=[line]),
            fact(2, "shipment-packed", 20_000, **shipped),
        ],
        requests=[request()],
        attempts=[attempt("r-1", 1, 10_000, result="delivered", status=200)],
    )
    found = story_of(rows)
    assert [(one.code, one.open, one.packed) for one in found.lines] == [("1", 1, 1)]
    assert [(one.number, one.code, one.state, one.awb) for one in found.shipments] == [(7, "S-7", "LABELLED", "A-1")]
    assert [(moment.kind, moment.name) for moment in found.moments] == [
        ("fact", "order-created"),
        ("attempt", "delivered"),
        ("fact", "shipment-packed"),
        ("fact", "label-issued"),
    ]


def test_a_fact_that_cannot_be_read_ends_no_story() -> None:
    torn = replace(fact(1, "order-created", 0), data="{")
    assert story_of(Rows(order=order(), facts=[torn])).lines == ()
