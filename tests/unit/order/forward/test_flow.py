"""An order's life, step by step: each step's verdict, state, what leaves and what becomes a fact.

Property: the order's state says where it is, and each step leaves once, enriched, in sequence.
"""

from __future__ import annotations

import pytest

from streams.order.model import limits
from streams.order.model.effects import PublishFact
from tests.support.orders import (
    CHANNEL,
    CODE,
    Story,
    acknowledgement_body,
    cancel_body,
    create_body,
    document_body,
    handover_body,
    manifest_body,
    pack_body,
    packed_story,
    update_body,
)
from topics.records.deliveries import OutcomeKind
from topics.records.keys import manifest_key, order_key
from topics.records.verdicts import Verdict
from topics.schema_base import ITEMS_MAX


def test_the_happy_path_from_create_to_delivered() -> None:
    story = Story()
    created = story.create()
    assert (created.verdict, story.order.state) == (Verdict.APPLIED, "RECEIVED")
    assert created.facts == ["order-created"]
    assert (created.request.destination, created.request.sequence) == ("increff", 1)
    assert story.outcome(created.request).facts == ["order-submitted"]
    assert story.order.state == "SUBMITTED"

    acknowledged = story.tell("acknowledgement", acknowledgement_body())
    assert (acknowledged.verdict, story.order.state) == (Verdict.APPLIED, "ACKNOWLEDGED")
    assert (acknowledged.request.destination, acknowledged.request.sequence) == (f"channel:{CHANNEL}", 1)

    pack = story.tell("pack-order", pack_body(sku_1=2, sku_2=1))
    assert pack.verdict is None, "the marketplace's answer is awaited"
    assert (pack.request.relay, pack.request.withdraw, pack.request.sequence) == (True, True, 2)
    packed = story.outcome(pack.request, body={"shipmentCode": "S-1"})
    assert packed.reply.verdict is Verdict.APPLIED
    assert packed.reply.body == {"shipmentCode": "S-1"}
    assert story.order.state == "PACKED"

    label = story.tell("get-shipping-label", document_body())
    assert (label.request.beside, label.request.body["shipmentId"]) == (True, 1)
    story.outcome(label.request, body={"awbNumber": "AWB", "transporter": "GULF", "shippingLabelUrl": "http://l"})
    assert story.order.state == "LABELLED"
    invoice = story.tell("get-invoice", document_body())
    story.outcome(invoice.request, body={"invoiceCode": "INV-1", "invoiceUrl": "http://i"})

    manifest = story.tell("create-manifest", manifest_body())
    story.outcome(manifest.request, body={"manifestCode": "M-1", "manifestItems": []})
    assert story.order.state == "MANIFESTED"
    assert story.manifest(manifest_key(CHANNEL, "7")).state == "MANIFESTED"

    handover = story.tell("handover-notification", handover_body())
    assert (handover.verdict, story.order.state) == (Verdict.APPLIED, "HANDED_OVER")
    assert handover.facts == ["shipment-handed-over", "order-handed-over"]
    delivered = story.tell(
        "update-order-properties", update_body(hold=False, orderStatus="DELIVERED", deliveredAt="2025-06-17")
    )
    assert (delivered.request.destination, delivered.request.sequence) == ("increff", 2)
    assert story.order.state == "DELIVERED"

    shipment = story.order.shipments[0]
    assert (shipment.code, shipment.awb, shipment.transporter) == ("S-1", "AWB", "GULF")
    assert (shipment.invoice, shipment.manifest) == ("INV-1", "M-1")
    of_order = [fact for fact in story.facts if fact.data.get("orderCode") == CODE]
    assert [fact.data["sequence"] for fact in of_order] == list(range(1, len(of_order) + 1))


def test_facts_carry_context_and_durations_and_no_personal_data() -> None:
    story = packed_story()
    fact = story.facts[-1]
    assert fact.name == "shipment-packed"
    assert fact.data["items"][0] == {"orderItemCode": "I1", "channelSkuCode": "SKU-1", "quantity": 2}
    assert fact.data["lines"][0]["packed"] == 2
    assert 0 < fact.data["milestones"]["submittedMs"] < fact.data["milestones"]["packedMs"]
    address = create_body()["shippingAddress"]
    everything = repr([fact.data for fact in story.facts])
    for member in ("name", "line1", "line2", "email", "phone"):
        assert address[member] not in everything, f"{member} is personal data"
    created = next(fact for fact in story.facts if isinstance(fact, PublishFact))
    assert created.data["shipTo"]["city"] == address["city"]


def test_the_largest_order_is_packed_whole_and_its_facts_stay_small() -> None:
    story = Story()
    story.create(quantities=(1,) * ITEMS_MAX)
    items = [{"channelSkuCode": f"SKU-{n}", "quantityToPack": 1} for n in range(1, ITEMS_MAX + 1)]
    story.outcome(story.tell("pack-order", {**pack_body(), "shipmentItems": items}).request, body={"shipmentCode": "S"})
    assert sum(line.packed for line in story.order.lines) == ITEMS_MAX
    created = story.facts[0].data
    assert (len(created["lines"]), created["lineCount"]) == (limits.FACT_LINES_MAX, ITEMS_MAX)


def test_what_leaves_is_enriched_but_never_changed() -> None:
    story = Story()
    story.create()
    acknowledged = story.tell("acknowledgement", acknowledgement_body(location=None))
    assert acknowledged.request.body["orders"] == [{"orderCode": CODE, "locationCode": "DXB-WH-01"}]
    body = {**cancel_body(i1=1), "locationCode": None}
    assert story.tell("seller-cancellation", body).request.body["locationCode"] == "DXB-WH-01"
    named = {**cancel_body(i1=2), "acceptedQty": None, "note": "kept"}
    assert story.tell("seller-cancellation", named).request.body == named


def test_an_acknowledgement_of_all_locations_gets_no_location() -> None:
    story = Story()
    story.create()
    body = {"orders": [{"orderCode": CODE}], "consolidationType": "ALL"}
    assert story.tell("acknowledgement", body).request.body == body


def test_hold_release_hold_are_three_changes() -> None:
    story = Story()
    story.outcome(story.create().request)
    for hold, state in ((True, "HELD"), (False, "SUBMITTED"), (True, "HELD")):
        step = story.tell("update-order-properties", update_body(hold=hold))
        assert (step.verdict, story.order.state) == (Verdict.APPLIED, state)
        assert step.request.body["onHold"] is hold
    again = story.tell("update-order-properties", update_body(hold=True))
    assert (again.verdict, again.requests) == (Verdict.DUPLICATE, [])


def test_an_order_created_on_hold_is_released() -> None:
    story = Story()
    created = story.create(onHold=True)
    assert story.order.state == "HELD"
    story.outcome(created.request)
    assert story.order.state == "HELD"
    story.tell("update-order-properties", update_body(hold=False))
    assert story.order.state == "SUBMITTED"


def test_a_hold_that_increff_refuses_is_taken_back_and_may_be_repeated() -> None:
    story = Story()
    story.outcome(story.create().request)
    hold = story.tell("update-order-properties", update_body(hold=True))
    refused = story.outcome(hold.request, OutcomeKind.REFUSED, status=400, message="cannot hold")
    assert (refused.facts, story.order.state) == (["delivery-refused"], "SUBMITTED")
    assert story.tell("update-order-properties", update_body(hold=True)).requests


def test_increffs_refusal_of_a_create_is_told_and_a_corrected_create_goes_through() -> None:
    story = Story()
    rejected = story.outcome(story.create().request, OutcomeKind.REFUSED, status=400, message="SKU not listed")
    assert (rejected.facts, story.order.state) == (["order-rejected"], "REJECTED")
    repeat = story.create()
    assert (repeat.verdict, repeat.requests) == (Verdict.REFUSED, [])
    assert "SKU not listed" in repeat.reply.message
    other = story.tell("update-order-properties", update_body(hold=True))
    assert (other.verdict, "SKU not listed" in other.reply.message) == (Verdict.REFUSED, True)
    corrected = story.create(quantities=(5,))
    assert (corrected.verdict, corrected.request.sequence, story.order.state) == (Verdict.APPLIED, 2, "RECEIVED")
    assert [line.ordered for line in story.order.lines] == [5]
    story.outcome(corrected.request)
    assert story.order.state == "SUBMITTED"


def test_several_shipments_hand_over_the_order_with_the_last() -> None:
    story = Story()
    story.create()
    for shipment, body in ((1, pack_body(1, sku_1=2)), (2, pack_body(2, sku_2=1))):
        pack = story.tell("pack-order", body)
        story.outcome(pack.request, body={"shipmentCode": f"S-{shipment}"})
    story.tell("handover-notification", handover_body("S-1"))
    assert story.order.state == "MANIFESTED"
    story.tell("handover-notification", handover_body("S-2"))
    assert story.order.state == "HANDED_OVER"


def test_open_units_keep_the_order_from_being_handed_over_until_they_are_cancelled() -> None:
    story = Story()
    story.create()
    story.outcome(story.tell("pack-order", pack_body(sku_1=2)).request, body={"shipmentCode": "S-1"})
    story.tell("handover-notification", handover_body())
    assert story.order.state == "MANIFESTED"
    step = story.tell("seller-cancellation", cancel_body(i2=1))
    assert (story.order.state, step.facts) == ("HANDED_OVER", ["seller-cancelled", "order-handed-over"])


def test_a_manifest_that_comes_after_the_handover_is_still_noted() -> None:
    story = packed_story()
    story.tell("handover-notification", handover_body())
    manifest = story.tell("create-manifest", manifest_body())
    story.outcome(manifest.request, body={"manifestCode": "M-1"})
    assert (story.order.state, story.order.shipments[0].manifest) == ("HANDED_OVER", "M-1")


def test_a_switched_off_touchpoint_is_recorded_and_not_delivered() -> None:
    story = Story()
    story.create()
    step = story.tell("acknowledgement", acknowledgement_body(), offered=False)
    assert (step.verdict, step.requests, story.order.state) == (Verdict.APPLIED, [], "ACKNOWLEDGED")
    pack = story.tell("pack-order", pack_body(sku_1=1), offered=False)
    assert (pack.verdict, pack.requests) == (Verdict.REFUSED, [])


def test_a_dead_delivery_is_a_fact_and_an_operators_retry_still_counts() -> None:
    story = Story()
    create = story.create().request
    for number in (1, 2):
        story.outcome(create, OutcomeKind.RETRYING, status=500, number=number)
    assert story.order.deliveries[0].status == "retrying"
    assert [attempt[0] for attempt in story.order.deliveries[0].attempts] == [1, 2]
    dead = story.outcome(create, OutcomeKind.DEAD, status=500, number=3)
    assert (dead.facts, story.order.deliveries[0].status) == (["delivery-failed"], "dead")
    assert story.outcome(create, OutcomeKind.DEAD, status=500, number=3).facts == []
    story.outcome(create, number=4)
    assert (story.order.state, story.order.deliveries[0].status) == ("SUBMITTED", "delivered")


def test_a_query_answers_the_document_and_leaves_no_state() -> None:
    story = packed_story()
    key = order_key(CHANNEL, CODE)
    before = story.entities[key]
    document = story.query({"orderCode": CODE}, key).reply.body
    assert (document["state"], document["lines"][0]["packed"]) == ("PACKED", 2)
    assert document["shipments"][0]["shipmentCode"] == "S-1"
    assert [fact["name"] for fact in document["facts"]][-1] == "shipment-packed"
    assert {delivery["touchpoint"]: delivery["status"] for delivery in document["deliveries"]} == {
        "create-outward-order": "delivered",
        "acknowledgement": "queued",
        "pack-order": "delivered",
    }
    assert story.entities[key] == before
    unknown = story.query({"orderCode": "X"}, order_key(CHANNEL, "X"))
    assert (unknown.reply.verdict, unknown.reply.body) == (Verdict.ANSWERED, None)
    assert order_key(CHANNEL, "X") not in story.entities


@pytest.mark.parametrize(
    ("touchpoint", "body"),
    [
        ("update-order-properties", update_body(hold=True)),
        ("pack-order", pack_body(sku_1=1)),
        ("get-invoice", document_body()),
        ("get-shipping-label", document_body()),
        ("customer-cancellation", cancel_body(i1=1)),
    ],
)
def test_a_request_about_an_order_that_is_not_known_is_early_and_leaves_nothing(
    touchpoint: str, body: dict[str, object]
) -> None:
    story = Story()
    step = story.tell(touchpoint, body)
    assert (step.verdict, step.requests, story.entities) == (Verdict.EARLY, [], {})
    assert CODE in step.reply.message
