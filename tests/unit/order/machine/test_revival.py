"""An order or return that Increff refused, and names all the same, goes on; and both sides hear of it.

Property: the order in which the refusal and the proof come makes no difference to where the order ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from streams.order.model.effects import PublishFact
from streams.order.storage.encoding import encode_entity
from tests.support.orders import (
    CHANNEL,
    Step,
    Story,
    acknowledgement_body,
    cancel_body,
    create_body,
    document_body,
    handover_body,
    manifest_body,
    pack_body,
    sample,
    update_body,
)
from topics.records.deliveries import OutcomeKind
from topics.records.keys import order_key, return_key
from topics.records.verdicts import Verdict

REFUSED = OutcomeKind.REFUSED
RETURN = sample("create-return-order")
RETURN_KEY = return_key(CHANNEL, RETURN["returnOrderCode"])
Tell = Callable[[Story], Step]
INSPECTED: dict[str, Any] = {
    **{name: RETURN[name] for name in ("returnOrderCode", "forwardOrderCode", "locationCode")},
    "orderItems": [
        {"itemCode": item["itemCode"], "channelSkuCode": item["channelSkuCode"], "qcStatus": "PASS"}
        for item in RETURN["orderItems"]
    ],
}


def rejected(**changes: Any) -> Story:
    story = Story()
    step = story.outcome(story.create(**changes).request, REFUSED, status=400, message="SKU-1 is not listed")
    assert (step.facts, story.order.state) == (["order-rejected"], "REJECTED")
    return story


PROOFS: dict[str, tuple[Tell, str, list[str]]] = {
    "acknowledgement": (
        lambda story: story.tell("acknowledgement", acknowledgement_body()),
        "ACKNOWLEDGED",
        ["order-revived", "order-acknowledged"],
    ),
    "Pack": (lambda story: story.tell("pack-order", pack_body(sku_1=2)), "SUBMITTED", ["order-revived"]),
    "Pack of an item that the order has not": (
        lambda story: story.tell("pack-order", pack_body(sku_9=1)),
        "SUBMITTED",
        ["order-revived"],
    ),
    "part of a seller's cancellation": (
        lambda story: story.tell("seller-cancellation", cancel_body(i1=1)),
        "SUBMITTED",
        ["order-revived", "seller-cancelled"],
    ),
    "a whole seller's cancellation": (
        lambda story: story.tell("seller-cancellation", cancel_body(i1=2, i2=1)),
        "CANCELLED",
        ["order-revived", "seller-cancelled", "order-cancelled"],
    ),
    "handover": (
        lambda story: story.tell("handover-notification", handover_body()),
        "SUBMITTED",
        ["order-revived", "event-parked"],
    ),
    "label": (lambda story: story.tell("get-shipping-label", document_body()), "SUBMITTED", ["order-revived"]),
    "invoice": (lambda story: story.tell("get-invoice", document_body()), "SUBMITTED", ["order-revived"]),
}


@pytest.mark.parametrize("name", PROOFS)
def test_what_increff_says_of_an_order_that_it_refused_revives_it(name: str) -> None:
    tell, state, facts = PROOFS[name]
    story = rejected()
    step = tell(story)
    assert (story.order.state, step.facts) == (state, facts)
    assert story.order.reason is None
    assert "rejected" not in story.order.milestones
    fact = next(effect for effect in step.effects if isinstance(effect, PublishFact))
    assert fact.data["state"] == "SUBMITTED"
    assert "not listed" not in str(fact.data), "the far side's words are not for every reader"
    again = tell(story)
    assert "order-revived" not in again.facts


@pytest.mark.parametrize("name", PROOFS)
def test_a_refusal_behind_the_proof_leads_to_the_same_end(name: str) -> None:
    tell, state, _ = PROOFS[name]
    story = Story()
    create = story.create().request
    tell(story)
    step = story.outcome(create, REFUSED, status=400, message="order exists")
    if name in ("Pack of an item that the order has not", "label", "invoice"):
        # Of a call that was refused, or asked too early, the order keeps nothing: the next one revives it.
        assert step.facts == ["order-rejected"]
        tell(story)
    else:
        assert step.facts == ["delivery-refused"]
    assert story.order.state == state


def test_a_manifest_revives_the_orders_that_it_names() -> None:
    story = rejected()
    story.outcome(story.tell("create-manifest", manifest_body()).request, body={"manifestCode": "M"})
    assert story.order.state == "SUBMITTED"
    assert [fact.name for fact in story.facts if fact.name == "order-revived"] == ["order-revived"]


def test_an_order_on_hold_is_revived_on_hold_until_increff_goes_on() -> None:
    story = rejected(onHold=True)
    story.tell("seller-cancellation", cancel_body(i1=1))
    assert story.order.state == "HELD"
    story = rejected(onHold=True)
    assert "hold-crossed" in story.tell("acknowledgement", acknowledgement_body()).facts
    assert story.order.state == "ACKNOWLEDGED"


def test_a_revived_order_goes_the_whole_way() -> None:
    story = rejected()
    pack = story.tell("pack-order", pack_body(sku_1=2, sku_2=1)).request
    packed = story.outcome(pack, body={"shipmentCode": "S-1"})
    assert packed.reply.verdict is Verdict.APPLIED
    story.tell("acknowledgement", acknowledgement_body())
    assert story.tell("update-order-properties", update_body(hold=False, dispatchByTime="2025-07-01")).requests
    assert story.tell("handover-notification", handover_body()).facts[0] == "shipment-handed-over"
    assert story.order.state == "HANDED_OVER"


def test_the_marketplace_that_was_refused_hears_success_from_then_on() -> None:
    story = rejected()
    assert story.create().verdict is Verdict.REFUSED
    story.tell("create-outward-order", create_body(), "by-kafka")
    assert story.tell("create-outward-order", create_body(), "by-kafka").verdict is Verdict.REFUSED
    story.tell("acknowledgement", acknowledgement_body())
    for event_id in ("", "by-kafka"):
        repeat = story.tell("create-outward-order", create_body(), event_id)
        assert (repeat.verdict, repeat.requests) == (Verdict.DUPLICATE, [])
    assert story.create(gift=True).verdict is Verdict.CONFLICT


def test_a_call_about_another_location_revives_nothing() -> None:
    story = rejected()
    step = story.tell("acknowledgement", acknowledgement_body(location="ANOTHER"))
    assert (step.verdict, story.order.state) == (Verdict.CONFLICT, "REJECTED")
    assert "order-revived" not in step.facts


@pytest.mark.parametrize("touchpoint", ["customer-cancellation", "update-order-properties"])
def test_what_the_marketplace_says_revives_nothing(touchpoint: str) -> None:
    story = rejected()
    body = cancel_body(i1=1) if touchpoint == "customer-cancellation" else update_body(hold=True)
    assert story.tell(touchpoint, body).verdict is Verdict.REFUSED
    assert story.order.state == "REJECTED"


def test_a_create_that_is_taken_after_its_refusal_revives_the_order() -> None:
    """A request that was dead may be redriven, refused, and redriven again."""
    story = Story()
    create = story.create().request
    story.outcome(create, OutcomeKind.DEAD, status=None, number=1)
    story.outcome(create, REFUSED, status=400, message="not yet", number=2)
    assert story.order.state == "REJECTED"
    step = story.outcome(create, number=3)
    assert (step.facts, story.order.state) == (["order-revived"], "SUBMITTED")
    assert story.outcome(create, number=3).facts == []


def test_a_customers_cancellation_that_increff_takes_revives_the_order() -> None:
    story = Story()
    create = story.create().request
    cancel = story.tell("customer-cancellation", cancel_body(i1=2)).request
    story.outcome(create, REFUSED, status=400, message="no")
    step = story.outcome(cancel)
    assert (step.facts, story.order.state) == (["order-revived", "customer-cancelled"], "SUBMITTED")
    assert step.reply.verdict is Verdict.APPLIED
    assert story.outcome(cancel).facts == []


def test_a_corrected_create_is_not_revived_by_the_success_of_the_former() -> None:
    story = rejected()
    former = story.requests[0]
    corrected = story.create(quantities=(5,)).request
    story.outcome(corrected, REFUSED, status=400, message="no")
    story.outcome(former, number=2)
    assert story.order.state == "REJECTED"


def test_a_revived_order_is_not_rejected_again_by_the_same_create() -> None:
    story = Story()
    create = story.create(onHold=True).request
    story.outcome(create, OutcomeKind.DEAD, status=None, number=1)
    story.tell("seller-cancellation", cancel_body(i1=1))
    step = story.outcome(create, REFUSED, status=400, message="no", number=2)
    assert (step.facts, story.order.state) == (["delivery-refused"], "HELD")


# Requests in doubt


@pytest.mark.parametrize(
    ("kind", "status", "error", "again"),
    [
        (OutcomeKind.DEAD, None, "", True),
        (REFUSED, 400, "", False),
        (REFUSED, 200, "", False),
        (OutcomeKind.RETRYING, 503, "", True),
        (OutcomeKind.RETRYING, 408, "", True),
        (OutcomeKind.RETRYING, 401, "", False),
        (OutcomeKind.RETRYING, 429, "", False),
        (OutcomeKind.RETRYING, 200, "the answer is HTML or XML: a login, a proxy's error, a wrong address", True),
    ],
)
def test_a_request_says_that_one_before_it_may_have_been_taken(
    kind: OutcomeKind, status: int | None, error: str, again: bool
) -> None:
    story = Story()
    first = story.tell("create-manifest", manifest_body()).request
    assert not first.again
    story.outcome(first, kind, status=status, error=error)
    if kind is OutcomeKind.RETRYING:
        story.outcome(first, OutcomeKind.EXPIRED, status=status, error=error, number=2)
    assert story.tell("create-manifest", manifest_body()).request.again is again


@pytest.mark.parametrize("first_ends", ["out", "lost", "refused after a lost answer", "of an earlier version"])
def test_a_pack_of_another_shipment_is_not_the_same(first_ends: str) -> None:
    """Marketplaces refuse a second Pack of an order with "already packed", and mean it."""
    story = Story()
    story.create()
    first = story.tell("pack-order", pack_body(1, sku_1=1)).request
    if first_ends != "out":
        story.outcome(first, OutcomeKind.RETRYING, status=503)
    if first_ends in ("lost", "of an earlier version"):
        story.outcome(first, OutcomeKind.EXPIRED, status=503, number=2)
    if first_ends == "refused after a lost answer":
        story.outcome(first, REFUSED, status=400, number=2)
    if first_ends == "of an earlier version":
        order = story.order
        for listed in order.deliveries:
            listed.asks = ""
        story.entities[order.key] = encode_entity(order)
    other = story.tell("pack-order", pack_body(2, sku_2=1)).request
    assert other.again is (first_ends == "of an earlier version")
    if first_ends != "out":
        assert story.tell("pack-order", pack_body(1, sku_1=1)).request.again


def test_a_pack_that_was_withdrawn_unsent_leaves_no_doubt() -> None:
    story = Story()
    story.create()
    pack = story.tell("pack-order", pack_body(sku_1=1)).request
    story.outcome(pack, OutcomeKind.EXPIRED, status=None, number=1)
    assert story.tell("pack-order", pack_body(sku_1=1)).request.again, "an attempt without an answer"
    story = Story()
    story.create()
    pack = story.tell("pack-order", pack_body(sku_1=1)).request
    order = story.order
    listed = order.delivery(pack.id)
    assert listed is not None
    listed.status = "expired"
    assert not order.may_have_been_carried_out("pack-order", listed.asks)


# Returns


def rejected_return() -> Story:
    story = Story()
    story.outcome(story.tell("create-return-order", RETURN).request, REFUSED, status=400, message="no such order")
    assert story.returned(RETURN_KEY).state == "REJECTED"
    return story


def test_an_inspection_revives_a_return_that_increff_refused() -> None:
    story = rejected_return()
    step = story.tell("return-order-acknowledgement", INSPECTED)
    assert step.facts == ["return-revived", "return-acknowledged", "return-completed"]
    assert (story.returned(RETURN_KEY).state, story.returned(RETURN_KEY).reason) == ("COMPLETED", None)
    repeat = story.tell("create-return-order", RETURN)
    assert (repeat.verdict, repeat.requests) == (Verdict.DUPLICATE, [])


def test_a_revived_return_claims_its_units_again() -> None:
    story = Story()
    story.outcome(story.tell("create-outward-order", create_body(RETURN["forwardOrderCode"])).request)
    key = order_key(CHANNEL, RETURN["forwardOrderCode"])
    pack = story.tell("pack-order", pack_body(1, RETURN["forwardOrderCode"], sku_1=2)).request
    story.outcome(pack, body={"shipmentCode": "S-1"})
    body = {**RETURN, "orderItems": [{**item, "channelSkuCode": "SKU-1"} for item in RETURN["orderItems"]]}
    story.outcome(story.tell("create-return-order", body).request, REFUSED, status=409)
    claims = {claim.code: claim.units for claim in story.entity(key).returns}  # type: ignore[attr-defined]
    assert claims == {RETURN["returnOrderCode"]: {}}
    inspected = [{**item, "channelSkuCode": "SKU-1"} for item in INSPECTED["orderItems"]]
    story.tell("return-order-acknowledgement", {**INSPECTED, "orderItems": inspected})
    claims = {claim.code: claim.units for claim in story.entity(key).returns}  # type: ignore[attr-defined]
    assert claims == {RETURN["returnOrderCode"]: {"SKU-1": 2}}


def test_a_return_that_is_taken_after_its_refusal_is_revived() -> None:
    story = Story()
    create = story.tell("create-return-order", RETURN).request
    story.outcome(create, OutcomeKind.DEAD, status=None, number=1)
    story.outcome(create, REFUSED, status=400, number=2)
    assert story.outcome(create, number=3).facts == ["return-revived"]
    assert story.returned(RETURN_KEY).state == "SUBMITTED"
