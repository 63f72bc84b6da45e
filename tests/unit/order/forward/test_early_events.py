"""Events that come before what they are about.

Property: each is applied once, in the order they came, when its forerunner comes, or ends as a fact; what is kept of
them is bounded, and their facts are numbered with the order's.
"""

from __future__ import annotations

from typing import Any

import pytest

from streams.order.forward.early_events import next_expiry_ms
from streams.order.model import limits
from streams.order.model.events import Event, EventKind
from tests.support.orders import (
    CHANNEL,
    CODE,
    Step,
    Story,
    acknowledgement_body,
    cancel_body,
    create_body,
    document_body,
    handover_body,
    pack_body,
    update_body,
)
from topics.records.deliveries import OutcomeKind
from topics.records.keys import order_key
from topics.records.verdicts import Verdict

KEY = order_key(CHANNEL, CODE)
ANSWER = {"shipmentCode": "S-1"}
EARLY: list[tuple[str, dict[str, Any]]] = [
    ("acknowledgement", acknowledgement_body()),
    ("seller-cancellation", cancel_body(i1=1)),
    ("handover-notification", handover_body()),
]


def internal(kind: EventKind, event_id: str, **body: Any) -> Event:
    return Event(kind=kind, id=event_id, channel=CHANNEL, code=CODE, key=KEY, body={"orderCode": CODE, **body})


def manifested(event_id: str = "m1") -> Event:
    return internal(EventKind.SHIPMENT_MANIFESTED, event_id, shipmentCode="S-1", manifestCode="M-1")


def sequence(story: Story) -> list[int]:
    return [fact.data["sequence"] for fact in story.facts]


@pytest.mark.parametrize(("touchpoint", "body"), EARLY)
def test_what_comes_before_its_order_is_kept_and_its_caller_is_told_until_when(
    touchpoint: str, body: dict[str, Any]
) -> None:
    story = Story()
    step = story.tell(touchpoint, body)
    assert (step.verdict, step.facts, step.requests) == (Verdict.EARLY, ["event-parked"], [])
    assert f"order {CODE} is not known; kept until 2025-06-16T15:06:40.010Z" in step.reply.message
    assert (story.order.state, next_expiry_ms(story.order)) == ("EXPECTED", story.now_ms + limits.EARLY_KEPT_MS)


def test_a_query_says_what_is_expected() -> None:
    story = Story()
    story.tell("acknowledgement", acknowledgement_body(), "early")
    document = story.query({"orderCode": CODE}, KEY).reply.body
    assert (document["state"], document["lines"]) == ("EXPECTED", [])
    assert [(one["event"], one["eventId"]) for one in document["parked"]] == [("acknowledge", "early")]


def test_the_create_applies_what_came_early_in_its_order_effects_included() -> None:
    story = Story()
    story.tell("acknowledgement", acknowledgement_body(), "ack")
    story.tell("seller-cancellation", cancel_body(i1=1), "cancel", after_ms=5000)
    step = story.tell("create-outward-order", create_body(), "create")
    assert step.facts == ["order-created", "order-acknowledged", "seller-cancelled"]
    assert [(one.touchpoint, one.id) for one in step.requests] == [
        ("create-outward-order", "create.0"),
        ("acknowledgement", "ack.0"),
        ("seller-cancellation", "cancel.0"),
    ]
    assert {event: reply.verdict for event, reply in step.replies.items()} == {"create": Verdict.APPLIED}
    order = story.order
    assert (order.state, order.lines[0].seller, order.early) == ("ACKNOWLEDGED", 1, [])
    assert order.created_ms == story.now_ms, "an order begins with its Create"
    assert sequence(story) == list(range(1, 6))


@pytest.mark.parametrize("new_id", [True, False])
def test_a_repeat_after_it_was_applied_is_a_success(new_id: bool) -> None:
    story = Story()
    story.tell("acknowledgement", acknowledgement_body(), "ack")
    story.create()
    repeat = story.tell("acknowledgement", acknowledgement_body(), "" if new_id else "ack")
    assert repeat.verdict is not None
    assert (repeat.verdict.succeeded, repeat.requests, repeat.facts) == (True, [], [])


@pytest.mark.parametrize("new_id", [True, False])
def test_a_repeat_of_what_is_kept_is_not_kept_twice(new_id: bool) -> None:
    story = Story()
    first = story.tell("acknowledgement", acknowledgement_body(), "ack")
    repeat = story.tell("acknowledgement", acknowledgement_body(), "" if new_id else "ack", after_ms=60_000)
    assert (repeat.verdict, repeat.facts, len(story.order.early)) == (Verdict.EARLY, [], 1)
    kept = first.reply.message.partition("kept until ")[2]
    assert kept in repeat.reply.message


def test_a_handover_before_its_pack_is_applied_when_the_pack_is_taken() -> None:
    story = Story()
    story.outcome(story.create().request)
    early = story.tell("handover-notification", handover_body(), "early")
    assert (early.verdict, early.facts) == (Verdict.EARLY, ["event-parked"])
    story.feed(manifested())
    pack = story.tell("pack-order", pack_body(sku_1=2, sku_2=1)).request
    story.tell("get-shipping-label", document_body(), "label")
    step = story.outcome(pack, body=ANSWER)
    assert step.facts == [
        "shipment-packed",
        "shipment-handed-over",
        "order-handed-over",
        "shipment-manifested",
    ]
    assert [one.touchpoint for one in step.requests] == ["handover-notification", "get-shipping-label"]
    assert (story.order.state, story.order.shipments[0].manifest) == ("HANDED_OVER", "M-1")
    assert story.order.early == []


def test_a_handover_that_names_a_packed_shipment_and_one_to_come_waits_for_both() -> None:
    story = Story()
    story.outcome(story.create().request)
    story.outcome(story.tell("pack-order", pack_body(1, sku_1=2)).request, body=ANSWER)
    story.tell("handover-notification", handover_body("S-1", "S-2"), "both")
    assert [shipment.state for shipment in story.order.shipments] == ["PACKED"]
    story.outcome(story.tell("pack-order", pack_body(2, sku_2=1)).request, body={"shipmentCode": "S-2"})
    assert story.order.state == "HANDED_OVER"


def test_a_handover_before_its_order_waits_for_the_create_and_then_for_the_pack() -> None:
    story = Story()
    story.tell("handover-notification", handover_body(), "early")
    created = story.tell("create-outward-order", create_body())
    assert ([one.touchpoint for one in created.requests], len(story.order.early)) == (["create-outward-order"], 1)
    step = story.outcome(story.tell("pack-order", pack_body(sku_1=2, sku_2=1)).request, body=ANSWER)
    assert [one.id for one in step.requests] == ["early.0"]
    assert (story.order.state, story.order.early) == ("HANDED_OVER", [])


def test_a_pack_that_is_refused_leaves_the_handover_where_it_is() -> None:
    story = Story()
    story.outcome(story.create().request)
    story.tell("handover-notification", handover_body())
    story.outcome(story.tell("pack-order", pack_body(sku_1=2)).request, OutcomeKind.REFUSED, status=400)
    assert len(story.order.early) == 1


def test_nothing_is_kept_for_a_pack_that_can_not_follow() -> None:
    story = Story()
    story.outcome(story.create().request)
    story.outcome(story.tell("pack-order", pack_body(sku_1=2, sku_2=1)).request, body=ANSWER)
    step = story.tell("handover-notification", handover_body("S-9"))
    assert (step.verdict, step.facts, story.order.early) == (Verdict.EARLY, ["call-not-applied"], [])


def test_what_turns_out_to_be_impossible_ends_as_a_fact_with_its_reason() -> None:
    story = Story()
    story.tell("seller-cancellation", cancel_body(i7=1), "wrong")
    step = story.create()
    assert step.facts == ["order-created", "event-refused"]
    fact = story.facts[-1].data
    assert (fact["eventId"], fact["event"]) == ("wrong", "seller cancel")
    assert fact["verdict"] == "REFUSED"
    assert "I7" in story.order.facts[-1].data["reason"]
    assert story.order.early == []


def many(count: int) -> list[Step]:
    story = Story()
    return [story.tell("seller-cancellation", cancel_body(i1=n)) for n in range(count)]


def test_how_many_are_kept_is_bounded() -> None:
    steps = many(limits.EARLY_EVENTS_MAX + 1)
    assert all(step.facts == ["event-parked"] for step in steps[:-1])
    assert (steps[-1].verdict, steps[-1].facts) == (Verdict.EARLY, [])
    assert "not kept" in steps[-1].reply.message


@pytest.mark.parametrize(("before", "kept"), [(0, False), (1, True)])
def test_how_much_is_kept_is_bounded(before: int, kept: bool) -> None:
    """A single event that is too large does not make an order expected; one more than fits is not kept."""
    story = Story()
    for _ in range(before):
        story.tell("acknowledgement", acknowledgement_body())
    body = {**cancel_body(i1=1), "note": "x" * limits.EARLY_BYTES_MAX}
    step = story.tell("seller-cancellation", body)
    assert (step.verdict, step.facts) == (Verdict.EARLY, [])
    assert (KEY in story.entities) is kept


def test_what_waited_in_vain_ends_as_a_fact_and_takes_the_expected_order_with_it() -> None:
    story = Story()
    story.tell("acknowledgement", acknowledgement_body())
    step = story.tell("pack-order", pack_body(sku_1=1), after_ms=limits.EARLY_KEPT_MS)
    assert (step.verdict, step.facts) == (Verdict.EARLY, ["event-expired", "order-forgotten"])
    assert KEY not in story.entities
    assert sequence(story) == [1, 2, 3]


def test_what_waited_in_vain_in_an_order_ends_and_the_order_goes_on() -> None:
    story = Story()
    story.outcome(story.create().request)
    story.tell("handover-notification", handover_body())
    pack = story.tell("pack-order", pack_body(sku_1=2, sku_2=1), after_ms=limits.EARLY_KEPT_MS)
    assert pack.facts == ["event-expired"]
    assert story.outcome(pack.request, body=ANSWER).facts == ["shipment-packed"]


@pytest.mark.parametrize(("touchpoint", "body"), [*EARLY, ("pack-order", pack_body(sku_1=1))])
def test_a_channel_that_takes_on_no_order_midway_refuses_at_once(touchpoint: str, body: dict[str, Any]) -> None:
    story = Story(unknown_orders="refuse")
    step = story.tell(touchpoint, body)
    assert (step.verdict, story.entities, step.facts) == (Verdict.REFUSED, {}, [])
    assert "is not known" in step.reply.message


def test_what_found_no_room_for_its_request_is_applied_by_the_next_outcome() -> None:
    story = Story()
    story.outcome(story.create().request)
    story.tell("handover-notification", handover_body())
    story.feed(manifested())
    pack = story.tell("pack-order", pack_body(sku_1=1)).request
    updates = [
        story.tell("update-order-properties", update_body(hold=n % 2 == 0)) for n in range(limits.DELIVERIES_MAX)
    ]
    story.outcome(pack, body=ANSWER)
    assert [one.kind for one in story.order.early] == [EventKind.SHIPMENT_MANIFESTED], "the handover took the room"
    assert story.outcome(updates[0].request).facts == ["shipment-manifested"]
    assert story.order.early == []


def test_what_waits_for_a_pack_still_waits_when_increff_refuses_the_order() -> None:
    """Increff handed the order over, so it has the order: it refused a repeat of the Create."""
    story = Story()
    create = story.create().request
    story.tell("handover-notification", handover_body())
    refused = story.outcome(create, OutcomeKind.REFUSED, status=400)
    assert (refused.facts, story.order.state) == (["delivery-refused"], "SUBMITTED")
    step = story.outcome(story.tell("pack-order", pack_body(sku_1=2, sku_2=1)).request, body=ANSWER)
    assert (step.facts[:2], story.order.state) == (["shipment-packed", "shipment-handed-over"], "HANDED_OVER")
