"""Calls that are answered with success when their verdict is late: each has an effect towards the other side, or had
it before, or is kept until it can have it; else a fact says that it was not applied. Walked over all states."""

from __future__ import annotations

from typing import Any

import pytest

from streams.order.model import limits
from streams.order.model.states import OrderState
from tests.support.orders import (
    CHANNEL,
    CODE,
    Step,
    Story,
    acknowledgement_body,
    cancel_body,
    handover_body,
    pack_body,
    packed_story,
    update_body,
)
from tests.support.ways import ORDER_MOVES, answer, ways
from topics.contract.definition import Entity
from topics.contract.touchpoints import TOUCHPOINTS
from topics.records.deliveries import OutcomeKind
from topics.records.keys import order_key
from topics.records.verdicts import Verdict

ORDER = order_key(CHANNEL, CODE)
BODIES: dict[str, list[dict[str, Any]]] = {
    "acknowledgement": [acknowledgement_body(), acknowledgement_body(location="AUH-ST-04")],
    "handover-notification": [handover_body(), handover_body("S-9"), {**handover_body(), "locationCode": "AUH-ST-04"}],
}
UNREFUSABLE = [one.name for one in TOUCHPOINTS if not one.refusable and one.entity is not Entity.STOCK]


def test_every_call_that_cannot_be_refused_has_a_case() -> None:
    assert set(UNREFUSABLE) == set(BODIES)


SAYING = {"call-not-applied": "touchpoint", "event-parked": "event"}
"""Facts about a call that has no effect, and the member that names it."""
EVENTS = {"acknowledgement": "acknowledge", "handover-notification": "handover"}


def is_told(step: Step, story: Story, touchpoint: str) -> bool:
    """Whether the other side learns of the call, or a fact says, now or when the same call came before, that it did
    not."""
    if step.requests or step.verdict is Verdict.DUPLICATE:
        return True
    names = (touchpoint, EVENTS[touchpoint])
    return any(fact.data[SAYING[fact.name]] in names for fact in story.facts if fact.name in SAYING)


@pytest.mark.parametrize(("touchpoint", "body"), [(name, body) for name, bodies in BODIES.items() for body in bodies])
def test_it_leaves_or_is_kept_or_a_fact_says_why_not(touchpoint: str, body: dict[str, Any]) -> None:
    silent: list[str] = []
    states: set[str] = set()
    expected = Story()
    expected.tell("seller-cancellation", cancel_body(i1=1))
    for story in (expected, Story(), packed_story()):
        for way, one in ways(story, ORDER, ORDER_MOVES, 4):
            if ORDER not in one.entities:
                continue
            states.add(one.order.state)
            step = one.tell(touchpoint, body)
            if not is_told(step, one, touchpoint):
                silent.append(f"{one.order.state} by {way or 'nothing'}: {step.verdict} {step.facts}")
    assert not silent, "\n".join(silent)
    assert states == set(OrderState) - {OrderState.MANIFESTED}


def test_an_acknowledgement_of_an_order_that_is_cancelled_meanwhile_is_a_fact_once() -> None:
    """The case that was seen: answered as taken, because its verdict was late."""
    story = Story()
    story.create()
    answer(story, "create-outward-order")
    story.tell("seller-cancellation", cancel_body(i1=2, i2=1))
    step = story.tell("acknowledgement", acknowledgement_body(), "late")
    assert (step.verdict, step.requests, step.facts) == (Verdict.REFUSED, [], ["call-not-applied"])
    data = story.facts[-1].data
    assert (data["state"], data["touchpoint"], data["verdict"]) == ("CANCELLED", "acknowledgement", "REFUSED")
    assert data["eventId"] == "late"
    assert "CANCELLED" in story.order.facts[-1].data["reason"], "the words are for the order's own list"
    assert story.tell("acknowledgement", acknowledgement_body(), "late").facts == []
    assert story.tell("acknowledgement", acknowledgement_body(), "again").facts == [], "Increff sends it again"


def test_the_fact_has_no_words_of_the_far_side() -> None:
    story = Story()
    created = story.create().request
    story.outcome(created, OutcomeKind.REFUSED, status=400, message="no such street: 12 Secret Lane")
    step = story.tell("acknowledgement", acknowledgement_body(location="ANOTHER"))
    assert step.facts == ["call-not-applied"]
    assert "Secret" not in str(story.facts[-1].data)


def test_a_call_for_whose_request_there_is_no_room_changes_nothing_and_is_a_fact() -> None:
    story = Story()
    story.create()
    for n in range(limits.DELIVERIES_MAX):
        story.tell("update-order-properties", update_body(hold=n % 2 == 0))
    step = story.tell("acknowledgement", acknowledgement_body())
    assert (step.verdict, step.facts, story.order.acknowledged) == (Verdict.FAILED, ["call-not-applied"], [])
    assert story.tell("acknowledgement", acknowledgement_body()).facts == []
    answer(story, "update-order-properties")
    assert story.tell("acknowledgement", acknowledgement_body()).verdict is Verdict.APPLIED


def test_a_call_that_was_kept_and_refused_then_needs_no_other_fact_when_it_comes_again() -> None:
    story = Story()
    elsewhere = acknowledgement_body(location="AUH-ST-04")
    assert story.tell("acknowledgement", elsewhere).facts == ["event-parked"]
    assert story.tell("acknowledgement", elsewhere, "repeat").facts == [], "it is kept already"
    assert "event-refused" in story.create().facts
    again = story.tell("acknowledgement", elsewhere, "repeat")
    assert (again.verdict, again.facts) == (Verdict.CONFLICT, [])


def test_a_call_that_needs_no_room_is_kept_though_there_is_none() -> None:
    story = Story()
    story.create()
    story.tell("acknowledgement", acknowledgement_body())
    for n in range(limits.DELIVERIES_MAX):
        story.tell("update-order-properties", update_body(hold=n % 2 == 0))
    assert not story.order.has_room()
    assert story.tell("handover-notification", handover_body()).facts == ["event-parked"]
    again = story.tell("acknowledgement", acknowledgement_body())
    assert (again.verdict, again.facts) == (Verdict.DUPLICATE, [])


@pytest.mark.parametrize("ends", ["SUBMITTED", "CANCELLED"])
def test_a_repeat_of_a_call_that_is_kept_is_kept_whatever_became_of_the_order(ends: str) -> None:
    """It may be applied yet, or ends with a fact of its own."""
    story = Story()
    created = story.create().request
    assert story.tell("handover-notification", handover_body()).facts == ["event-parked"]
    if ends == "SUBMITTED":  # Increff refused a repeat: the handover shows that it has the order
        story.outcome(created, OutcomeKind.REFUSED, status=400)
    else:
        story.tell("seller-cancellation", cancel_body(i1=2, i2=1))
    assert story.order.state == ends
    step = story.tell("handover-notification", handover_body())
    assert (step.verdict, step.facts, len(story.order.early)) == (Verdict.EARLY, [], 1)


def test_of_a_call_that_can_be_refused_no_fact_is_needed() -> None:
    story = Story()
    story.create()
    story.tell("seller-cancellation", cancel_body(i1=2, i2=1))
    step = story.tell("pack-order", pack_body(sku_1=1))
    assert (step.verdict, step.facts) == (Verdict.REFUSED, [])
