"""Calls whose caller waits for the far side: pack, documents, manifest.

Property: one request per identity however often it is asked; the same answer to everyone, none before it is recorded.
"""

from __future__ import annotations

import pytest

from streams.order.model import limits
from streams.order.model.events import Event, EventKind
from tests.support.orders import (
    CHANNEL,
    CODE,
    DEADLINE_MS,
    Story,
    document_body,
    handover_body,
    manifest_body,
    pack_body,
    packed_story,
    update_body,
)
from topics.configuration.sla import Policy
from topics.records.deliveries import OutcomeKind
from topics.records.keys import manifest_key
from topics.records.verdicts import Verdict

ANSWER = {"shipmentCode": "S-1", "extra": "kept as it came"}


def test_a_pack_repeated_in_flight_joins_and_repeated_later_gets_the_recorded_answer() -> None:
    story = Story()
    story.create()
    first = story.tell("pack-order", pack_body(sku_1=2), "first")
    second = story.tell("pack-order", pack_body(sku_1=2), "second")
    assert (len(first.requests), second.requests, second.replies) == (1, [], {})
    answered = story.outcome(first.request, body=ANSWER)
    assert {name: reply.body for name, reply in answered.replies.items()} == {"first": ANSWER, "second": ANSWER}
    third = story.tell("pack-order", pack_body(sku_1=2))
    assert (third.verdict, third.requests, third.reply.body) == (Verdict.DUPLICATE, [], ANSWER)


def test_a_known_shipment_with_another_payload_gets_the_same_answer_and_a_fact_once() -> None:
    story = Story()
    story.create()
    story.outcome(story.tell("pack-order", pack_body(sku_1=2)).request, body=ANSWER)
    differed = story.tell("pack-order", pack_body(sku_1=1), "differs")
    assert (differed.reply.body, differed.facts, differed.requests) == (ANSWER, ["pack-differed"], [])
    assert story.tell("pack-order", pack_body(sku_1=1), "differs").facts == []
    assert story.order.lines[0].packed == 2


def test_a_recorded_answer_that_was_forgotten_is_rebuilt_without_a_second_request() -> None:
    story = packed_story()
    story.answers.clear()
    again = story.tell("pack-order", pack_body(sku_1=2, sku_2=1))
    assert (again.reply.body, again.requests) == ({"shipmentCode": "S-1"}, [])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (pack_body(sku_1=3), "3 of SKU-1 cannot be packed: 2 open"),
        (pack_body(sku_9=1), "no item with channelSkuCode SKU-9"),
    ],
)
def test_a_pack_of_more_than_is_open_is_refused_with_the_reason(body: dict[str, object], reason: str) -> None:
    story = Story()
    story.create()
    step = story.tell("pack-order", body)
    assert (step.verdict, step.requests, reason in step.reply.message) == (Verdict.REFUSED, [], True)


def test_units_in_a_pack_are_not_packed_twice() -> None:
    story = Story()
    story.create()
    story.tell("pack-order", pack_body(1, sku_1=2))
    assert story.tell("pack-order", pack_body(2, sku_1=1)).verdict is Verdict.REFUSED


def test_two_lines_of_one_sku_share_a_pack() -> None:
    story = Story()
    item = {"channelSkuCode": "SAME", "sellingPricePerUnit": 1.0}
    items = [{**item, "orderItemCode": code, "quantity": 2} for code in ("A", "B")]
    story.create(orderItems=items)
    body = {**pack_body(), "shipmentItems": [{"channelSkuCode": "SAME", "quantityToPack": 3}]}
    story.outcome(story.tell("pack-order", body).request, body=ANSWER)
    assert [line.packed for line in story.order.lines] == [2, 1]


@pytest.mark.parametrize(
    ("kind", "verdict", "status"),
    [
        (OutcomeKind.REFUSED, Verdict.REFUSED, 409),
        (OutcomeKind.EXPIRED, Verdict.FAILED, None),
        (OutcomeKind.DEAD, Verdict.FAILED, None),
    ],
)
def test_a_pack_that_fails_frees_its_units_and_may_be_tried_again(
    kind: OutcomeKind, verdict: Verdict, status: int | None
) -> None:
    story = Story()
    story.create()
    pack = story.tell("pack-order", pack_body(sku_1=2))
    step = story.outcome(pack.request, kind, status=409, message="no")
    assert (step.reply.verdict, step.reply.status) == (verdict, status)
    assert (story.order.shipments, story.order.lines[0].packing, story.order.state) == ([], 0, "RECEIVED")
    again = story.tell("pack-order", pack_body(sku_1=2))
    assert again.request.id != pack.request.id
    assert story.outcome(again.request, body=ANSWER).reply.body == ANSWER


@pytest.mark.parametrize("crowded", [False, True])
def test_the_same_event_again_after_no_answer_is_one_more_request(
    crowded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under an id of its own, also where the first is not listed any more: delivery drops an id that it knows."""
    story = Story()
    story.create()
    pack = story.tell("pack-order", pack_body(sku_1=2), "pack").request
    failed = story.outcome(pack, OutcomeKind.EXPIRED, status=None)
    if crowded:
        monkeypatch.setattr(limits, "DELIVERIES_MAX", 2)
        story.outcome(story.tell("update-order-properties", update_body(hold=True)).request)
        assert story.order.delivery(pack.id) is None
    again = story.tell("pack-order", pack_body(sku_1=2), "pack")
    assert (failed.reply.verdict, again.request.id == pack.id) == (Verdict.FAILED, False)
    assert story.outcome(again.request, body=ANSWER).reply.body == ANSWER
    assert story.tell("pack-order", pack_body(sku_1=2), "pack").reply.body == ANSWER


def test_the_same_event_again_is_decided_again_when_it_was_too_early() -> None:
    story = Story()
    story.create()
    assert story.tell("get-invoice", document_body(), "invoice").verdict is Verdict.EARLY
    story.outcome(story.tell("pack-order", pack_body(sku_1=2)).request, body=ANSWER)
    assert story.tell("get-invoice", document_body(), "invoice").request.touchpoint == "get-invoice"


def test_the_same_event_again_is_decided_again_when_it_waited_for_a_pack_that_failed() -> None:
    story = Story()
    story.create()
    for answer in (None, ANSWER):
        pack = story.tell("pack-order", pack_body(sku_1=2)).request
        assert story.tell("get-invoice", document_body(), "invoice").verdict is None
        kind = OutcomeKind.REFUSED if answer is None else OutcomeKind.DELIVERED
        step = story.outcome(pack, kind, body=answer)
        assert [one.touchpoint for one in step.requests] == ([] if answer is None else ["get-invoice"])


def test_a_refusal_of_the_far_side_stays_the_answer_of_its_event() -> None:
    story = packed_story()
    asked = story.tell("get-invoice", document_body(), "invoice").request
    story.outcome(asked, OutcomeKind.REFUSED, status=404, message="no")
    again = story.tell("get-invoice", document_body(), "invoice")
    assert (again.verdict, again.reply.message, again.requests) == (Verdict.REFUSED, "no", [])


def test_a_pack_answer_without_a_code_is_found_by_the_shipment_id_or_as_the_only_one() -> None:
    story = packed_story(shipment_code=None)
    assert story.order.shipments[0].code is None
    for body in (document_body("1"), document_body("whatever"), document_body("x", shipmentId=1)):
        step = story.tell("get-shipping-label", body)
        assert step.verdict in (None, Verdict.APPLIED)
    assert len([delivery for delivery in story.order.deliveries if delivery.touchpoint == "get-shipping-label"]) == 1


@pytest.mark.parametrize("touchpoint", ["get-invoice", "get-shipping-label"])
def test_a_document_is_asked_for_once(touchpoint: str) -> None:
    story = packed_story()
    body = {"awbNumber": "AWB", "transporter": "T", "invoiceCode": "INV"}
    first = story.tell(touchpoint, document_body())
    joined = story.tell(touchpoint, document_body(), "joined")
    assert joined.requests == []
    assert set(story.outcome(first.request, body=body).replies) == {"joined", first.request.id.removesuffix(".0")}
    repeat = story.tell(touchpoint, document_body(shipmentId=1))
    assert (repeat.verdict, repeat.requests, repeat.reply.body) == (Verdict.DUPLICATE, [], body)


@pytest.mark.parametrize("touchpoint", ["get-invoice", "get-shipping-label"])
def test_a_refused_document_is_not_recorded(touchpoint: str) -> None:
    story = packed_story()
    first = story.tell(touchpoint, document_body())
    refused = story.outcome(first.request, OutcomeKind.REFUSED, status=404, message="not ready")
    assert (refused.reply.status, refused.reply.message) == (404, "not ready")
    assert len(story.tell(touchpoint, document_body()).requests) == 1


def test_labels_with_boxes_are_another_document() -> None:
    story = packed_story()
    story.outcome(story.tell("get-shipping-label", document_body()).request, body={"awbNumber": "A"})
    boxes = story.tell("get-shipping-label", document_body(arePackBoxLabelsRequired=True))
    assert len(boxes.requests) == 1


@pytest.mark.parametrize("touchpoint", ["get-invoice", "get-shipping-label"])
def test_a_document_waits_for_the_pack_that_is_out_and_is_refused_when_there_is_none(touchpoint: str) -> None:
    story = Story()
    story.create()
    none = story.tell(touchpoint, document_body())
    assert (none.verdict, "was not packed" in none.reply.message) == (Verdict.EARLY, True)
    pack = story.tell("pack-order", pack_body(sku_1=1))
    in_flight = story.tell(touchpoint, document_body(), "waits")
    assert (in_flight.verdict, in_flight.effects) == (None, [])
    packed = story.outcome(pack.request, body=ANSWER)
    assert packed.request.touchpoint == touchpoint
    assert "waits" in story.outcome(packed.request, body={"awbNumber": "A"}).replies


@pytest.mark.parametrize("kind", [OutcomeKind.REFUSED, OutcomeKind.EXPIRED])
def test_a_document_that_waited_for_a_pack_that_failed_is_refused_at_once(kind: OutcomeKind) -> None:
    story = Story()
    story.create()
    pack = story.tell("pack-order", pack_body(sku_1=1)).request
    story.tell("get-shipping-label", document_body(), "waits")
    assert story.outcome(pack, kind, status=400).replies["waits"].verdict is Verdict.EARLY


def test_a_document_waits_no_longer_than_its_caller() -> None:
    story = Story()
    story.create()
    pack = story.tell("pack-order", pack_body(sku_1=1)).request
    story.tell("get-shipping-label", document_body(), "waits")
    step = story.outcome(pack, body=ANSWER, after_ms=DEADLINE_MS)
    assert (step.replies["waits"].verdict, step.requests) == (Verdict.FAILED, [])


def test_a_manifest_is_asked_for_once_and_told_to_each_order() -> None:
    story = packed_story()
    story.tell("create-outward-order", {**story_body(), "orderCode": "ORDER-2"})
    answer = {"manifestCode": "M-1", "manifestItems": [{"orderCode": CODE, "shipmentCode": "S-1"}]}
    first = story.tell("create-manifest", manifest_body(CODE, "ORDER-2"))
    assert first.request.withdraw
    joined = story.tell("create-manifest", manifest_body(CODE, "ORDER-2"), "joined")
    assert joined.requests == []
    assert set(story.outcome(first.request, body=answer).replies) == {"joined", first.request.id.removesuffix(".0")}
    repeat = story.tell("create-manifest", manifest_body(CODE, "ORDER-2"))
    assert (repeat.verdict, repeat.requests, repeat.reply.body) == (Verdict.DUPLICATE, [], answer)
    assert (story.order.state, story.order.shipments[0].manifest) == ("MANIFESTED", "M-1")
    assert story.order.shipments[0].awb == f"AWB-{CODE}"


def test_a_manifest_that_was_refused_may_be_tried_again() -> None:
    story = packed_story()
    first = story.tell("create-manifest", manifest_body())
    refused = story.outcome(first.request, OutcomeKind.REFUSED, status=400, message="no courier")
    assert (refused.reply.message, story.manifest(manifest_key(CHANNEL, "7")).state) == ("no courier", "REFUSED")
    again = story.tell("create-manifest", manifest_body())
    assert (again.request.sequence, story.manifest(manifest_key(CHANNEL, "7")).state) == (2, "REQUESTED")


def test_a_manifest_without_an_id_is_known_by_its_shipments() -> None:
    story = packed_story()
    first = story.tell("create-manifest", manifest_body(CODE, "B", manifest_id=None))
    story.outcome(first.request, body={"manifestCode": "M-1"})
    again = story.tell("create-manifest", manifest_body("B", CODE, manifest_id=None))
    assert (again.verdict, again.requests) == (Verdict.DUPLICATE, [])


def test_a_handover_may_repeat() -> None:
    story = packed_story()
    assert story.tell("handover-notification", handover_body()).verdict is Verdict.APPLIED
    again = story.tell("handover-notification", handover_body())
    assert (again.verdict, again.requests) == (Verdict.DUPLICATE, [])


def story_body() -> dict[str, object]:
    story = Story()
    return story.create().request.body


def test_what_was_recorded_for_an_order_that_was_forgotten_is_not_served_to_its_namesake() -> None:
    story = packed_story()
    story.outcome(story.tell("get-invoice", document_body()).request, body={"invoiceCode": "OLD"})
    story.tell("handover-notification", handover_body())
    tick = Event(
        kind=EventKind.TICK,
        id="tick",
        channel=CHANNEL,
        code=CODE,
        key=story.order.key,
        body={},
        policy=Policy(forget_ms=1),
    )
    story.now_ms += limits.DELIVERY_LOST_MS
    assert (story.feed(tick).facts, story.entities) == (["order-forgotten"], {})
    story.create()
    assert story.tell("get-invoice", document_body()).verdict is Verdict.EARLY
    story.outcome(story.tell("pack-order", pack_body(sku_1=2, sku_2=1)).request, body=ANSWER)
    asked = story.tell("get-invoice", document_body())
    assert story.outcome(asked.request, body={"invoiceCode": "NEW"}).reply.body == {"invoiceCode": "NEW"}
