"""Holds: what the marketplace said last, what Increff refused, and the acknowledgement that ends them."""

from __future__ import annotations

import pytest

from tests.support.orders import Story, acknowledgement_body, update_body
from topics.records.deliveries import OutcomeKind
from topics.records.verdicts import Verdict

LATER = {"dispatchByTime": "2031-01-01T00:00:00Z"}
TAKEN, REFUSED = OutcomeKind.DELIVERED, OutcomeKind.REFUSED


def submitted() -> Story:
    story = Story()
    story.outcome(story.create().request)
    return story


def test_a_hold_after_the_acknowledgement_that_ended_one_is_a_change_and_sent() -> None:
    story = submitted()
    story.outcome(story.tell("update-order-properties", update_body(hold=True)).request)
    story.tell("acknowledgement", acknowledgement_body())
    assert story.order.held is False
    again = story.tell("update-order-properties", update_body(hold=True))
    assert (again.verdict, len(again.requests), story.order.held) == (Verdict.APPLIED, 1, True)


@pytest.mark.parametrize("reached", [False, True])
def test_a_release_after_an_acknowledgement_that_crossed_the_hold_leaves(reached: bool) -> None:
    """Increff may have acknowledged before the hold reached it, whether or not Sluice knows that it has it now."""
    story = submitted()
    hold = story.tell("update-order-properties", update_body(hold=True)).request
    if reached:
        story.outcome(hold)
    crossed = story.tell("acknowledgement", acknowledgement_body())
    assert crossed.facts == ["order-acknowledged", "hold-crossed"]
    if not reached:
        story.outcome(hold)
    release = story.tell("update-order-properties", update_body(hold=False))
    assert (release.verdict, release.request.body["onHold"]) == (Verdict.APPLIED, False)
    assert (release.facts, story.order.held, story.order.state) == (["order-released"], False, "ACKNOWLEDGED")
    again = story.tell("update-order-properties", update_body(hold=False))
    assert (again.verdict, again.requests) == (Verdict.DUPLICATE, []), "it is known what Increff has from now on"


def test_a_release_of_an_order_created_on_hold_leaves_after_an_acknowledgement() -> None:
    story = Story()
    story.outcome(story.create(onHold=True).request)
    assert story.tell("acknowledgement", acknowledgement_body()).facts == ["order-acknowledged", "hold-crossed"]
    assert story.tell("update-order-properties", update_body(hold=False)).facts == ["order-released"]


def test_an_acknowledgement_behind_a_release_crosses_nothing() -> None:
    story = submitted()
    story.tell("update-order-properties", update_body(hold=True))
    story.tell("update-order-properties", update_body(hold=False))
    assert story.tell("acknowledgement", acknowledgement_body()).facts == ["order-acknowledged"]
    assert story.tell("update-order-properties", update_body(hold=False)).verdict is Verdict.DUPLICATE


def test_the_first_update_of_an_order_met_midway_leaves_though_its_create_said_the_same() -> None:
    """Whether Increff had it on hold before Sluice saw it is not known."""
    story = Story(unknown_orders="adopt")
    story.tell("acknowledgement", acknowledgement_body())
    story.create(onHold=False)
    first = story.tell("update-order-properties", update_body(hold=False))
    assert (first.verdict, len(first.requests)) == (Verdict.APPLIED, 1)
    assert story.tell("update-order-properties", update_body(hold=False)).verdict is Verdict.DUPLICATE


def test_a_report_of_delivery_ends_a_hold() -> None:
    story = submitted()
    story.tell("update-order-properties", update_body(hold=True))
    story.tell("update-order-properties", update_body(hold=False, orderStatus="DELIVERED", deliveredAt="2026-11-25"))
    assert story.order.held is False


def test_a_refusal_that_comes_after_the_acknowledgement_does_not_bring_a_hold_back() -> None:
    story = submitted()
    story.outcome(story.tell("update-order-properties", update_body(hold=True)).request)
    release = story.tell("update-order-properties", update_body(hold=False)).request
    story.tell("acknowledgement", acknowledgement_body())
    story.outcome(release, REFUSED, status=400)
    assert story.order.held is False


@pytest.mark.parametrize(
    ("first", "second", "held"), [(REFUSED, TAKEN, True), (TAKEN, REFUSED, True), (REFUSED, REFUSED, False)]
)
def test_two_holds_in_flight_end_as_increff_took_them(first: OutcomeKind, second: OutcomeKind, held: bool) -> None:
    story = submitted()
    one = story.tell("update-order-properties", update_body(hold=True)).request
    two = story.tell("update-order-properties", update_body(hold=True, **LATER)).request
    story.outcome(one, first, status=400)
    story.outcome(two, second, status=400)
    assert (story.order.held, story.order.state == "HELD", story.order.holds) == (held, held, [])


@pytest.mark.parametrize(
    ("first", "second", "held"),
    [(TAKEN, TAKEN, False), (REFUSED, TAKEN, False), (TAKEN, REFUSED, True), (REFUSED, REFUSED, False)],
)
def test_a_hold_and_its_release_in_flight(first: OutcomeKind, second: OutcomeKind, held: bool) -> None:
    story = submitted()
    one = story.tell("update-order-properties", update_body(hold=True)).request
    two = story.tell("update-order-properties", update_body(hold=False)).request
    story.outcome(one, first, status=400)
    story.outcome(two, second, status=400)
    assert (story.order.held, story.order.holds) == (held, [])


def test_holds_of_a_channel_that_does_not_pass_them_on_are_not_kept() -> None:
    story = submitted()
    for n in range(10):
        story.tell("update-order-properties", update_body(hold=n % 2 == 0), offered=False)
    assert (story.order.held, story.order.holds) == (False, [])


def test_a_release_before_the_create_was_answered_counts_and_is_sent_behind_it() -> None:
    story = Story()
    create = story.create(onHold=True).request
    release = story.tell("update-order-properties", update_body(hold=False))
    assert (release.verdict, release.facts, story.order.state) == (Verdict.APPLIED, ["order-released"], "RECEIVED")
    assert (create.sequence, release.request.sequence) == (1, 2)
    story.outcome(create)
    assert story.order.state == "SUBMITTED"
    story.outcome(release.request)
    assert story.order.state == "SUBMITTED"


def test_a_release_of_an_order_that_increff_then_refuses_goes_down_with_it() -> None:
    story = Story()
    create = story.create(onHold=True).request
    release = story.tell("update-order-properties", update_body(hold=False)).request
    assert story.outcome(create, REFUSED, status=400, message="bad").facts == ["order-rejected"]
    story.outcome(release, REFUSED, status=400, message="not known")
    assert story.order.state == "REJECTED"


def test_a_hold_after_the_acknowledgement_that_increff_refuses_is_undone() -> None:
    story = submitted()
    story.tell("acknowledgement", acknowledgement_body())
    hold = story.tell("update-order-properties", update_body(hold=True)).request
    assert story.order.state == "HELD"
    story.outcome(hold, REFUSED, status=400)
    assert story.order.state == "ACKNOWLEDGED"


@pytest.mark.parametrize("twice", [True, False])
def test_a_report_of_delivery_ends_the_order_once_and_is_told_to_increff(twice: bool) -> None:
    story = submitted()
    said = {"orderStatus": "DELIVERED", "deliveredAt": "2026-11-25T10:00:00Z", "locationCode": "DXB-WH-01"}
    report = update_body(hold=False, **said)
    step = story.tell("update-order-properties", report)
    assert (step.request.body, step.facts, story.order.state) == (report, ["order-delivered"], "DELIVERED")
    if twice:
        assert story.tell("update-order-properties", report).requests == []
    hold = story.tell("update-order-properties", update_body(hold=True))
    assert story.order.state == "DELIVERED", "nothing leads out of it"
    assert hold.verdict is Verdict.APPLIED
