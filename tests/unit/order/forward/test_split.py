"""Split orders, and locations of orders that are not.

Property: a split order's sub-orders are acknowledged, packed, cancelled and handed over each at its own location; a
second location of any other order is a conflict that names both, and changes nothing.
"""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.orders import (
    Story,
    acknowledgement_body,
    cancel_body,
    create_body,
    handover_body,
    pack_body,
    packed_story,
    update_body,
)
from topics.contract.models.orders import CreateOutwardOrder
from topics.contract.touchpoints import BY_NAME
from topics.records.verdicts import Verdict

A, B = "DXB-WH-01", "AUH-ST-04"


def at(location: str, body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "locationCode": location}


def split_story() -> Story:
    story = Story()
    story.outcome(story.create(isSplitRequired=True, locationCode=None).request)
    return story


def test_sub_orders_travel_each_at_its_own_location() -> None:
    story = split_story()
    for location in (A, B, B):
        step = story.tell("acknowledgement", acknowledgement_body(location=location))
        assert step.verdict is not None
        assert step.verdict.succeeded
    assert story.order.acknowledged == [A, B]
    for number, location, body in ((1, A, pack_body(1, sku_1=2)), (2, B, pack_body(2, sku_2=1))):
        step = story.tell("pack-order", at(location, body))
        assert step.request.body["locationCode"] == location
        story.outcome(step.request, body={"shipmentCode": f"S-{number}"})
    assert [(one.id, one.location) for one in story.order.shipments] == [(1, A), (2, B)]
    assert story.tell("handover-notification", at(B, handover_body("S-2"))).verdict is Verdict.APPLIED
    assert story.order.state == "MANIFESTED", "the other one is still in its warehouse"
    assert story.tell("handover-notification", at(A, handover_body("S-1"))).verdict is Verdict.APPLIED
    assert story.order.state == "HANDED_OVER"


@pytest.mark.parametrize("location", [A, B, None])
def test_cancellations_and_updates_of_a_split_order_pass_with_the_location_they_name(location: str | None) -> None:
    story = split_story()
    story.tell("acknowledgement", acknowledgement_body(location=A))
    for touchpoint, body in (
        ("seller-cancellation", {**cancel_body(i1=1), "locationCode": location}),
        ("customer-cancellation", {**cancel_body(i2=1), "locationCode": location}),
        ("update-order-properties", update_body(hold=True, locationCode=location)),
    ):
        assert story.tell(touchpoint, body).request.body == body, touchpoint


@pytest.mark.parametrize(
    ("touchpoint", "body"),
    [
        ("pack-order", at(B, pack_body(2, sku_1=1))),
        ("acknowledgement", acknowledgement_body(location=B)),
        ("seller-cancellation", at(B, cancel_body(i1=1))),
        ("customer-cancellation", at(B, cancel_body(i1=1))),
        ("handover-notification", at(B, handover_body("S-1"))),
        ("update-order-properties", update_body(hold=True, locationCode=B)),
    ],
)
def test_a_second_location_of_an_order_that_is_not_split_is_a_conflict(touchpoint: str, body: dict[str, Any]) -> None:
    story = Story()
    story.outcome(story.create(quantities=(3, 1)).request)
    story.outcome(story.tell("pack-order", pack_body(1, sku_1=1)).request, body={"shipmentCode": "S-1"})
    before = story.order
    step = story.tell(touchpoint, body)
    told = [] if BY_NAME[touchpoint].refusable else ["call-not-applied"]
    assert (step.verdict, step.requests, step.facts) == (Verdict.CONFLICT, [], told)
    assert A in step.reply.message
    assert B in step.reply.message
    after = story.order
    assert (after.lines, after.shipments, after.acknowledged) == (before.lines, before.shipments, before.acknowledged)


def test_what_names_no_location_or_all_of_them_is_no_conflict() -> None:
    story = Story()
    story.create()
    for_all = {**acknowledgement_body(location=B), "consolidationType": "ALL"}
    assert story.tell("acknowledgement", for_all).verdict is Verdict.APPLIED
    nowhere = {**cancel_body(i1=1), "locationCode": None}
    assert story.tell("seller-cancellation", nowhere).verdict is Verdict.APPLIED
    assert story.tell("seller-cancellation", {**cancel_body(i1=2), "locationCode": ""}).verdict is Verdict.APPLIED


def test_a_known_shipment_gets_its_answer_whatever_location_a_repeat_names() -> None:
    """The contract's key of a Pack is its shipmentId alone."""
    story = packed_story()
    step = story.tell("pack-order", at(B, pack_body(1, sku_1=2, sku_2=1)))
    assert (step.verdict, step.facts) == (Verdict.DUPLICATE, ["pack-differed"])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"isSplitRequired": True, "locationCode": A}, "must be null when isSplitRequired is true"),
        ({"isSplitRequired": False, "locationCode": None}, "may not be null unless isSplitRequired is true"),
    ],
)
def test_a_create_names_a_location_unless_it_is_split(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        CreateOutwardOrder.model_validate({**create_body(), **changes})
