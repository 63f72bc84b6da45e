"""Each fact the orders role emits is described, each that is described is emitted, and none carries personal data."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

import streams.order
from streams.order.machine import watchdog
from streams.order.model.states import ManifestState, OrderState, ReturnState, ShipmentState
from tests.support.orders import (
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
from topics.records.facts import orders as models
from topics.records.facts import returns
from topics.records.facts.base import Fact
from topics.records.facts.catalogue import FACTS, FactError, check

SOURCES = sorted(Path(streams.order.__file__).parent.rglob("*.py"))


def emitted(tree: ast.AST) -> Iterator[str]:
    """The names of the facts that a module emits: every string of the first argument of each `.fact(` call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "fact":
            names = [
                inner.value
                for inner in _alternatives(node.args[0])
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str)
            ]
            assert names, f"line {node.lineno}: a fact is named where it is emitted"
            yield from names


def _alternatives(node: ast.expr) -> list[ast.expr]:
    """`"a" if x else "b"` names two."""
    return [*_alternatives(node.body), *_alternatives(node.orelse)] if isinstance(node, ast.IfExp) else [node]


def test_every_fact_that_is_emitted_is_described_and_no_other() -> None:
    found = {name for path in SOURCES for name in emitted(ast.parse(path.read_text(encoding="utf-8")))}
    assert found == set(FACTS)


def test_every_fact_and_every_member_that_needs_it_says_what_it_means() -> None:
    for name, model in FACTS.items():
        assert model.__doc__, name
        for base in (Fact, models.OrderFact):
            assert all(field.description for member, field in base.model_fields.items() if member not in _PLAIN), base
        for member, field in model.model_fields.items():
            if member.endswith("Ms"):
                assert "illiseconds" in (field.description or ""), f"{name}.{member} has no unit"


_PLAIN = {"orderCode", "lineCount"}


def test_the_known_values_are_the_states() -> None:
    assert set(models.ORDER_STATES) == set(OrderState)
    assert models.STEPS == watchdog.STEPS
    assert set(models.SHIPMENT_STATES) == set(ShipmentState)
    assert set(returns.RETURN_STATES) == set(ReturnState)
    assert set(returns.MANIFEST_STATES) == set(ManifestState)


@pytest.mark.parametrize(
    "change",
    [{"more": 1}, {"orderCode": None}, {"sequence": "1"}, {"lines": [{"orderItemCode": "I1"}]}],
    ids=["unknown member", "null", "text for a number", "a part that is not whole"],
)
def test_a_fact_that_is_not_what_its_model_says_is_refused(change: dict[str, Any]) -> None:
    story = Story()
    story.create()
    fact = next(fact for fact in story.facts if fact.name == "order-created")
    check(fact.name, fact.data)
    with pytest.raises(FactError, match="order-created"):
        check(fact.name, {**fact.data, **change})
    with pytest.raises(FactError, match="not in topics"):
        check("order-vanished", fact.data)


MARK = "PERSONAL-DATA"
REGION = ("city", "state", "country")
"""What facts may say of an address, besides the first characters of the postcode."""


def marked(value: Any, kept: set[str]) -> Any:
    """A body whose every text is a marker, except where the contract or the story needs its value."""
    if isinstance(value, dict):
        return {name: member if name in kept else marked(member, kept) for name, member in value.items()}
    if isinstance(value, list):
        return [marked(member, kept) for member in value]
    return MARK if isinstance(value, str) else value


CODES = {
    *("orderCode", "locationCode", "channelSkuCode", "orderItemCode", "orderType", "paymentMethod", "packType"),
    *("qcStatus", "orderTime", "dispatchByTime", "startProcessingTime", "minExpiry", "fulfillmentType", *REGION),
    *("returnOrderCode", "forwardOrderCode", "itemCode", "returnOrderTime", "expectedDate", "invoiceTime"),
    *("transporter", "awbNumber", "trackingCode", "returnOrderStatus", "qcReason", "channelReturnItemCode"),
}
"""Not personal: codes of goods, places and documents, kinds, times."""
FAR_BODY = {"message": MARK, "name": MARK, "shipmentCode": "S-1", "invoiceCode": "INV", "awbNumber": "AWB"}
"""An answer that quotes the customer beside what Sluice looks for."""


def person() -> dict[str, str]:
    names = ("name", "line1", "line2", "line3", "zip", "email", "phone")
    return {**dict.fromkeys(names, MARK), "city": "Dubai", "state": "DXB", "country": "UAE"}


def personal_create() -> dict[str, Any]:
    body = marked(create_body(), CODES)
    attributes = {f"attribute{n}": MARK for n in range(1, 11)}
    for item in body["orderItems"]:
        item["giftOptions"] = {"giftwrapRequired": True, "giftMessage": MARK, "giftDocument": MARK}
        item["orderItemCustomAttributes"] = attributes
    more = {"shippingAddress": person(), "billingAddress": person(), "orderCustomAttributes": attributes}
    return {**body, **more, "unknownMember": {"note": MARK}}


@pytest.mark.parametrize("kind", list(OutcomeKind))
def test_no_fact_carries_personal_data(kind: OutcomeKind) -> None:
    """A whole life, in which each text of a person and each word of a far side is a marker."""
    story = Story()

    def answered(step: Any) -> None:
        for request in step.requests:
            story.outcome(request, kind, status=400, body=FAR_BODY, message=f"no such phone: {MARK}")

    attributes = {"attribute1": MARK}
    created = story.tell("create-outward-order", personal_create())
    if kind in (OutcomeKind.DELIVERED, OutcomeKind.REFUSED):
        answered(created)
    answered(story.tell("handover-notification", handover_body()))  # early: parked, and refused after a rejection
    answered(story.tell("create-outward-order", {**personal_create(), "gift": True}))
    answered(story.tell("update-order-properties", {**update_body(hold=True), "note": MARK}))
    answered(story.tell("acknowledgement", {**acknowledgement_body(), "note": MARK}))
    answered(story.tell("customer-cancellation", {**cancel_body(i2=1), "reason": MARK}))
    answered(story.tell("seller-cancellation", {**cancel_body(i2=1), "reason": MARK}))
    answered(story.tell("pack-order", {**pack_body(1, sku_1=2), "customAttributes": attributes}))
    answered(story.tell("get-invoice", document_body()))
    answered(story.tell("get-shipping-label", document_body()))
    answered(story.tell("create-manifest", {**manifest_body(), "driver": MARK}))
    answered(story.tell("handover-notification", {**handover_body(), "driver": MARK}))
    report = update_body(hold=False, orderStatus="DELIVERED", deliveredAt="2025-06-17")
    answered(story.tell("update-order-properties", {**report, "signedBy": MARK}))
    returned = marked(sample("create-return-order"), CODES)
    answered(story.tell("create-return-order", {**returned, "pickupAddress": person(), "dropAddress": person()}))
    for touchpoint in ("update-returns", "return-order-acknowledgement"):
        answered(story.tell(touchpoint, {**marked(sample(touchpoint), CODES), "note": MARK}))
    assert story.facts
    assert any(MARK.encode() in bytes(state) for state in story.entities.values()) or kind is not OutcomeKind.REFUSED
    for fact in story.facts:
        assert MARK not in orjson.dumps(fact.data).decode(), fact
        assert fact.data.get("shipTo", {}).get("zipPrefix", MARK[:3]) == MARK[:3]
