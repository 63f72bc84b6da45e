"""A call in other words is a repeat, at each touchpoint that compares calls; also for states of a version before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from streams.order.model.canonical import call_digest, former_digest
from streams.order.model.entity import Entity
from streams.order.storage.encoding import encode_entity
from tests.support.orders import (
    CODE,
    Story,
    acknowledgement_body,
    cancel_body,
    create_body,
    handover_body,
    manifest_body,
    pack_body,
    packed_story,
    sample,
    update_body,
)
from tests.unit.order.forward.test_repeats import CASES
from topics.contract.definition import Mode
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import OutcomeKind
from topics.records.keys import order_key
from topics.records.verdicts import Verdict

ANSWER = {"shipmentCode": "S-1", "manifestCode": "M", "awbNumber": "A", "invoiceCode": "I"}
Body = dict[str, Any]


def _create(body: Body) -> Body:
    flat = {name: value for name, value in body.items() if name not in ("isPriority", "gift", "qcStatus")}
    return {
        **flat,
        "isSplitRequired": None,
        "orderItems": body["orderItems"][::-1],
        "orderTime": "2025-06-14T05:12:41Z",
    }


def _reversed_items(name: str) -> Callable[[Body], Body]:
    return lambda body: {**body, name: body[name][::-1]}


OTHER_WORDS: dict[str, Callable[[Body], Body]] = {
    "create-outward-order": _create,
    "customer-cancellation": lambda body: {**body, "locationCode": None},
    "update-order-properties": lambda body: {**body, "dispatchByTime": "2025-06-16T14:00:00Z", "deliveredAt": None},
    "create-return-order": lambda body: {**_reversed_items("orderItems")(body), "sellerGstin": ""},
    "update-returns": lambda body: {
        **body,
        "expectedDate": "2025-06-28T14:00:00Z",
        "returnOrderAttributes": {**body["returnOrderAttributes"], "attribute2": None},
    },
    "add-return-order-items": lambda body: {**_reversed_items("returnLineItems")(body), "more": None},
    "cancel-return-order-items": lambda body: {**_reversed_items("returnOrderItems")(body), "more": None},
    "acknowledgement": lambda body: {**body, "orders": [{**one, "more": None} for one in body["orders"]]},
    "pack-order": lambda body: {
        **body,
        "dimensions": {},
        "weight": None,
        "shipmentItems": [{**one, "externalSerialCodes": []} for one in body["shipmentItems"]],
    },
    "create-manifest": lambda body: {
        **body,
        "manifestItems": [{**one, "packboxDetailsList": []} for one in body["manifestItems"]],
    },
    "handover-notification": lambda body: {
        **body,
        "handoverItems": [{**one, "gatePassCode": ""} for one in body["handoverItems"]],
    },
    "seller-cancellation": lambda body: {
        **body,
        "orderItems": [{**one, "acceptedQty": None} for one in body["orderItems"]],
    },
    "return-order-acknowledgement": lambda body: {
        **body,
        "orderItems": [{**one, "qcReason": one.get("qcReason") or ""} for one in body["orderItems"][::-1]],
    },
}


def _tell_and_answer(touchpoint: str) -> tuple[Story, Body]:
    make, body = CASES[touchpoint]
    if touchpoint == "update-returns":
        body = {**body, "expectedDate": "2025-06-28T18:00:00.000+04:00"}
    story: Story = make()
    step = story.tell(touchpoint, body)
    if BY_NAME[touchpoint].mode is Mode.RELAY:
        story.outcome(step.request, body=ANSWER)
    return story, body


@pytest.mark.parametrize("touchpoint", OTHER_WORDS)
def test_a_call_in_other_words_is_a_repeat(touchpoint: str) -> None:
    story, body = _tell_and_answer(touchpoint)
    said = OTHER_WORDS[touchpoint](body)
    assert said != body
    repeat = story.tell(touchpoint, said)
    assert (repeat.verdict, repeat.requests, repeat.facts) == (Verdict.DUPLICATE, [], [])


@pytest.mark.parametrize("touchpoint", OTHER_WORDS)
def test_a_repeat_of_a_call_that_a_version_before_took_is_a_repeat(touchpoint: str) -> None:
    story, body = _tell_and_answer(touchpoint)
    model = BY_NAME[touchpoint].request
    written = former_digest(model, body)
    for key in list(story.entities):
        entity = story.entity(key)
        _as_before(entity, written, call_digest(touchpoint, written))
        story.entities[key] = encode_entity(entity)
    repeat = story.tell(touchpoint, {**body, "somethingNew": 1})
    assert (repeat.verdict, repeat.requests, repeat.facts) == (Verdict.DUPLICATE, [], [])


def _as_before(entity: Entity, payload: str, call: str) -> None:
    """The entity as the version before would have stored it."""
    for holder in [entity, *getattr(entity, "shipments", ())]:
        if getattr(holder, "digest", ""):
            holder.digest = payload
    if getattr(entity, "properties", "") and isinstance(getattr(entity, "properties", None), str):
        entity.properties = payload  # type: ignore[attr-defined]
    for entry in entity.seen:
        entry[3:] = [call for _ in entry[3:]]


def test_a_refused_create_in_other_words_is_no_corrected_one() -> None:
    story = Story()
    story.outcome(story.create().request, OutcomeKind.REFUSED, status=400, message="no")
    assert story.tell("create-outward-order", _create(create_body())).requests == []
    assert story.create(gift=True).request.touchpoint == "create-outward-order"


@pytest.mark.parametrize(
    ("touchpoint", "body", "said"),
    [
        ("seller-cancellation", cancel_body(i1=1), {**cancel_body(i1=1), "more": None}),
        (
            "handover-notification",
            handover_body(),
            {
                **handover_body(),
                "handoverItems": [{"orderCode": CODE, "shipmentCode": "S-1", "packBoxDetailsList": []}],
            },
        ),
        ("acknowledgement", acknowledgement_body(), {**acknowledgement_body(), "more": 1}),
    ],
)
def test_an_early_event_in_other_words_is_kept_once(touchpoint: str, body: Body, said: Body) -> None:
    story = Story()
    assert story.tell(touchpoint, body).verdict is Verdict.EARLY
    assert story.tell(touchpoint, said).verdict is Verdict.EARLY
    assert len(story.order.early) == 1


def test_a_pack_or_manifest_in_other_words_does_not_differ() -> None:
    """What differs is a fact that an operator looks at."""
    story = packed_story()
    same = {**pack_body(sku_2=1, sku_1=2), "fulfillmentType": ""}
    assert story.tell("pack-order", same).facts == []
    assert story.tell("pack-order", pack_body(sku_1=1, sku_2=1)).facts == ["pack-differed"]
    story.outcome(story.tell("create-manifest", manifest_body(CODE, "O-2")).request, body=ANSWER)
    assert story.tell("create-manifest", manifest_body("O-2", CODE)).facts == []
    assert story.tell("create-manifest", manifest_body("O-3", CODE)).facts == ["manifest-differed"]


def test_an_update_at_another_instant_or_of_another_hold_is_a_change() -> None:
    story = Story()
    story.create()
    for changes in ({"dispatchByTime": "2025-06-16T14:00:00.001Z"}, {"startProcessingTime": "2025-06-14T09:30:00Z"}):
        assert len(story.tell("update-order-properties", update_body(hold=False, **changes)).requests) == 1
    assert story.entity(order_key("demo", CODE)) == story.order


def test_samples_are_as_the_table_supposes() -> None:
    assert sample("create-outward-order")["orderTime"] == "2025-06-14T09:12:41.000+04:00"
    assert create_body()["dispatchByTime"] == "2025-06-16T18:00:00.000+04:00"
