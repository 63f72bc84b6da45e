"""Values in another form: keys, quantities and states go by what is read, the far side gets what came."""

from __future__ import annotations

from typing import Any

import pytest

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

LINES = create_body()["orderItems"]


def _with_quantity(quantity: Any) -> dict[str, Any]:
    return create_body(orderItems=[{**LINES[0], "quantity": quantity}, *LINES[1:]])


@pytest.mark.parametrize("code", [4711, "4711"])
def test_4711_and_its_text_are_one_order(code: Any) -> None:
    story = Story()
    first = story.tell("create-outward-order", {**create_body(), "orderCode": 4711})
    assert first.request.body["orderCode"] == 4711
    assert list(story.entities) == [order_key(CHANNEL, "4711")]
    again = story.tell("create-outward-order", {**create_body(), "orderCode": code})
    assert (again.verdict, again.requests) == (Verdict.DUPLICATE, [])


@pytest.mark.parametrize("quantity", [2, 2.0, "2", " 2 "])
def test_a_quantity_is_one_however_it_is_printed(quantity: Any) -> None:
    story = Story()
    request = story.tell("create-outward-order", _with_quantity(quantity)).request
    assert request.body == _with_quantity(quantity)
    line = story.order.lines[0]
    assert (line.ordered, type(line.ordered)) == (2, int)
    assert story.tell("create-outward-order", _with_quantity(2)).verdict is Verdict.DUPLICATE
    assert story.tell("create-outward-order", _with_quantity(3)).verdict is Verdict.CONFLICT


def test_flags_and_amounts_as_text_are_no_other_order() -> None:
    story = Story()
    body = create_body(onHold="false", isSplitRequired="False", gift=0)
    assert story.tell("create-outward-order", body).request.body == body
    assert (story.order.held, story.order.split) == (False, False)
    plain = create_body(onHold=False, isSplitRequired=False, gift=False)
    assert story.tell("create-outward-order", plain).verdict is Verdict.DUPLICATE


def test_an_update_as_text_holds_and_is_known_again() -> None:
    story = Story()
    story.outcome(story.create().request)
    body = {**update_body(hold=True), "onHold": "true", "locationCode": "DXB-WH-01"}
    held = story.tell("update-order-properties", body)
    assert (held.facts[-1], held.request.body) == ("order-held", body)
    assert held.request.hold
    assert story.tell("update-order-properties", update_body(hold=True)).verdict is Verdict.DUPLICATE


def test_a_location_that_is_left_out_is_added_to_other_forms() -> None:
    story = Story()
    story.outcome(story.create().request)
    body = {**update_body(hold=True), "locationCode": None, "onHold": "true"}
    assert story.tell("update-order-properties", body).request.body == {**body, "locationCode": "DXB-WH-01"}
    orders = [{"orderCode": CODE, "locationCode": None, "note": 1.0}]
    acknowledged = story.tell("acknowledgement", {**acknowledgement_body(), "orders": orders, "consolidationType": ""})
    assert acknowledged.request.body["orders"] == [{**orders[0], "locationCode": "DXB-WH-01"}]


def test_a_pack_asks_with_its_own_members_and_is_joined_by_another_form() -> None:
    story = Story()
    story.outcome(story.create().request)
    body = {**pack_body(sku_1=2, sku_2=1), "shipmentId": "1", "weight": "0.5", "invoice": {"panNo": 5}}
    body["shipmentItems"] = [{**item, "quantityToPack": str(item["quantityToPack"])} for item in body["shipmentItems"]]
    asked = story.tell("pack-order", body)
    assert asked.request.body == body
    assert story.tell("pack-order", {**body, "shipmentId": 1.0}).requests == []
    story.outcome(asked.request, body={"shipmentCode": 9400111899223197428490})
    (shipment,) = story.order.shipments
    assert (shipment.id, shipment.code, [line.packed for line in story.order.lines]) == (
        1,
        "9400111899223197428490",
        [2, 1],
    )
    label = story.tell("get-shipping-label", document_body(9400111899223197428490, arePackBoxLabelsRequired="False"))  # type: ignore[arg-type]
    assert label.request.body["shipmentCode"] == 9400111899223197428490
    assert story.tell("get-shipping-label", document_body("9400111899223197428490")).requests == []
    story.outcome(label.request, body={"awbNumber": 12345, "transporter": True})
    assert (story.order.shipments[0].awb, story.order.shipments[0].transporter) == ("12345", "true")


@pytest.mark.parametrize(("code", "known"), [("", None), ([1], None), ({}, None), (7.5, "7.5"), (True, "true")])
def test_a_shipment_code_of_any_type_is_a_text_or_none(code: Any, known: str | None) -> None:
    story = Story()
    story.outcome(story.create().request)
    story.outcome(story.tell("pack-order", pack_body(sku_1=2, sku_2=1)).request, body={"shipmentCode": code})
    assert story.order.shipments[0].code == known


def test_a_label_that_waits_for_a_pack_asks_with_its_own_members() -> None:
    story = Story()
    story.outcome(story.create().request)
    pack = story.tell("pack-order", pack_body(sku_1=2, sku_2=1)).request
    body = {**document_body("S-1"), "shipmentId": "1", "arePackBoxLabelsRequired": "true", "locationCode": None}
    assert story.tell("get-shipping-label", body).requests == []
    packed = story.outcome(pack, body={"shipmentCode": "S-1"})
    (label,) = [request for request in packed.requests if request.touchpoint == "get-shipping-label"]
    assert label.body == {**body, "locationCode": "DXB-WH-01"}
    assert story.order.relays[0].key.endswith(",boxes")


def test_a_cancellation_that_waits_for_a_pack_asks_with_its_own_members() -> None:
    story = Story()
    story.outcome(story.create().request)
    pack = story.tell("pack-order", pack_body(sku_1=1)).request
    body = cancel_body(i2=1)
    body["orderItems"][0]["cancelledQuantity"] = "1"
    assert story.tell("customer-cancellation", body).requests == []
    packed = story.outcome(pack, body={"shipmentCode": "S-1"})
    (asked,) = [request for request in packed.requests if request.touchpoint == "customer-cancellation"]
    assert asked.body == body
    story.outcome(asked, status=200)
    assert [line.customer for line in story.order.lines] == [0, 1]


def test_an_early_cancellation_is_applied_as_it_came() -> None:
    story = Story()
    body = cancel_body(i1=1)
    body["orderItems"][0] |= {"cancelledQuantity": "1", "sellerCancelledQty": 1.0}
    assert story.tell("seller-cancellation", body).verdict is Verdict.EARLY
    plain = cancel_body(i1=1)
    plain["orderItems"][0]["sellerCancelledQty"] = 1
    story.tell("seller-cancellation", plain)
    created = story.create()
    (sent,) = [request for request in created.requests if request.touchpoint == "seller-cancellation"]
    assert sent.body == body
    assert story.order.lines[0].seller == 1


def test_a_handover_and_a_manifest_of_numbers_find_their_shipment() -> None:
    story = packed_story("5")
    body = manifest_body()
    body["manifestItems"][0] |= {"shipmentCode": 5, "awbNumber": 77}
    manifest = story.tell("create-manifest", {**body, "manifestId": "7"})
    assert manifest.request.body == {**body, "manifestId": "7"}
    answer = {"manifestCode": 12, "manifestItems": [{"orderCode": CODE, "shipmentCode": 5}]}
    story.outcome(manifest.request, body=answer)
    assert story.manifest(manifest_key(CHANNEL, "7")).manifest_code == "12"
    assert (story.order.shipments[0].manifest, story.order.shipments[0].awb) == ("12", "77")
    handed = handover_body()
    handed["handoverItems"][0] |= {"shipmentCode": 5, "gatePassCode": [1]}
    assert story.tell("handover-notification", handed).request.body == handed
    assert story.order.state == "HANDED_OVER"


def test_a_refused_create_in_another_form_is_the_same_create() -> None:
    story = Story()
    request = story.tell("create-outward-order", _with_quantity("2")).request
    story.outcome(request, OutcomeKind.REFUSED, status=400, message="SKU not listed")
    assert story.tell("create-outward-order", _with_quantity(2)).verdict is Verdict.REFUSED
