"""The repeat rules of the touchpoints, walked from their entries.

Property: a repeat never leaves twice, and gets the answer of the first time.
"""

from __future__ import annotations

from typing import Any

import pytest

from streams.order.model import limits
from streams.order.model.canonical import digest
from tests.support.orders import (
    Story,
    acknowledgement_body,
    cancel_body,
    create_body,
    document_body,
    handover_body,
    manifest_body,
    pack_body,
    packed_story,
    sample,
    update_body,
)
from topics.contract.definition import Entity, Mode
from topics.contract.models.orders import CreateOutwardOrder
from topics.contract.touchpoints import TOUCHPOINTS
from topics.records.deliveries import OutcomeKind
from topics.records.verdicts import Verdict

RETURN = sample("create-return-order")
ANSWER = {"shipmentCode": "S-1", "manifestCode": "M", "awbNumber": "A", "invoiceCode": "I"}


def _fresh() -> Story:
    return Story()


def _created() -> Story:
    story = Story()
    story.create()
    return story


def _returned() -> Story:
    story = Story()
    story.tell("create-return-order", RETURN)
    return story


def _with_items_added() -> Story:
    story = _returned()
    story.tell("add-return-order-items", sample("add-return-order-items"))
    return story


RETURN_CODE = {"returnOrderCode": RETURN["returnOrderCode"]}
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "create-outward-order": (_fresh, create_body()),
    "customer-cancellation": (_created, cancel_body(i1=1)),
    "update-order-properties": (_created, update_body(hold=True)),
    "create-return-order": (_fresh, RETURN),
    "update-returns": (_returned, {**sample("update-returns"), **RETURN_CODE}),
    "add-return-order-items": (_returned, {**sample("add-return-order-items"), **RETURN_CODE}),
    "cancel-return-order-items": (_with_items_added, {**sample("cancel-return-order-items"), **RETURN_CODE}),
    "acknowledgement": (_created, acknowledgement_body()),
    "pack-order": (_created, pack_body(sku_1=1)),
    "get-invoice": (packed_story, document_body()),
    "get-shipping-label": (packed_story, document_body()),
    "create-manifest": (packed_story, manifest_body()),
    "handover-notification": (packed_story, handover_body()),
    "seller-cancellation": (_created, cancel_body(i1=1)),
    "return-order-acknowledgement": (_returned, {**sample("return-order-acknowledgement"), **RETURN_CODE}),
}
DECIDED = [touchpoint for touchpoint in TOUCHPOINTS if touchpoint.entity not in (Entity.NONE, Entity.STOCK)]


def test_every_touchpoint_that_the_orders_role_decides_has_a_case() -> None:
    assert {touchpoint.name for touchpoint in DECIDED} == set(CASES)


@pytest.mark.parametrize("touchpoint", DECIDED, ids=lambda touchpoint: touchpoint.name)
def test_an_unchanged_repeat_leaves_once_and_is_a_duplicate(touchpoint: Any) -> None:
    make, body = CASES[touchpoint.name]
    story = make()
    first = story.tell(touchpoint.name, body)
    assert first.request.touchpoint == touchpoint.name
    if touchpoint.mode is Mode.RELAY:
        story.outcome(first.request, body=ANSWER)
    else:
        assert first.verdict is Verdict.APPLIED
    repeat = story.tell(touchpoint.name, body)
    assert (repeat.verdict, repeat.requests, repeat.facts) == (Verdict.DUPLICATE, [], [])


@pytest.mark.parametrize("touchpoint", DECIDED, ids=lambda touchpoint: touchpoint.name)
def test_the_same_event_again_changes_nothing_and_leaves_nothing(touchpoint: Any) -> None:
    make, body = CASES[touchpoint.name]
    story = make()
    first = story.tell(touchpoint.name, body, "same")
    facts = len(story.facts)
    again = story.tell(touchpoint.name, body, "same")
    assert (again.requests, len(story.facts)) == ([], facts)
    if touchpoint.mode is Mode.ACCEPT:
        assert (again.verdict, again.reply.verdict) == (first.verdict, Verdict.APPLIED)


def test_an_old_event_again_does_not_undo_a_newer_one() -> None:
    story = _created()
    story.tell("update-order-properties", update_body(hold=True), "hold")
    story.tell("update-order-properties", update_body(hold=False), "release")
    again = story.tell("update-order-properties", update_body(hold=True), "hold")
    assert (again.verdict, again.requests, story.order.held) == (Verdict.APPLIED, [], False)


def test_a_changed_create_is_a_conflict_and_never_leaves() -> None:
    story = _created()
    for changes in ({"gift": True}, {"quantities": (2, 2)}, {"locationCode": "AUH-ST-04"}):
        step = story.create(**changes)
        assert (step.verdict, step.requests) == (Verdict.CONFLICT, [])
        assert "exists with other data" in step.reply.message


def test_unknown_and_null_members_and_ways_to_write_a_number_do_not_make_a_change() -> None:
    body = create_body()
    same = {**body, "somethingNew": {"a": 1}, "parentOrderCode": body["parentOrderCode"], "packType": body["packType"]}
    same["orderItems"] = [{**item, "minExpiry": None, "added": 1} for item in body["orderItems"]]
    assert digest(CreateOutwardOrder, same) == digest(CreateOutwardOrder, body)
    whole = {**body, "orderItems": [{**body["orderItems"][0], "sellingPricePerUnit": 10}]}
    real = {**body, "orderItems": [{**body["orderItems"][0], "sellingPricePerUnit": 10.0}]}
    assert digest(CreateOutwardOrder, whole) == digest(CreateOutwardOrder, real)
    metadata = {**body, "orderCustomAttributes": {"channelMetadata": "x"}}
    other = {**body, "orderCustomAttributes": {"channelMetadata": "y"}}
    assert digest(CreateOutwardOrder, metadata) != digest(CreateOutwardOrder, other)


def test_acknowledgements_are_once_per_location() -> None:
    story = _created()
    assert story.tell("acknowledgement", acknowledgement_body()).verdict is Verdict.APPLIED
    assert story.tell("acknowledgement", acknowledgement_body(location=None)).verdict is Verdict.DUPLICATE


def test_what_a_state_remembers_is_bounded() -> None:
    story = _created()
    for n in range(limits.FACTS_MAX + 20):
        story.outcome(story.tell("update-order-properties", update_body(hold=n % 2 == 0)).request)
    order = story.order
    assert len(order.seen) == limits.SEEN_MAX
    assert len(order.facts) == limits.FACTS_MAX
    assert len(order.deliveries) == limits.DELIVERIES_MAX
    assert order.facts[-1].sequence == order.fact_sequence == limits.FACTS_MAX + 21


def test_what_was_refused_and_is_taken_after_a_redrive_is_told_as_delivered_and_changes_nothing_else() -> None:
    story = Story()
    created = story.create()
    story.outcome(created.request)
    acknowledged = story.tell("acknowledgement", acknowledgement_body())
    story.outcome(acknowledged.request, OutcomeKind.REFUSED, status=400, number=1)
    facts = [fact.name for fact in story.order.facts]
    story.outcome(acknowledged.request, OutcomeKind.DELIVERED, number=2)
    delivery = story.order.delivery(acknowledged.request.id)
    assert delivery is not None
    assert (delivery.status, [row[0] for row in delivery.attempts]) == ("delivered", [1, 2])
    assert [fact.name for fact in story.order.facts] == facts
    story.outcome(acknowledged.request, OutcomeKind.REFUSED, status=400, number=1)
    assert story.order.delivery(acknowledged.request.id) == delivery
