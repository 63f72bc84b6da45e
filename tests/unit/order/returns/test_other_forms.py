"""Returns whose values come in another form: units are counted as they are read, and Increff gets what came."""

from __future__ import annotations

from typing import Any

from streams.order.storage.encoding import encode_entity
from tests.support.orders import CHANNEL, CODE, Story, packed_story
from topics.records.keys import return_key
from topics.records.verdicts import Verdict

PLACE = {"locationCode": "DXB-WH-01"}
ITEM = {"itemCode": 1, "channelSkuCode": "SKU-1", "reason": 7, "price": "10.50"}
CREATE: dict[str, Any] = {
    **PLACE,
    "forwardOrderCode": CODE,
    "returnOrderCode": 81,
    "orderType": "CUSTOMER_RETURN",
    "awbNumber": 9400111899223197428490,
    "orderItems": [ITEM],
}
ADDED: dict[str, Any] = {
    **PLACE,
    "orderCode": CODE,
    "returnOrderCode": 81,
    "returnLineItems": [
        {"channelReturnItemCode": 1, "channelSkuCode": "SKU-1", "price": "1"},
        {"channelReturnItemCode": 2, "channelSkuCode": "SKU-1", "price": ""},
    ],
}
INSPECTED = {"itemCode": 1, "channelSkuCode": "SKU-1", "qcStatus": "PASS", "qcReason": 5, "imageUrls": {}}
KEY = return_key(CHANNEL, "81")


def created() -> Story:
    story = packed_story()
    step = story.tell("create-return-order", CREATE)
    assert (step.verdict, step.request.body) == (Verdict.APPLIED, CREATE)
    story.outcome(step.request)
    return story


def test_a_return_of_numbers_is_one_with_its_text() -> None:
    story = created()
    found = story.returned(KEY)
    assert (list(found.items), found.courier) == (["1"], {"trackingCode": "9400111899223197428490"})
    again = {**CREATE, "returnOrderCode": "81", "orderItems": [{**ITEM, "itemCode": "1", "reason": "7"}]}
    assert story.tell("create-return-order", again).verdict is Verdict.DUPLICATE
    assert story.order.returns[0].units == {"SKU-1": 1}


def test_only_new_items_are_added_as_they_came() -> None:
    story = created()
    added = story.tell("add-return-order-items", ADDED)
    assert added.request.body == {**ADDED, "returnLineItems": ADDED["returnLineItems"][1:]}
    assert list(story.returned(KEY).items) == ["1", "2"]
    assert story.tell("add-return-order-items", {**ADDED, "returnOrderCode": "81"}).verdict is Verdict.DUPLICATE


def test_inspections_cancellations_and_updates_name_items_by_numbers() -> None:
    story = created()
    story.outcome(story.tell("add-return-order-items", ADDED).request)
    cancelled = {
        **PLACE,
        "orderCode": CODE,
        "returnOrderCode": 81,
        "returnOrderItems": [{"returnOrderItemCode": 2, "channelSkuCode": "SKU-1"}],
    }
    step = story.tell("cancel-return-order-items", cancelled)
    assert step.request.body == cancelled
    story.outcome(step.request)
    inspected = {
        **PLACE,
        "forwardOrderCode": CODE,
        "returnOrderCode": "81",
        "orderItems": [INSPECTED],
    }
    assert story.tell("return-order-acknowledgement", inspected).request.body == inspected
    again = {**inspected, "orderItems": [{**INSPECTED, "itemCode": "1", "qcReason": "5"}]}
    assert story.tell("return-order-acknowledgement", again).verdict is Verdict.DUPLICATE
    assert story.returned(KEY).state == "COMPLETED"
    update = {**PLACE, "returnOrderCode": 81, "trackingCode": 5, "transporter": True}
    assert story.tell("update-returns", update).request.body == update
    assert story.returned(KEY).courier == {"trackingCode": "5", "transporter": "true"}


def test_an_inspection_that_a_version_before_kept_with_an_empty_reason_is_a_repeat() -> None:
    story = created()
    body = {**PLACE, "forwardOrderCode": CODE, "returnOrderCode": "81", "orderItems": [{**INSPECTED, "qcReason": ""}]}
    story.tell("return-order-acknowledgement", body)
    entity = story.returned(KEY)
    entity.items["1"].inspection, entity.seen = "PASS|", []
    story.entities[KEY] = encode_entity(entity)
    for reason in ("", None):
        again = {**body, "orderItems": [{**INSPECTED, "qcReason": reason}]}
        assert story.tell("return-order-acknowledgement", again).verdict is Verdict.DUPLICATE
    other = {**body, "orderItems": [{**INSPECTED, "qcReason": "torn"}]}
    assert story.tell("return-order-acknowledgement", other).verdict is Verdict.APPLIED
