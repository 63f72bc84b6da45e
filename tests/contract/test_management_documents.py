"""What the orders role tells of an order or a return is what openapi.json says that it tells, no more and no less."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from streams.order.records.document import document
from tests.support.orders import CHANNEL, Story, manifest_body, pack_body, sample
from topics.api.management import FactDocument, OrderDocument, ReturnDocument
from topics.records.deliveries import OutcomeKind
from topics.records.keys import order_key, return_key


def _unmodelled(told: BaseModel, where: str = "") -> list[str]:
    """Members that a document has and its model does not; facts may say more by their names."""
    found = [] if isinstance(told, FactDocument) else [f"{where}.{name}" for name in told.model_extra or ()]
    for name in type(told).model_fields:
        value = getattr(told, name)
        for member in value if isinstance(value, list) else [value]:
            if isinstance(member, BaseModel):
                found += _unmodelled(member, f"{where}.{name}")
    return found


def _missing(told: dict[str, Any], model: type[BaseModel]) -> set[str]:
    return set(model.model_fields) - told.keys()


def test_an_order_with_a_shipment_and_deliveries() -> None:
    story = Story()
    created = story.create()
    story.outcome(created.request, OutcomeKind.RETRYING, status=None)
    story.outcome(created.request, number=2)
    packed = story.tell("pack-order", pack_body(sku_1=1))
    story.outcome(packed.request, body={"shipmentCode": "S-1"})
    manifested = story.tell("create-manifest", manifest_body())
    story.outcome(manifested.request, body={"manifestCode": "M-1"})
    told = document(story.entity(order_key(CHANNEL, "ORDER-1")))
    parsed = OrderDocument.model_validate(told)
    assert parsed.shipments[0].manifestCode == "M-1"
    assert len(parsed.deliveries[0].attempts) == 2
    assert parsed.facts
    assert parsed.milestones
    assert _unmodelled(parsed) == []
    assert _missing(told, OrderDocument) == {"story"}  # which the gateway adds


def test_a_return() -> None:
    story = Story()
    body = sample("create-return-order")
    story.tell("create-return-order", body)
    told = document(story.entity(return_key(CHANNEL, body["returnOrderCode"])))
    parsed = ReturnDocument.model_validate(told)
    assert [item.itemCode for item in parsed.items] == [item["itemCode"] for item in body["orderItems"]]
    assert parsed.deliveries
    assert _unmodelled(parsed) == []
    assert _missing(told, ReturnDocument) == {"story"}
