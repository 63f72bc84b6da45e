"""What B2B orders carry, and members nobody knows yet.

Property: a body leaves for the far side as it came, whole: Sluice adds what it knows where a member is missing, and
changes or drops nothing.
"""

from __future__ import annotations

from typing import Any

import pytest

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
    update_body,
)
from topics.contract.touchpoints import BY_NAME
from topics.schema_base import canonical

UNKNOWN: dict[str, Any] = {"newMember": None, "newObject": {"a": [1, None, {"b": 10.0}]}, "newFlag": False}
BOXES = [{"boxId": 1, "awbNumber": "AWB-1", "seal": None}, {"boxId": 2, "awbNumber": None}]
B2B = create_body(
    partnerCode="PARTNER-7",
    partnerLocationCode="STORE-11",
    packType="BULK",
    orderType="PO",
    billingAddress=None,
    taxBreakupForms=[
        {
            "channelSkuId": "SKU-1",
            "baseSellingPricePerUnit": 85.0,
            "taxItemForms": [{"type": "VAT", "rate": 5.0, "taxPerUnit": 4.25, "note": None}],
        }
    ],
    orderCustomAttributes={"attribute1": "x", "attribute10": None, "currency": "AED", "channelMetadata": {"k": "v"}},
    **UNKNOWN,
)


def with_boxes(body: dict[str, Any], items: str, name: str) -> dict[str, Any]:
    return {**body, items: [{**item, name: BOXES, **UNKNOWN} for item in body[items]], **UNKNOWN}


def test_a_b2b_create_reaches_increff_whole() -> None:
    story = Story()
    BY_NAME["create-outward-order"].request.model_validate(B2B)
    assert story.tell("create-outward-order", B2B).request.body == B2B
    assert story.tell("create-outward-order", B2B).verdict == "DUPLICATE"


@pytest.mark.parametrize(
    ("touchpoint", "body"),
    [
        ("update-order-properties", update_body(hold=True, locationCode="DXB-WH-01", **UNKNOWN)),
        ("seller-cancellation", {**cancel_body(i1=1), "acceptedQty": 1, "sellerRejectQty": None, **UNKNOWN}),
        ("customer-cancellation", {**cancel_body(i1=1), **UNKNOWN}),
        ("acknowledgement", {**acknowledgement_body(), **UNKNOWN}),
        (
            "pack-order",
            {
                **pack_body(sku_1=1),
                "fulfillmentType": None,
                "dimensions": {"length": 34.5, "unit": "cm"},
                "shipmentItems": [
                    {"channelSkuCode": "SKU-1", "quantityToPack": 1, "externalSerialCodes": ["A", "B"], **UNKNOWN}
                ],
                **UNKNOWN,
            },
        ),
    ],
)
def test_what_is_not_known_passes_through(touchpoint: str, body: dict[str, Any]) -> None:
    story = Story()
    story.create()
    BY_NAME[touchpoint].request.model_validate(body)
    assert story.tell(touchpoint, body).request.body == body


def test_a_label_per_box_is_asked_for_as_it_was_asked_and_known_apart() -> None:
    story = packed_story()
    body = document_body(shipmentId="1", locationCode="DXB-WH-01", arePackBoxLabelsRequired="true", newMember="x")
    assert story.tell("get-shipping-label", body).request.body == body
    plain = story.tell("get-shipping-label", document_body())
    assert plain.request.body == {**document_body(), "shipmentId": 1, "locationCode": "DXB-WH-01"}


@pytest.mark.parametrize("name", ["packboxDetailsList", "packBoxDetailsList"])
def test_boxes_reach_the_marketplace_under_the_pages_own_spelling(name: str) -> None:
    story = packed_story()
    manifest = canonical("create-manifest", with_boxes(manifest_body(), "manifestItems", name))
    BY_NAME["create-manifest"].request.model_validate(manifest)
    (sent,) = story.tell("create-manifest", manifest).request.body["manifestItems"]
    assert (sent["packboxDetailsList"], sent["newObject"]) == (BOXES, UNKNOWN["newObject"])
    handover = canonical("handover-notification", with_boxes(handover_body(), "handoverItems", name))
    BY_NAME["handover-notification"].request.model_validate(handover)
    (sent,) = story.tell("handover-notification", handover).request.body["handoverItems"]
    assert (sent["packBoxDetailsList"], sent["newObject"]) == (BOXES, UNKNOWN["newObject"])


def test_what_was_parked_leaves_as_whole_as_what_was_not() -> None:
    story = Story()
    body = {**cancel_body(i1=1), **UNKNOWN}
    story.tell("seller-cancellation", body, "early")
    step = story.tell("create-outward-order", create_body())
    assert [one.body for one in step.requests if one.id == "early.0"] == [body]
