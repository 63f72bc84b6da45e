"""What an entity keeps is bounded, and nothing that is still to come falls out of it.

Property: an outcome that something depends on is never ignored, however much happened since; a caller is refused for
now instead.
"""

from __future__ import annotations

import pytest

from streams.order.model import limits
from streams.order.model.decision import NO_ROOM
from streams.order.model.entities import Order
from streams.order.storage.encoding import encode_entity
from tests.support.orders import (
    CHANNEL,
    DEADLINE_MS,
    Step,
    Story,
    acknowledgement_body,
    cancel_body,
    document_body,
    manifest_body,
    pack_body,
    packed_story,
    sample,
    update_body,
)
from topics.records.deliveries import OutcomeKind
from topics.records.keys import manifest_key
from topics.records.verdicts import Verdict

MANY = limits.DELIVERIES_MAX + 10
OVERDUE_MS = DEADLINE_MS + limits.RELAY_MARGIN_MS + 1


def crowd(story: Story) -> list[Step]:
    """Updates until the list is full, none of them delivered."""
    return [story.tell("update-order-properties", update_body(hold=n % 2 == 0)) for n in range(MANY)]


def test_the_outcome_of_a_create_counts_after_any_number_of_updates() -> None:
    story = Story()
    create = story.create().request
    crowd(story)
    story.outcome(create, OutcomeKind.REFUSED, status=400, message="bad")
    assert story.order.state == "REJECTED"


def test_the_outcome_of_a_relay_counts_after_any_number_of_updates() -> None:
    story = Story()
    story.outcome(story.create().request)
    cancel = story.tell("customer-cancellation", cancel_body(i1=1)).request
    crowd(story)
    step = story.outcome(cancel)
    assert [reply.verdict for reply in step.replies.values()] == [Verdict.APPLIED]
    assert (story.order.relays, story.order.lines[0].customer) == ([], 1)


def test_a_change_that_could_not_be_followed_is_refused_for_now_and_changes_nothing() -> None:
    story = Story()
    create = story.create().request
    steps = crowd(story)
    before = story.order
    assert (steps[-1].verdict, steps[-1].reply.message, steps[-1].requests) == (Verdict.FAILED, NO_ROOM, [])
    for touchpoint, body in (
        ("acknowledgement", acknowledgement_body()),
        ("seller-cancellation", cancel_body(i1=1)),
        ("pack-order", pack_body(sku_1=1)),
        ("customer-cancellation", cancel_body(i1=1)),
    ):
        step = story.tell(touchpoint, body)
        told = ["call-not-applied"] if touchpoint == "acknowledgement" else []
        assert (step.verdict, step.requests, step.facts) == (Verdict.FAILED, [], told), touchpoint
    after = story.order
    assert (after.lines, after.shipments, after.relays) == (before.lines, before.shipments, before.relays)
    assert (after.acknowledged, after.held) == (before.acknowledged, before.held)
    story.outcome(create)
    story.outcome(steps[0].request)
    assert story.tell("acknowledgement", acknowledgement_body()).verdict is Verdict.APPLIED


def test_a_dead_update_gives_way_but_a_dead_request_that_holds_its_lane_stays() -> None:
    story = Story()
    story.outcome(story.create().request)
    held = story.tell("seller-cancellation", cancel_body(i1=1)).request
    story.outcome(held, OutcomeKind.DEAD)
    steps = crowd(story)
    story.outcome(steps[0].request, OutcomeKind.DEAD)
    assert story.tell("acknowledgement", acknowledgement_body()).verdict is Verdict.APPLIED
    listed = [delivery.id for delivery in story.order.deliveries]
    assert held.id in listed
    assert steps[0].request.id not in listed


def test_an_awaited_outcome_of_a_request_that_is_not_listed_counts_once() -> None:
    story = Story()
    create = story.create().request
    key = story.order.key
    order = story.order
    order.deliveries.clear()
    story.entities[key] = encode_entity(order)
    assert story.outcome(create).facts == ["order-submitted"]
    assert story.outcome(create).facts == []


def asked_documents() -> tuple[Story, Step]:
    story = packed_story()
    return story, story.tell("get-shipping-label", document_body())


def test_a_document_whose_outcome_got_lost_is_asked_for_again() -> None:
    story, first = asked_documents()
    joined = story.tell("get-shipping-label", document_body(), after_ms=DEADLINE_MS)
    assert joined.requests == []
    again = story.tell("get-shipping-label", document_body(), "again", after_ms=OVERDUE_MS)
    assert again.request.id != first.request.id
    assert story.outcome(first.request, OutcomeKind.EXPIRED, status=None).replies == {}
    assert set(story.outcome(again.request, body={"awbNumber": "A"}).replies) == {"again"}


@pytest.mark.parametrize("former_succeeds", [True, False])
def test_a_pack_whose_outcome_got_lost_is_asked_for_again_and_packs_once(former_succeeds: bool) -> None:
    story = Story()
    story.outcome(story.create().request)
    first = story.tell("pack-order", pack_body(sku_1=2))
    again = story.tell("pack-order", pack_body(sku_1=2), "again", after_ms=OVERDUE_MS)
    assert again.request.id != first.request.id
    if former_succeeds:
        assert set(story.outcome(first.request, body={"shipmentCode": "S-1"}).replies) == {"again"}
        assert story.outcome(again.request, body={"shipmentCode": "S-1"}).replies == {}
    else:
        assert story.outcome(first.request, OutcomeKind.EXPIRED, status=None).replies == {}
        assert set(story.outcome(again.request, body={"shipmentCode": "S-1"}).replies) == {"again"}
    order = story.order
    assert (order.lines[0].packed, order.lines[0].packing, len(order.shipments)) == (2, 0, 1)
    assert order.relays == []


def test_a_cancellation_that_goes_on_past_its_deadline_is_joined_and_not_asked_again() -> None:
    """It is not withdrawn: each repeat would be one more request behind it."""
    story = Story()
    story.outcome(story.create().request)
    first = story.tell("customer-cancellation", cancel_body(i1=1))
    again = story.tell("customer-cancellation", cancel_body(i1=1), "again", after_ms=OVERDUE_MS)
    assert (again.verdict, again.requests) == (None, [])
    assert "again" in story.outcome(first.request).replies


def test_a_cancellation_whose_outcome_got_lost_for_good_is_asked_again_and_stands_in_nobodys_way() -> None:
    story = Story()
    story.outcome(story.create().request)
    first = story.tell("customer-cancellation", cancel_body(i1=1))
    other = story.tell("customer-cancellation", cancel_body(i2=1), after_ms=DEADLINE_MS + limits.RELAY_LOST_MS + 1)
    assert len(other.requests) == 1
    story.outcome(other.request)
    again = story.tell("customer-cancellation", cancel_body(i1=1), "again")
    assert again.request.id != first.request.id
    assert story.outcome(first.request, OutcomeKind.DEAD).replies == {}
    assert set(story.outcome(again.request).replies) == {"again"}
    assert [line.customer for line in story.order.lines] == [1, 1]


def test_callers_long_gone_make_room_for_those_that_wait() -> None:
    story = Story()
    story.outcome(story.create().request)
    story.tell("customer-cancellation", cancel_body(i1=1))
    for _ in range(limits.WAITERS_MAX * 2):
        step = story.tell("customer-cancellation", cancel_body(i1=1), after_ms=DEADLINE_MS)
        assert step.verdict is None
    assert len(story.order.relays[0].waiters) <= 2


def test_a_manifest_whose_outcome_got_lost_is_asked_for_again() -> None:
    story = packed_story()
    first = story.tell("create-manifest", manifest_body())
    again = story.tell("create-manifest", manifest_body(), "again", after_ms=OVERDUE_MS)
    assert again.request.id != first.request.id
    assert set(story.outcome(again.request, body={"manifestCode": "M"}).replies) == {"again"}
    assert story.order.shipments[0].state == "MANIFESTED"


@pytest.mark.parametrize("answered", [True, False])
def test_a_known_manifest_with_other_shipments_gets_the_same_answer_and_a_fact_once(answered: bool) -> None:
    story = packed_story()
    first = story.tell("create-manifest", manifest_body())
    if answered:
        story.outcome(first.request, body={"manifestCode": "M"})
    differed = story.tell("create-manifest", manifest_body("OTHER"), "differs")
    assert (differed.facts, differed.requests) == (["manifest-differed"], [])
    assert story.tell("create-manifest", manifest_body("OTHER"), "differs").facts == []
    assert story.tell("create-manifest", manifest_body()).facts == []
    assert len(story.manifest(manifest_key(CHANNEL, "7")).items) == 1


@pytest.mark.parametrize(
    ("touchpoint", "items", "name"),
    [
        ("cancel-return-order-items", "returnOrderItems", "returnOrderItemCode"),
        ("return-order-acknowledgement", "orderItems", "itemCode"),
    ],
)
def test_an_item_that_the_return_does_not_have_is_refused_by_name(touchpoint: str, items: str, name: str) -> None:
    story = Story()
    story.tell("create-return-order", sample("create-return-order"))
    story.tell("add-return-order-items", sample("add-return-order-items"))
    body = sample(touchpoint)
    body[items] = [body[items][0], *({**body[items][0], name: f"unknown-{n:02}"} for n in range(12))]
    step = story.tell(touchpoint, body)
    assert (step.verdict, step.requests, step.facts) == (Verdict.REFUSED, [], [])
    assert "unknown-00" in step.reply.message
    assert step.reply.message.endswith("and 2 more")


def test_a_state_with_a_relay_is_read_as_it_was_written() -> None:
    story, _ = asked_documents()
    order = story.order
    assert isinstance(order, Order)
    (relay,) = order.relays
    assert relay.waiters[0].deadline_ms == relay.deadline_ms == story.now_ms + DEADLINE_MS
