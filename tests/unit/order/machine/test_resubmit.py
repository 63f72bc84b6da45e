"""Refused requests that are sent again: by the marketplace's own repeat, and on an operator's word.

Property: each refused request is sent again at most once, and only where the order's present state allows it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from streams.order.model.effects import PublishFact, RequestDelivery
from streams.order.model.events import Event, EventKind
from streams.order.model.limits import DELIVERIES_MAX
from tests.support.orders import (
    CHANNEL,
    REPLIES,
    Step,
    Story,
    acknowledgement_body,
    cancel_body,
    command,
    create_body,
    handover_body,
    pack_body,
    packed_story,
    sample,
    update_body,
)
from topics.configuration.sla import Sla
from topics.contract.definition import Mode
from topics.contract.touchpoints import TOUCHPOINTS
from topics.records.deliveries import OutcomeKind
from topics.records.keys import return_key
from topics.records.verdicts import Verdict

AFTER_S = 600.0
POLICY = Sla().policy(handover=True, resubmit_after_s=AFTER_S)
RETURN = sample("create-return-order")
RETURN_KEY = return_key(CHANNEL, RETURN["returnOrderCode"])
WHY = "channelSkuCode SKU-1 is not mapped"
Refused = tuple[Story, RequestDelivery]


def refuse(story: Story, request: RequestDelivery) -> Refused:
    number = 1 + sum(one.id == request.id for one in story.requests)
    story.outcome(request, OutcomeKind.REFUSED, status=400, message=WHY, number=number)
    return story, request


def resubmission(story: Story, request: RequestDelivery, event_id: str = "", **changes: Any) -> Event:
    owner = story.owners[request.id]
    asked = {
        "request": request.id,
        "touchpoint": request.touchpoint,
        "body": request.body,
        "saidMs": 0,
        "by": "night-shift",
        "address": "10.0.0.9",
        "reason": "SKU-1 is mapped now",
        "dryRun": False,
        **changes,
    }
    story.events += 1
    return Event(
        kind=EventKind.RESUBMIT,
        id=event_id or f"r{story.events}",
        channel=CHANNEL,
        code=owner.code,
        key=owner.key,
        body=asked,
        reply_to=REPLIES,
        policy=POLICY,
    )


def resubmit(story: Story, request: RequestDelivery, event_id: str = "", **changes: Any) -> Step:
    story.now_ms += 10
    return story.feed(resubmission(story, request, event_id, **changes))


def repeat(story: Story, touchpoint: str, body: dict[str, Any], after_s: float) -> Step:
    """The marketplace's call once more."""
    story.now_ms += round(after_s * 1_000)
    story.events += 1
    return story.feed(replace(command(touchpoint, body, f"m{story.events}", story.now_ms), policy=POLICY))


# The stories of refused requests, one for each touchpoint


def _create() -> Refused:
    story = Story()
    return refuse(story, story.create().request)


def _held_create() -> Refused:
    story = Story()
    return refuse(story, story.create(onHold=True).request)


def _update() -> Refused:
    story = Story()
    story.outcome(story.create().request)
    return refuse(story, story.tell("update-order-properties", update_body(hold=True)).request)


def _delivered() -> Refused:
    story = packed_story()
    body = update_body(hold=False, orderStatus="DELIVERED", deliveredAt="2025-06-17")
    return refuse(story, story.tell("update-order-properties", body).request)


def _acknowledgement() -> Refused:
    story = Story()
    story.outcome(story.create().request)
    return refuse(story, story.tell("acknowledgement", acknowledgement_body()).request)


def _handover() -> Refused:
    story = packed_story()
    return refuse(story, story.tell("handover-notification", handover_body()).request)


def _seller_cancellation() -> Refused:
    """A refused cancellation holds its lane: it counts as refused once an operator has skipped it."""
    story = Story()
    story.outcome(story.create().request)
    return refuse(story, story.tell("seller-cancellation", cancel_body(i1=1)).request)


def _returned() -> tuple[Story, Step]:
    story = Story()
    return story, story.tell("create-return-order", RETURN)


def _create_return() -> Refused:
    story, created = _returned()
    return refuse(story, created.request)


def _of_return(touchpoint: str) -> Refused:
    story, created = _returned()
    story.outcome(created.request)
    body = {**sample(touchpoint), "returnOrderCode": RETURN["returnOrderCode"]}
    if "orderCode" in body:
        body["orderCode"] = RETURN["forwardOrderCode"]
    for item in body.get("returnOrderItems", []):
        item["returnOrderItemCode"] = RETURN["orderItems"][0]["itemCode"]
    return refuse(story, story.tell(touchpoint, body).request)


STORIES: dict[str, tuple[str, Callable[[], Refused]]] = {
    "a Create": ("create-outward-order", _create),
    "a Create on hold": ("create-outward-order", _held_create),
    "an update": ("update-order-properties", _update),
    "a report of delivery": ("update-order-properties", _delivered),
    "an acknowledgement": ("acknowledgement", _acknowledgement),
    "a handover": ("handover-notification", _handover),
    "a seller's cancellation": ("seller-cancellation", _seller_cancellation),
    "a return": ("create-return-order", _create_return),
    "a return's items": ("add-return-order-items", lambda: _of_return("add-return-order-items")),
    "a return's update": ("update-returns", lambda: _of_return("update-returns")),
    "a return's cancellation": ("cancel-return-order-items", lambda: _of_return("cancel-return-order-items")),
    "an inspection": ("return-order-acknowledgement", lambda: _of_return("return-order-acknowledgement")),
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
    ("made", "state"), [(_create, "RECEIVED"), (_held_create, "HELD"), (_create_return, "RECEIVED")]
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
    story, refused = _create()
    assert story.tell("acknowledgement", acknowledgement_body()).verdict is Verdict.REFUSED
    story.outcome(resubmit(story, refused).request)
    assert story.tell("acknowledgement", acknowledgement_body()).verdict is Verdict.APPLIED
    assert story.tell("pack-order", pack_body(sku_1=1)).request.touchpoint == "pack-order"


# What cannot be sent again


def _cancelled_update() -> Refused:
    story, refused = _update()
    story.tell("seller-cancellation", cancel_body(i1=2, i2=1))
    return story, refused


def _newer_update() -> Refused:
    story, refused = _update()
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
    story, refused = _of_return("cancel-return-order-items")
    body = {**sample("return-order-acknowledgement"), "returnOrderCode": RETURN["returnOrderCode"]}
    item = RETURN["orderItems"][0]
    body["orderItems"] = [{**item, "qcStatus": "PASS"}]
    assert story.tell("return-order-acknowledgement", body).verdict is Verdict.APPLIED
    return story, refused


def _inspected_again() -> Refused:
    story, refused = _of_return("return-order-acknowledgement")
    body = {**refused.body, "orderItems": [{**item, "qcStatus": "FAIL"} for item in refused.body["orderItems"]]}
    assert story.tell("return-order-acknowledgement", body).verdict is Verdict.APPLIED
    return story, refused


def _long_gone() -> Refused:
    story, refused = _acknowledgement()
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
    story, refused = _create()
    corrected = story.create(quantities=(1, 1)).request
    assert corrected.former == refused.id
    assert resubmit(story, refused).verdict is Verdict.DUPLICATE


def test_a_resubmission_of_an_unknown_order_is_refused() -> None:
    story, refused = _create()
    story.entities.clear()
    assert "is not known" in resubmit(story, refused).reply.message
    assert "is not known" in resubmit(story, refused, dryRun=True).reply.message


def test_items_that_the_forward_order_denies_stay_cancelled() -> None:
    story, refused = _of_return("add-return-order-items")
    items = len(story.returned(RETURN_KEY).items)
    resubmit(story, refused)
    assert len(story.returned(RETURN_KEY).items) == items


# The marketplace's own repeat


@pytest.mark.parametrize(
    ("make", "touchpoint", "body", "fact"),
    [
        (_create, "create-outward-order", create_body(), "order-created"),
        (_create_return, "create-return-order", RETURN, "return-created"),
    ],
    ids=["order", "return"],
)
def test_a_repeated_create_asks_again_at_most_once_in_resubmit_after(
    make: Callable[[], Refused], touchpoint: str, body: dict[str, Any], fact: str
) -> None:
    story, refused = make()
    key = story.owners[refused.id].key
    for _ in range(3):
        refused_ms = story.now_ms
        soon = repeat(story, touchpoint, body, AFTER_S - 1)
        assert (soon.verdict, soon.requests) == (Verdict.REFUSED, [])
        assert WHY in soon.reply.message
        assert "a repeat from 2025-06-15T" in soon.reply.message, "the caller learns from when on"
        story.now_ms = refused_ms
        later = repeat(story, touchpoint, body, AFTER_S)
        assert (later.verdict, later.request.former, fact in later.facts) == (Verdict.APPLIED, refused.id, True)
        assert repeat(story, touchpoint, body, AFTER_S).requests == [], "it is under way: nothing leaves"
        story, refused = refuse(story, later.request)
        assert story.entity(key).state == "REJECTED"


def test_without_a_time_the_same_create_is_never_sent_again() -> None:
    story, _ = _create()
    story.now_ms += 10 * 365 * 86_400_000
    step = story.create()
    assert (step.verdict, step.requests, "a repeat from" in step.reply.message) == (Verdict.REFUSED, [], False)


def test_the_time_of_the_record_decides_not_when_it_is_read() -> None:
    story, _ = _create()
    story.now_ms += round(AFTER_S * 1_000)
    event = replace(command("create-outward-order", create_body(), "late", story.now_ms), policy=POLICY)
    before = dict(story.entities)
    first = story.feed(event)
    story.entities = before
    again = story.feed(event)
    assert first.effects == again.effects


def test_a_state_of_before_asks_at_once() -> None:
    """A return that was refused before its state knew when."""
    story, _ = _create_return()
    raw = story.entities[RETURN_KEY]
    known = b'"rejected":%d' % story.returned(RETURN_KEY).rejected_ms
    assert known in raw
    story.entities[RETURN_KEY] = raw.replace(known + b",", b"").replace(b"," + known, b"")
    assert repeat(story, "create-return-order", RETURN, 1).verdict is Verdict.APPLIED
