"""Cancellations from either side.

Property: per line ordered = open + packed + cancelled; totals never go back; a customer's cancellation and a Pack never
cross at the far side.
"""

from __future__ import annotations

from typing import Any

import pytest

from streams.order.model import limits
from tests.support.orders import DEADLINE_MS, Story, cancel_body, pack_body, packed_story, update_body
from topics.records.deliveries import OutcomeKind
from topics.records.verdicts import Verdict

SELLER = "seller-cancellation"
CUSTOMER = "customer-cancellation"
PACKED = {"shipmentCode": "S-1"}


def seller_body(item: int, total: int, customer: int | None = None) -> dict[str, Any]:
    body = cancel_body(**{f"i{item}": total})  # type: ignore[arg-type] # mypy sees `code` behind the **
    if customer is not None:
        body["orderItems"][0]["customerCancelledQty"] = customer
    return body


@pytest.mark.parametrize(
    ("calls", "verdict", "customer", "seller"),
    [
        # (total, customer's part) one after the other, on a line of 5; what the last brought and what is known then
        ([(2, None)], Verdict.APPLIED, 0, 2),
        ([(2, None), (2, None)], Verdict.DUPLICATE, 0, 2),
        ([(2, None), (1, None)], Verdict.DUPLICATE, 0, 2),
        ([(2, None), (3, None)], Verdict.APPLIED, 0, 3),
        ([(3, 1)], Verdict.APPLIED, 1, 2),
        ([(3, 1), (3, 1)], Verdict.DUPLICATE, 1, 2),
        ([(3, 1), (4, None)], Verdict.APPLIED, 1, 3),
        ([(2, None), (2, 2)], Verdict.APPLIED, 2, 0),
        ([(5, None)], Verdict.APPLIED, 0, 5),
        ([(6, None)], Verdict.REFUSED, 0, 0),
        ([(0, None)], Verdict.DUPLICATE, 0, 0),
    ],
)
def test_a_sellers_totals(calls: list[tuple[int, int | None]], verdict: Verdict, customer: int, seller: int) -> None:
    story = Story()
    story.create(quantities=(5, 1))
    steps = [story.tell(SELLER, seller_body(1, *call)) for call in calls]
    line = story.order.lines[0]
    assert (steps[-1].verdict, line.customer, line.seller) == (verdict, customer, seller)
    assert bool(steps[-1].requests) is (verdict is Verdict.APPLIED)


@pytest.mark.parametrize(
    ("parts", "customer", "seller"),
    [
        ({"customerCancelledQty": 1, "sellerCancelledQty": 2}, 1, 2),
        ({"sellerCancelledQty": 2}, 1, 2),
        ({"sellerCancelledQty": 3}, 0, 3),
        # Parts that do not make the total: the total counts, and no part is more than it.
        ({"customerCancelledQty": 4, "sellerCancelledQty": 0}, 3, 0),
        ({"sellerCancelledQty": 4}, 0, 3),
    ],
)
def test_a_sellers_total_is_made_of_both_parts(parts: dict[str, int], customer: int, seller: int) -> None:
    story = Story()
    story.create(quantities=(5, 1))
    body = seller_body(1, 3)
    body["orderItems"][0].update(parts)
    assert story.tell(SELLER, body).verdict is Verdict.APPLIED
    line = story.order.lines[0]
    assert (line.customer, line.seller) == (customer, seller)


@pytest.mark.parametrize("touchpoint", [SELLER, CUSTOMER])
@pytest.mark.parametrize(
    ("change", "named"), [({"orderItemCode": "I9"}, "I9"), ({"channelSkuCode": "SKU-2"}, "SKU-1, not SKU-2")]
)
def test_an_item_that_the_order_does_not_have_is_refused_and_named(
    touchpoint: str, change: dict[str, str], named: str
) -> None:
    story = Story()
    story.create()
    body = cancel_body(i1=1, i2=1)
    body["orderItems"][0].update(change)
    step = story.tell(touchpoint, body)
    assert (step.verdict, step.requests) == (Verdict.REFUSED, [])
    assert named in step.reply.message
    assert [line.cancelled for line in story.order.lines] == [0, 0]


@pytest.mark.parametrize("touchpoint", [SELLER, CUSTOMER])
def test_what_is_packed_cannot_be_cancelled(touchpoint: str) -> None:
    story = packed_story()
    step = story.tell(touchpoint, cancel_body(i1=1))
    assert (step.verdict, step.requests) == (Verdict.REFUSED, [])
    assert "orderItemCode I1 cannot be cancelled: 2 ordered, 2 packed" in step.reply.message


@pytest.mark.parametrize("touchpoint", [SELLER, CUSTOMER])
def test_an_unknown_item_refuses_the_whole_call(touchpoint: str) -> None:
    story = Story()
    story.create()
    step = story.tell(touchpoint, cancel_body(i1=1, i9=1))
    assert (step.verdict, "no orderItemCode I9" in step.reply.message) == (Verdict.REFUSED, True)
    assert story.order.lines[0].cancelled == 0


def test_cancelling_every_unit_cancels_the_order_for_good() -> None:
    story = Story()
    story.create()
    step = story.tell(SELLER, cancel_body(i1=2, i2=1))
    assert (story.order.state, step.facts) == ("CANCELLED", ["seller-cancelled", "order-cancelled"])
    assert story.tell(SELLER, cancel_body(i1=2, i2=1)).verdict is Verdict.DUPLICATE
    for touchpoint, body in (
        ("update-order-properties", update_body(hold=True)),
        ("pack-order", pack_body(sku_1=1)),
        ("update-order-properties", update_body(hold=False, orderStatus="DELIVERED", deliveredAt="2025-06-17")),
    ):
        step = story.tell(touchpoint, body)
        assert (step.verdict, "is CANCELLED" in step.reply.message) == (Verdict.REFUSED, True)


def test_a_customers_cancellation_is_increffs_to_decide() -> None:
    story = Story()
    story.create()
    asked = story.tell(CUSTOMER, cancel_body(i1=1))
    assert (asked.verdict, asked.request.relay, asked.request.withdraw) == (None, True, False)
    assert story.order.lines[0].customer == 0
    answered = story.outcome(asked.request)
    assert (answered.reply.verdict, answered.reply.status) == (Verdict.APPLIED, 200)
    assert (story.order.lines[0].customer, answered.facts) == (1, ["customer-cancelled"])
    again = story.tell(CUSTOMER, cancel_body(i1=1))
    assert (again.verdict, again.requests) == (Verdict.DUPLICATE, [])
    more = story.tell(CUSTOMER, cancel_body(i1=2))
    refused = story.outcome(more.request, OutcomeKind.REFUSED, status=400, message="already invoiced")
    assert (refused.reply.verdict, refused.reply.status, refused.reply.message) == (
        Verdict.REFUSED,
        400,
        "already invoiced",
    )
    assert story.order.lines[0].customer == 1


def test_the_same_cancellation_in_flight_is_joined_and_another_waits() -> None:
    story = Story()
    story.create()
    first = story.tell(CUSTOMER, cancel_body(i1=1), "first")
    assert story.tell(CUSTOMER, cancel_body(i1=1), "same").verdict is None
    assert story.tell(CUSTOMER, cancel_body(i1=2), "more").requests == []
    answered = story.outcome(first.request)
    assert set(answered.replies) == {"first", "same"}
    assert [request.id for request in answered.requests] == ["more.0"]
    assert set(story.outcome(answered.request).replies) == {"more"}
    assert story.order.lines[0].customer == 2


def test_a_customers_cancellation_waits_for_a_pack_that_is_out() -> None:
    story = Story()
    story.create()
    pack = story.tell("pack-order", pack_body(sku_1=1))
    assert story.tell(CUSTOMER, cancel_body(i1=2), "too-many").requests == []
    assert story.tell(CUSTOMER, cancel_body(i1=1), "one").requests == []
    packed = story.outcome(pack.request, body=PACKED)
    assert packed.replies["too-many"].verdict is Verdict.REFUSED
    assert [request.id for request in packed.requests] == ["one.0"]


def test_who_waited_past_the_deadline_is_told_so() -> None:
    story = Story()
    story.create()
    pack = story.tell("pack-order", pack_body(sku_1=1))
    story.tell(CUSTOMER, cancel_body(i1=1), "late")
    late = story.outcome(pack.request, body=PACKED, after_ms=DEADLINE_MS)
    assert (late.replies["late"].verdict, late.requests) == (Verdict.FAILED, [])


def test_a_pack_of_units_that_a_customer_is_cancelling_is_asked_to_come_again() -> None:
    story = Story()
    story.create()
    cancel = story.tell(CUSTOMER, cancel_body(i1=1))
    assert story.tell("pack-order", pack_body(1, sku_1=2)).verdict is Verdict.FAILED
    assert story.tell("pack-order", pack_body(2, sku_1=1)).verdict is None
    story.outcome(cancel.request)
    line = story.order.lines[0]
    assert (line.packing, line.customer, line.free) == (1, 1, 0)


def test_a_seller_cannot_cancel_what_a_pack_is_asking_for() -> None:
    story = Story()
    story.create()
    pack = story.tell("pack-order", pack_body(sku_1=2))
    assert story.tell(SELLER, cancel_body(i1=1)).verdict is Verdict.FAILED
    story.outcome(pack.request, OutcomeKind.REFUSED, status=400)
    assert story.tell(SELLER, cancel_body(i1=1)).verdict is Verdict.APPLIED


def test_the_same_units_cancelled_by_both_sides_count_once() -> None:
    story = Story()
    story.create(quantities=(2, 1))
    asked = story.tell(CUSTOMER, cancel_body(i1=2))
    story.tell(SELLER, cancel_body(i1=2))
    story.outcome(asked.request)
    line = story.order.lines[0]
    assert (line.customer, line.seller, line.open) == (2, 0, 0)


def parted_body(total: int, customer: int, seller: int) -> dict[str, Any]:
    body = seller_body(1, total, customer)
    body["orderItems"][0]["sellerCancelledQty"] = seller
    return body


@pytest.mark.parametrize(
    ("called", "customer", "seller"),
    [
        (parted_body(1, 0, 1), 1, 1),  # made before Increff took the customer's: both count
        (parted_body(2, 1, 1), 1, 1),  # made after it
        (parted_body(1, 1, 0), 1, 0),
        (seller_body(1, 1, 0), 1, 1),
        (seller_body(1, 1), 1, 0),  # names no parts: nothing says that the unit is another one
        (seller_body(1, 2), 1, 1),
        (parted_body(2, 0, 2), 1, 1),  # the whole line: one unit was cancelled by both, and counts as the customer's
    ],
)
def test_a_sellers_call_that_crossed_the_customers_cancellation_counts(
    called: dict[str, Any], customer: int, seller: int
) -> None:
    story = Story()
    story.create(quantities=(2, 1))
    story.outcome(story.tell(CUSTOMER, cancel_body(i1=1)).request)
    story.tell(SELLER, called)
    assert (story.order.lines[0].customer, story.order.lines[0].seller) == (customer, seller)


def test_a_sellers_cancellation_of_packed_units_is_refused_and_a_fact_says_so() -> None:
    story = packed_story()
    step = story.tell(SELLER, cancel_body(i1=1))
    assert (step.verdict, step.facts) == (Verdict.REFUSED, ["seller-cancellation-refused"])
    assert story.facts[-1].data["refused"] == [{"orderItemCode": "I1", "channelSkuCode": "SKU-1", "quantity": 1}]
    assert story.tell(SELLER, cancel_body(i1=1)).facts == [], "Increff sends it again"
    assert story.tell(SELLER, cancel_body(i1=2)).facts == ["seller-cancellation-refused"]


def test_a_cancellation_that_increff_took_of_units_in_a_pack_is_a_fact() -> None:
    """Increff should not, but it is the authority: whoever reads the facts must see what nobody can undo."""
    story = Story()
    story.create(quantities=(2, 1))
    asked = story.tell(CUSTOMER, cancel_body(i1=1))
    story.tell("pack-order", pack_body(sku_1=1))
    story.tell(SELLER, parted_body(1, 0, 1))
    crossed = story.outcome(asked.request)
    assert crossed.facts == ["cancellation-crossed", "customer-cancelled"]
    assert story.facts[-2].data["crossed"] == [{"orderItemCode": "I1", "channelSkuCode": "SKU-1", "quantity": 1}]


def test_a_dead_cancellation_answers_its_caller_and_still_counts_when_an_operator_sends_it() -> None:
    story = Story()
    story.create()
    asked = story.tell(CUSTOMER, cancel_body(i1=1))
    dead = story.outcome(asked.request, OutcomeKind.DEAD, status=500)
    assert dead.reply.verdict is Verdict.FAILED
    story.outcome(asked.request, number=2)
    assert story.order.lines[0].customer == 1


def test_what_waits_is_bounded() -> None:
    story = Story()
    story.create(quantities=(50, 1))
    story.tell("pack-order", pack_body(sku_2=1))
    verdicts = [story.tell(CUSTOMER, seller_body(1, n)).verdict for n in range(1, limits.DEFERRED_MAX + 3)]
    assert verdicts == [None] * limits.DEFERRED_MAX + [Verdict.FAILED] * 2
