"""Refused requests that are sent again on an operator's word.

Property: each refused request is sent again at most once, and only where the order's present state allows it.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from streams.order.model.effects import PublishFact
from streams.order.model.limits import DELIVERIES_MAX, QUESTION_LOST_MS
from tests.support.orders import Story, acknowledgement_body, cancel_body, pack_body, sample, update_body
from tests.unit.order.machine.refused import (
    RETURN,
    RETURN_KEY,
    WHY,
    Refused,
    refuse,
    refused_acknowledgement,
    refused_create,
    refused_create_return,
    refused_handover,
    refused_held_create,
    refused_of_return,
    refused_report_of_delivery,
    refused_seller_cancellation,
    refused_update,
    repeat,
    resubmission,
    resubmit,
)
from topics.contract.definition import Mode
from topics.contract.touchpoints import TOUCHPOINTS
from topics.records.deliveries import OutcomeKind
from topics.records.verdicts import Verdict

STORIES: dict[str, tuple[str, Callable[[], Refused]]] = {
    "a Create": ("create-outward-order", refused_create),
    "a Create on hold": ("create-outward-order", refused_held_create),
    "an update": ("update-order-properties", refused_update),
    "a report of delivery": ("update-order-properties", refused_report_of_delivery),
    "an acknowledgement": ("acknowledgement", refused_acknowledgement),
    "a handover": ("handover-notification", refused_handover),
    "a seller's cancellation": ("seller-cancellation", refused_seller_cancellation),
    "a return": ("create-return-order", refused_create_return),
    "a return's items": ("add-return-order-items", lambda: refused_of_return("add-return-order-items")),
    "a return's update": ("update-returns", lambda: refused_of_return("update-returns")),
    "a return's cancellation": ("cancel-return-order-items", lambda: refused_of_return("cancel-return-order-items")),
    "an inspection": ("return-order-acknowledgement", lambda: refused_of_return("return-order-acknowledgement")),
}


def test_every_touchpoint_that_no_caller_waits_for_has_a_story() -> None:
    notices = {one.name for one in TOUCHPOINTS if one.mode is Mode.ACCEPT and one.entity in ("order", "return")}
    assert {touchpoint for touchpoint, _ in STORIES.values()} == notices


@pytest.mark.parametrize(("touchpoint", "make"), STORIES.values(), ids=STORIES)
def test_a_refused_request_is_sent_again_once(touchpoint: str, make: Callable[[], Refused]) -> None:
    story, refused = make()
    step = resubmit(story, refused)
    again = step.request
    assert (step.verdict, again.touchpoint, again.former) == (Verdict.APPLIED, touchpoint, refused.id)
    assert again.body == refused.body
    assert again.id != refused.id
    nervous = resubmit(story, refused)
    assert (nervous.requests, nervous.facts, nervous.verdict) == ([], [], Verdict.DUPLICATE)
    entity = story.entity(story.owners[refused.id].key)
    listed = {one.id: one.status for one in entity.deliveries}
    assert (listed[refused.id], listed[again.id]) == ("resubmitted", "queued")
    story.outcome(again)
    late = story.outcome(refused, OutcomeKind.REFUSED, status=400, number=9)
    assert (late.requests, late.facts) == ([], []), "a late word about the request that was refused says nothing new"


@pytest.mark.parametrize(("touchpoint", "make"), STORIES.values(), ids=STORIES)
def test_who_had_it_sent_and_why_is_a_fact_and_in_the_history(touchpoint: str, make: Callable[[], Refused]) -> None:
    story, refused = make()
    step = resubmit(story, refused)
    fact = next(one for one in step.effects if isinstance(one, PublishFact) and one.name == "request-resubmitted")
    assert (fact.data["touchpoint"], fact.data["request"]) == (touchpoint, refused.id)
    assert (fact.data["by"], fact.data["reason"]) == ("night-shift", "SKU-1 is mapped now")
    assert "10.0.0.9" not in str(fact.data)
    noted = next(f for f in story.entity(story.owners[refused.id].key).facts if f.name == "request-resubmitted")
    said = {"by": "night-shift", "reason": "SKU-1 is mapped now", "address": "10.0.0.9", "touchpoint": touchpoint}
    assert noted.data == said


@pytest.mark.parametrize(("_touchpoint", "make"), STORIES.values(), ids=STORIES)
def test_a_dry_run_says_what_would_be_and_changes_nothing(_touchpoint: str, make: Callable[[], Refused]) -> None:
    story, refused = make()
    before = dict(story.entities)
    step = resubmit(story, refused, dryRun=True)
    assert (step.reply.verdict, step.requests, step.facts) == (Verdict.APPLIED, [], [])
    assert story.entities == before
    resubmit(story, refused)
    assert resubmit(story, refused, dryRun=True).reply.verdict is Verdict.DUPLICATE


@pytest.mark.parametrize(("_touchpoint", "make"), STORIES.values(), ids=STORIES)
def test_the_same_record_twice_sends_once(_touchpoint: str, make: Callable[[], Refused]) -> None:
    story, refused = make()
    first = resubmit(story, refused, "same")
    again = resubmit(story, refused, "same")
    assert (len(first.requests), again.requests, again.facts) == (1, [], [])


@pytest.mark.parametrize(("_touchpoint", "make"), STORIES.values(), ids=STORIES)
def test_what_is_refused_again_can_be_sent_again(_touchpoint: str, make: Callable[[], Refused]) -> None:
    story, refused = make()
    for _ in range(3):
        again = resubmit(story, refused).request
        assert again.former == refused.id
        _, refused = refuse(story, again)


@pytest.mark.parametrize(
    ("made", "state"),
    [(refused_create, "RECEIVED"), (refused_held_create, "HELD"), (refused_create_return, "RECEIVED")],
)
def test_a_create_that_is_sent_again_begins_anew(made: Callable[[], Refused], state: str) -> None:
    story, refused = made()
    key = story.owners[refused.id].key
    assert (story.entity(key).state, story.entity(key).reason) == ("REJECTED", WHY)
    again = resubmit(story, refused).request
    assert (story.entity(key).state, story.entity(key).reason) == (state, None)
    meanwhile = repeat(story, refused.touchpoint, refused.body, 1)
    assert (meanwhile.verdict, meanwhile.requests) == (Verdict.DUPLICATE, []), "the marketplace's repeat is a success"
    taken = story.outcome(again)
    assert taken.facts == ["order-submitted" if refused.touchpoint == "create-outward-order" else "return-submitted"]


def test_events_go_on_after_a_create_that_was_sent_again() -> None:
    story, refused = refused_create()
    assert story.tell("update-order-properties", update_body(hold=True)).verdict is Verdict.REFUSED
    story.outcome(resubmit(story, refused).request)
    assert story.tell("acknowledgement", acknowledgement_body()).verdict is Verdict.APPLIED
    assert story.tell("pack-order", pack_body(sku_1=1)).request.touchpoint == "pack-order"


# What cannot be sent again


def _cancelled_update() -> Refused:
    story, refused = refused_update()
    story.tell("seller-cancellation", cancel_body(i1=2, i2=1))
    return story, refused


def _newer_update() -> Refused:
    story, refused = refused_update()
    story.tell("update-order-properties", update_body(hold=False, dispatchByTime="2025-06-20T10:00:00Z"))
    return story, refused


def _newer_refused_update() -> Refused:
    story, refused = _newer_update()
    refuse(story, story.requests[-1])
    return story, refused


def _taken_create() -> Refused:
    story = Story()
    request = story.create().request
    story.outcome(request)
    return story, request


def _waiting_create() -> Refused:
    story = Story()
    return story, story.create().request


def _relay() -> Refused:
    story = Story()
    story.outcome(story.create().request)
    return refuse(story, story.tell("customer-cancellation", cancel_body(i1=1)).request)


def _pack() -> Refused:
    story = Story()
    story.outcome(story.create().request)
    return refuse(story, story.tell("pack-order", pack_body(sku_1=1)).request)


def _arrived_items() -> Refused:
    story, refused = refused_of_return("cancel-return-order-items")
    body = {**sample("return-order-acknowledgement"), "returnOrderCode": RETURN["returnOrderCode"]}
    item = RETURN["orderItems"][0]
    body["orderItems"] = [{**item, "qcStatus": "PASS"}]
    assert story.tell("return-order-acknowledgement", body).verdict is Verdict.APPLIED
    return story, refused


def _inspected_again() -> Refused:
    story, refused = refused_of_return("return-order-acknowledgement")
    body = {**refused.body, "orderItems": [{**item, "qcStatus": "FAIL"} for item in refused.body["orderItems"]]}
    assert story.tell("return-order-acknowledgement", body).verdict is Verdict.APPLIED
    return story, refused


def _long_gone() -> Refused:
    story, refused = refused_acknowledgement()
    for n in range(DELIVERIES_MAX):
        story.outcome(story.tell("update-order-properties", update_body(hold=n % 2 == 0)).request)
    return story, refused


IMPOSSIBLE: dict[str, tuple[Callable[[], Refused], str]] = {
    "an update of an order that is cancelled": (_cancelled_update, "is CANCELLED"),
    "an update behind which a newer one came": (_newer_update, "a newer update-order-properties"),
    "an update behind which a newer one was refused": (_newer_refused_update, "that one can be sent again"),
    "a Create that was taken": (_taken_create, "it is delivered"),
    "a Create that waits": (_waiting_create, "it is queued"),
    "a customer's cancellation": (_relay, "its caller got the refusal"),
    "a Pack": (_pack, "its caller got the refusal"),
    "a cancellation of items that arrived": (_arrived_items, "arrived since"),
    "an inspection that was made again": (_inspected_again, "inspected again"),
    "a request that is not listed any more": (_long_gone, "not in the list"),
}


@pytest.mark.parametrize(("make", "why"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
@pytest.mark.parametrize("dry", [False, True])
def test_what_the_state_does_not_allow_is_not_sent_and_says_why(
    make: Callable[[], Refused], why: str, dry: bool
) -> None:
    story, request = make()
    step = resubmit(story, request, dryRun=dry)
    reply = step.replies[list(step.replies)[-1]]
    assert (reply.verdict, step.requests, step.facts) == (Verdict.REFUSED, [], [])
    assert why in reply.message


def test_a_corrected_create_takes_the_place_of_the_refused_one() -> None:
    story, refused = refused_create()
    corrected = story.create(quantities=(1, 1)).request
    assert corrected.former == refused.id
    assert resubmit(story, refused).verdict is Verdict.DUPLICATE


def test_a_resubmission_of_an_unknown_order_is_refused() -> None:
    story, refused = refused_create()
    story.entities.clear()
    assert "is not known" in resubmit(story, refused).reply.message
    assert "is not known" in resubmit(story, refused, dryRun=True).reply.message


def test_items_that_the_forward_order_denies_stay_cancelled() -> None:
    story, refused = refused_of_return("add-return-order-items")
    items = len(story.returned(RETURN_KEY).items)
    resubmit(story, refused)
    assert len(story.returned(RETURN_KEY).items) == items


def test_items_that_a_newer_call_asks_for_do_not_take_the_place_of_refused_ones() -> None:
    """The forward order does not answer the resubmission; then other items are added."""
    story, refused = refused_of_return("add-return-order-items")
    story.feed_only(resubmission(story, refused))
    item = refused.body["returnLineItems"][0]
    others = {**refused.body, "returnLineItems": [{**item, "channelReturnItemCode": "another"}]}
    added = story.tell("add-return-order-items", others, after_ms=QUESTION_LOST_MS).request
    assert (added.former, [one["channelReturnItemCode"] for one in added.body["returnLineItems"]]) == ("", ["another"])
    listed = story.returned(RETURN_KEY).delivery(refused.id)
    assert listed is not None
    assert listed.status == "refused"
    assert resubmit(story, refused).request.former == refused.id
