"""`fulfillmentType`.

Property: what is not in the one shipment of an order that has only one is cancelled, once, on both sides; an order that
ships as a whole is never packed in part; and every unit is packed, cancelled or open.
"""

from __future__ import annotations

from typing import Any

import pytest

from streams.order.model.limits import DELIVERIES_MAX
from tests.support.orders import Step, Story, cancel_body, handover_body, pack_body, update_body
from topics.records.deliveries import OutcomeKind
from topics.records.verdicts import Verdict

SINGLE, BLOCK = "SINGLE_SHIPMENT_PARTIAL", "BLOCK_COMPLETE"
ANSWER = {"shipmentCode": "S-1"}


def pack(
    shipment_id: int = 1, kind: str | None = SINGLE, location: str = "DXB-WH-01", sku_1: int = 0, sku_2: int = 0
) -> dict[str, Any]:
    items = [
        {"channelSkuCode": sku, "quantityToPack": count} for sku, count in (("SKU-1", sku_1), ("SKU-2", sku_2)) if count
    ]
    return {
        **pack_body(shipment_id),
        "fulfillmentType": kind,
        "locationCode": location,
        "shipmentItems": items,
    }


def submitted(**changes: Any) -> Story:
    story = Story()
    story.outcome(story.create(**changes).request)
    return story


def units(story: Story) -> list[tuple[int, int, int, int]]:
    return [(line.open, line.packed, line.customer, line.seller) for line in story.order.lines]


def test_what_is_not_in_the_one_shipment_is_cancelled_on_both_sides() -> None:
    story = submitted()
    story.tell("seller-cancellation", cancel_body(i1=0, i2=0))
    asked = story.tell("pack-order", pack(sku_1=1)).request
    assert story.order.lines[1].open == 1, "nothing is cancelled before the marketplace took the shipment"
    step = story.outcome(asked, body=ANSWER)
    assert step.facts == ["shipment-packed", "seller-cancelled"]
    assert story.facts[-1].data["automatic"] is True
    assert units(story) == [(0, 1, 0, 1), (0, 0, 0, 1)]
    assert step.request.touchpoint == "seller-cancellation"
    assert step.request.body == {
        "orderCode": "ORDER-1",
        "locationCode": "DXB-WH-01",
        "orderItems": [
            {
                "channelSkuCode": f"SKU-{n}",
                "orderItemCode": f"I{n}",
                "cancelledQuantity": 1,
                "customerCancelledQty": 0,
                "sellerCancelledQty": 1,
            }
            for n in (1, 2)
        ],
    }
    assert story.tell("handover-notification", handover_body()).verdict is Verdict.APPLIED
    assert story.order.state == "HANDED_OVER"


def test_increffs_own_cancellation_of_the_rest_is_a_duplicate_and_not_sent_again() -> None:
    story = submitted()
    story.outcome(story.tell("pack-order", pack(sku_1=1)).request, body=ANSWER)
    again = story.tell("seller-cancellation", cancel_body(i1=1, i2=1))
    assert (again.verdict, again.requests, again.facts) == (Verdict.DUPLICATE, [], [])


def test_increffs_cancellation_that_comes_before_the_packs_answer_leaves_nothing_to_cancel() -> None:
    story = submitted()
    asked = story.tell("pack-order", pack(sku_1=1)).request
    assert story.tell("seller-cancellation", cancel_body(i1=1, i2=1)).verdict is Verdict.APPLIED
    step = story.outcome(asked, body=ANSWER)
    assert (step.facts, step.requests) == (["shipment-packed"], [])


@pytest.mark.parametrize("kind", [OutcomeKind.REFUSED, OutcomeKind.EXPIRED])
def test_a_pack_that_failed_cancels_nothing_and_may_come_again(kind: OutcomeKind) -> None:
    story = submitted()
    story.outcome(story.tell("pack-order", pack(sku_1=1)).request, kind, status=400)
    assert units(story) == [(2, 0, 0, 0), (1, 0, 0, 0)]
    assert story.tell("pack-order", pack(2, sku_1=1)).verdict is None


@pytest.mark.parametrize(("first", "second"), [(SINGLE, None), (SINGLE, SINGLE), ("PARTIAL", SINGLE)])
@pytest.mark.parametrize("answered", [True, False])
def test_a_second_shipment_beside_a_single_one_is_refused(first: str, second: str | None, answered: bool) -> None:
    story = submitted()
    asked = story.tell("pack-order", pack(1, first, sku_1=1)).request
    if answered:
        story.outcome(asked, body=ANSWER)
    step = story.tell("pack-order", pack(2, second, sku_1=1))
    assert (step.verdict, step.requests) == (Verdict.REFUSED, [])
    assert "shipmentId 1 is it" in step.reply.message


@pytest.mark.parametrize(
    ("taken", "expected"),
    [(True, [(0, 1, 1, 0), (0, 0, 0, 1)]), (False, [(0, 1, 0, 1), (0, 0, 0, 1)])],
)
def test_units_that_a_customer_is_cancelling_are_closed_after_increffs_answer(
    taken: bool, expected: list[tuple[int, int, int, int]]
) -> None:
    story = submitted()
    cancel = story.tell("customer-cancellation", cancel_body(i1=1)).request
    story.outcome(story.tell("pack-order", pack(sku_1=1)).request, body=ANSWER)
    assert units(story) == [(1, 1, 0, 0), (0, 0, 0, 1)], "one is the customer's to decide"
    story.tell("handover-notification", handover_body())
    assert story.order.state == "MANIFESTED"
    step = story.outcome(cancel, OutcomeKind.DELIVERED if taken else OutcomeKind.REFUSED, status=200)
    assert units(story) == expected
    assert ("seller-cancelled" in step.facts) is not taken
    assert story.order.state == "HANDED_OVER"


def test_a_customer_who_waited_for_the_pack_learns_that_the_rest_is_cancelled() -> None:
    story = submitted()
    asked = story.tell("pack-order", pack(sku_1=1)).request
    story.tell("customer-cancellation", cancel_body(i2=1), "waits")
    step = story.outcome(asked, body=ANSWER)
    assert step.replies["waits"].verdict is Verdict.REFUSED
    assert "1 by the seller" in step.replies["waits"].message


def test_an_order_that_ships_as_a_whole_is_not_packed_in_part() -> None:
    story = submitted()
    step = story.tell("pack-order", pack(1, BLOCK, sku_1=2))
    assert (step.verdict, step.requests) == (Verdict.REFUSED, [])
    assert "1 units would stay open, 1 of them of orderItemCode I2" in step.reply.message
    assert story.tell("pack-order", pack(1, BLOCK, sku_1=2, sku_2=1)).verdict is None


def test_what_is_cancelled_or_being_cancelled_need_not_be_in_a_whole_shipment() -> None:
    story = submitted()
    story.tell("seller-cancellation", cancel_body(i1=1))
    story.tell("customer-cancellation", cancel_body(i2=1))
    assert story.tell("pack-order", pack(1, BLOCK, sku_1=1)).verdict is None


@pytest.mark.parametrize("kind", ["MULTI_SHIPMENT_PARTIAL", "PARTIAL", None, "SOMETHING_NEW"])
def test_other_types_allow_several_shipments_and_cancel_nothing(kind: str | None) -> None:
    story = submitted()
    for number, body in ((1, pack(1, kind, sku_1=1)), (2, pack(2, kind, sku_2=1))):
        asked = story.tell("pack-order", body).request
        assert story.outcome(asked, body={"shipmentCode": f"S-{number}"}).facts == ["shipment-packed"]
    assert units(story) == [(1, 1, 0, 0), (0, 1, 0, 0)]


def split_packed(kind: str) -> tuple[Story, Step]:
    story = submitted(isSplitRequired=True, locationCode=None)
    step = story.tell("pack-order", pack(1, kind, "A", sku_1=1))
    return story, step


@pytest.mark.parametrize("kind", [SINGLE, BLOCK])
def test_a_split_order_is_counted_per_location_and_its_rest_left_alone(kind: str) -> None:
    story, step = split_packed(kind)
    assert story.outcome(step.request, body=ANSWER).facts == ["shipment-packed"]
    other = story.tell("pack-order", pack(2, kind, "B", sku_2=1))
    assert other.verdict is None
    again = story.tell("pack-order", pack(3, kind, "A", sku_1=1))
    assert again.verdict is (Verdict.REFUSED if kind == SINGLE else None)


def test_the_rest_is_closed_by_any_outcome_that_makes_room() -> None:
    story = submitted()
    cancel = story.tell("customer-cancellation", cancel_body(i1=1)).request
    story.outcome(story.tell("pack-order", pack(sku_1=1, sku_2=1)).request, body=ANSWER)
    updates = [story.tell("update-order-properties", update_body(hold=n % 2 == 0)) for n in range(DELIVERIES_MAX)]
    assert Verdict.FAILED in [step.verdict for step in updates], "the list is full"
    story.outcome(cancel, OutcomeKind.DEAD)
    assert units(story)[0] == (1, 1, 0, 0), "an operator may bring the cancellation back, so it keeps its place"
    step = story.outcome(updates[0].request, OutcomeKind.REFUSED, status=400)
    assert "seller-cancelled" in step.facts
    assert units(story)[0] == (0, 1, 0, 1)
