"""Orders first met midway, under a channel policy that takes them on.

Property: whatever they are met by is handled as if their Create had been seen, what is known of them adds up and grows
with what is said, and a Create that comes late completes them and changes nothing at Increff.
"""

from __future__ import annotations

from typing import Any

import pytest

from streams.order.model import limits
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
    update_body,
)
from topics.records.deliveries import OutcomeKind
from topics.records.keys import order_key
from topics.records.verdicts import Verdict

KEY = order_key(CHANNEL, CODE)
DELIVERED = update_body(hold=False, orderStatus="DELIVERED", deliveredAt="2025-06-17")


def adopting() -> Story:
    return Story(unknown_orders="adopt")


def units(story: Story) -> dict[str, tuple[int, int, int, int, int]]:
    for line in story.order.lines:
        assert line.ordered == line.open + line.packed + line.cancelled
    return {
        line.code: (line.ordered, line.packed, line.packing, line.customer, line.seller) for line in story.order.lines
    }


@pytest.mark.parametrize(
    ("touchpoint", "body", "state", "sent"),
    [
        ("acknowledgement", acknowledgement_body(), "ACKNOWLEDGED", "acknowledgement"),
        ("pack-order", pack_body(sku_1=2), "SUBMITTED", "pack-order"),
        ("get-invoice", document_body(), "SUBMITTED", "get-invoice"),
        ("get-shipping-label", document_body(shipmentId="7"), "SUBMITTED", "get-shipping-label"),
        ("handover-notification", handover_body(), "HANDED_OVER", "handover-notification"),
        ("seller-cancellation", cancel_body(i1=1), "SUBMITTED", "seller-cancellation"),
        ("customer-cancellation", cancel_body(i1=1), "SUBMITTED", "customer-cancellation"),
        ("update-order-properties", update_body(hold=True), "HELD", "update-order-properties"),
        ("update-order-properties", DELIVERED, "DELIVERED", "update-order-properties"),
    ],
)
def test_an_unknown_order_is_taken_on_by_what_it_is_met_by(
    touchpoint: str, body: dict[str, Any], state: str, sent: str
) -> None:
    story = adopting()
    step = story.tell(touchpoint, body)
    assert step.facts[0] == "order-adopted"
    assert [request.touchpoint for request in step.requests] == [sent]
    assert (story.order.adopted, story.order.state) == (True, state)
    assert story.facts[0].data["sequence"] == 1


def test_a_manifest_takes_on_the_order_it_names() -> None:
    story = adopting()
    story.outcome(story.tell("create-manifest", manifest_body()).request, body={"manifestCode": "M-1"})
    assert (story.order.state, story.order.shipments[0].manifest) == ("MANIFESTED", "M-1")


def test_a_pack_teaches_skus_and_a_cancellation_their_items() -> None:
    story = adopting()
    story.outcome(story.tell("pack-order", pack_body(1, sku_1=2)).request, body={"shipmentCode": "S-1"})
    assert units(story) == {"SKU-1": (2, 2, 0, 0, 0)}
    story.tell("pack-order", pack_body(2, sku_1=1, sku_2=4))
    assert units(story) == {"SKU-1": (3, 2, 1, 0, 0), "SKU-2": (4, 0, 4, 0, 0)}
    story.tell("seller-cancellation", cancel_body(i1=1, i3=2))
    assert units(story) == {"I1": (4, 2, 1, 0, 1), "SKU-2": (4, 0, 4, 0, 0), "I3": (2, 0, 0, 0, 2)}
    assert story.order.shipments[0].items == [("I1", "SKU-1", 2)]
    assert story.order.state == "PACKED", "nobody knows whether there is more"


def test_units_of_a_pack_that_was_refused_are_open_and_packed_again() -> None:
    story = adopting()
    story.outcome(story.tell("pack-order", pack_body(1, sku_1=2)).request, OutcomeKind.REFUSED, status=400)
    assert units(story) == {"SKU-1": (2, 0, 0, 0, 0)}
    story.outcome(story.tell("pack-order", pack_body(2, sku_1=2)).request, body={"shipmentCode": "S-1"})
    assert units(story) == {"SKU-1": (2, 2, 0, 0, 0)}


def test_a_customers_cancellation_is_increffs_to_judge() -> None:
    story = adopting()
    cancel = story.tell("customer-cancellation", cancel_body(i1=2)).request
    assert story.tell("pack-order", pack_body(1, sku_1=1)).verdict is Verdict.FAILED, "they would cross"
    story.outcome(cancel)
    assert units(story) == {"I1": (2, 0, 0, 2, 0)}
    assert story.order.state == "SUBMITTED"
    story.outcome(story.tell("pack-order", pack_body(1, sku_1=1)).request, body={"shipmentCode": "S-1"})
    assert units(story) == {"I1": (3, 1, 0, 2, 0)}


def test_any_call_that_names_a_shipment_adopts_it_as_packed() -> None:
    story = adopting()
    story.tell("acknowledgement", acknowledgement_body())
    label = story.tell("get-shipping-label", document_body("S-1", shipmentId="7"))
    assert (label.facts, label.request.body) == ([], document_body("S-1", shipmentId="7"))
    answered = story.outcome(label.request, body={"awbNumber": "A", "transporter": "T"})
    assert answered.facts == ["shipment-adopted", "label-issued"]
    assert (story.order.shipments[0].number, story.order.state) == (7, "LABELLED")
    assert story.tell("get-shipping-label", document_body("S-1", shipmentId="7")).verdict is Verdict.DUPLICATE
    assert story.tell("handover-notification", handover_body("S-2")).facts[0] == "shipment-adopted"
    assert story.order.shipments[1].number is None
    assert story.query({"orderCode": CODE}, KEY).reply.body["shipments"][1]["shipmentId"] is None
    story.tell("handover-notification", handover_body("S-1"))
    assert story.order.state == "HANDED_OVER"
    later = story.tell("pack-order", pack_body(9, sku_1=1))
    assert (story.order.state, later.verdict) == ("MANIFESTED", None)


@pytest.mark.parametrize("touchpoint", ["get-invoice", "get-shipping-label"])
def test_a_document_that_the_marketplace_does_not_have_adopts_no_shipment(touchpoint: str) -> None:
    story = adopting()
    asked = story.tell(touchpoint, document_body("MISTAKEN"))
    joined = story.tell(touchpoint, document_body("MISTAKEN"))
    assert joined.requests == []
    refused = story.outcome(asked.request, OutcomeKind.REFUSED, status=404, message="unknown")
    assert {reply.verdict for reply in refused.replies.values()} == {Verdict.REFUSED}
    assert (len(refused.replies), story.order.shipments, story.order.state) == (2, [], "SUBMITTED")


def test_an_invoice_shows_a_shipment_too_and_a_late_create_does_not_hide_it() -> None:
    story = adopting()
    asked = story.tell("get-invoice", document_body("S-1")).request
    story.tell("create-outward-order", create_body())
    assert story.outcome(asked, body={"invoiceCode": "INV-1"}).facts == ["shipment-adopted", "invoice-issued"]
    assert (story.order.state, story.order.shipments[0].invoice) == ("PACKED", "INV-1")


def test_a_pack_answered_with_the_code_of_an_adopted_shipment_is_that_shipment() -> None:
    story = adopting()
    story.tell("handover-notification", handover_body("S-1"))
    story.outcome(story.tell("pack-order", pack_body(1, sku_1=1)).request, body={"shipmentCode": "S-1"})
    (shipment,) = story.order.shipments
    assert (shipment.number, shipment.state, shipment.items) == (1, "HANDED_OVER", [("SKU-1", "SKU-1", 1)])
    assert story.order.state == "HANDED_OVER"


def test_a_create_that_comes_late_completes_the_order_and_goes_to_increff() -> None:
    story = adopting()
    story.outcome(story.tell("pack-order", pack_body(1, sku_1=3)).request, body={"shipmentCode": "S-1"})
    story.tell("seller-cancellation", cancel_body(i3=1))
    body = create_body(quantities=(2, 1, 2))
    body["orderItems"][1]["channelSkuCode"] = "SKU-1"
    step = story.tell("create-outward-order", body)
    assert (step.verdict, step.request.touchpoint, step.facts) == (
        Verdict.APPLIED,
        "create-outward-order",
        ["order-created"],
    )
    assert units(story) == {"I1": (2, 2, 0, 0, 0), "I2": (1, 1, 0, 0, 0), "I3": (2, 0, 0, 0, 1)}
    assert story.order.shipments[0].items == [("I1", "SKU-1", 2), ("I2", "SKU-1", 1)]
    assert story.outcome(step.request).facts == ["order-submitted"]
    assert story.order.state == "PACKED"
    assert story.tell("create-outward-order", body).verdict is Verdict.DUPLICATE
    assert story.tell("create-outward-order", create_body()).verdict is Verdict.CONFLICT
    assert story.tell("pack-order", pack_body(2, sku_3=2)).verdict is Verdict.REFUSED, "now it is known what there is"


def test_a_create_that_increff_refuses_does_not_undo_what_it_works_on() -> None:
    story = adopting()
    story.tell("update-order-properties", update_body(hold=True))
    step = story.tell("create-outward-order", create_body())
    assert story.order.state == "HELD", "the update is newer"
    assert story.outcome(step.request, OutcomeKind.REFUSED, status=400).facts == ["delivery-refused"]
    assert story.order.state == "HELD"


def test_a_create_that_names_less_than_is_known_leaves_nothing_out() -> None:
    story = adopting()
    story.tell("seller-cancellation", cancel_body(i1=3, i9=1))
    story.tell("create-outward-order", create_body(quantities=(2,)))
    assert units(story) == {"I1": (3, 0, 0, 0, 3), "I9": (1, 0, 0, 0, 1)}
    assert story.order.state == "CANCELLED"


def test_what_is_in_an_adopted_shipment_nobody_told_so_open_units_do_not_hold_the_order_back() -> None:
    story = adopting()
    story.tell("handover-notification", handover_body("S-1"))
    story.tell("create-outward-order", create_body())
    assert story.order.state == "HANDED_OVER"


def test_events_that_were_parked_before_the_policy_changed_are_applied_first() -> None:
    story = Story()
    story.tell("seller-cancellation", cancel_body(i1=1), "parked")
    story.unknown_orders = "adopt"
    step = story.tell("acknowledgement", acknowledgement_body())
    assert step.facts == ["order-adopted", "seller-cancelled", "order-acknowledged"]
    assert (story.order.state, story.order.early) == ("ACKNOWLEDGED", [])


def test_a_query_says_that_an_order_was_adopted() -> None:
    story = adopting()
    story.tell("acknowledgement", acknowledgement_body())
    assert story.query({"orderCode": CODE}, KEY).reply.body["adopted"] is True


def test_the_lines_of_an_adopted_order_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINES_MAX", 2)
    story = adopting()
    story.tell("seller-cancellation", cancel_body(i1=1, i2=1))
    for touchpoint, body in (("seller-cancellation", cancel_body(i3=1)), ("pack-order", pack_body(sku_3=1))):
        assert story.tell(touchpoint, body).verdict is Verdict.REFUSED
    assert len(story.order.lines) == 2


def test_a_document_of_a_shipment_that_became_another_is_not_served_to_the_next() -> None:
    """Until its shipmentId is told, a shipment has an id in its place, which the next one may get."""
    story = adopting()
    story.tell("handover-notification", handover_body("S-1"))
    story.outcome(story.tell("get-shipping-label", document_body("S-1")).request, body={"awbNumber": "FIRST"})
    story.outcome(story.tell("pack-order", pack_body(1, sku_1=1)).request, body={"shipmentCode": "S-1"})
    story.tell("handover-notification", handover_body("S-2"))
    asked = story.tell("get-shipping-label", document_body("S-2"))
    assert asked.verdict is None, "it was never asked for"
    assert story.outcome(asked.request, body={"awbNumber": "SECOND"}).reply.body == {"awbNumber": "SECOND"}
    assert story.tell("get-shipping-label", document_body("S-2")).reply.body == {"awbNumber": "SECOND"}


def test_a_document_that_is_out_while_its_shipment_becomes_another_is_joined_and_recorded() -> None:
    story = adopting()
    story.tell("handover-notification", handover_body("S-1"))
    boxes = document_body("S-1", arePackBoxLabelsRequired="true")
    asked = [story.tell("get-shipping-label", body).request for body in (document_body("S-1"), boxes)]
    story.outcome(story.tell("pack-order", pack_body(1, sku_1=1)).request, body={"shipmentCode": "S-1"})
    story.tell("handover-notification", handover_body("S-2"))
    other = story.tell("get-shipping-label", document_body("S-2")).request
    assert story.tell("get-shipping-label", document_body("S-1"), "joined").requests == []
    for request, awb in zip([*asked, other], ("FIRST", "BOXES", "SECOND"), strict=True):
        assert {
            reply.body["awbNumber"] for reply in story.outcome(request, body={"awbNumber": awb}).replies.values()
        } == {awb}
    for body, awb in ((document_body("S-1"), "FIRST"), (boxes, "BOXES"), (document_body("S-2"), "SECOND")):
        assert story.tell("get-shipping-label", body).reply.body == {"awbNumber": awb}


def test_a_document_that_was_asked_for_before_its_shipment_was_known_is_joined() -> None:
    story = adopting()
    asked = story.tell("get-invoice", document_body("S-1")).request
    story.outcome(story.tell("pack-order", pack_body(1, sku_1=1)).request, body={"shipmentCode": "S-1"})
    assert story.tell("get-invoice", document_body("S-1"), "joined").requests == []
    assert set(story.outcome(asked, body={"invoiceCode": "I"}).replies) >= {"joined"}
