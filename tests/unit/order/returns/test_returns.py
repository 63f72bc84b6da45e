"""Returns and their forward order, each an entity of its own, told as stories.

Property: no more units come back than left; nothing leaves for Increff before the forward order has admitted it.
"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from streams.order.model import limits
from streams.order.model.entities import Return
from streams.order.model.parts import Claim
from streams.order.returns.questions import held_units
from streams.order.storage.encoding import encode_entity
from tests.support.orders import (
    CHANNEL,
    CODE,
    Step,
    Story,
    command,
    handover_body,
    packed_story,
    sample,
)
from topics.records.deliveries import OutcomeKind
from topics.records.keys import order_key, return_key
from topics.records.verdicts import Verdict

ORDER_KEY = order_key(CHANNEL, CODE)


def return_body(code: str = "R-1", units: str = "1", **changes: Any) -> dict[str, Any]:
    """A Create of one unit per digit, of that SKU: `112` is two of SKU-1 and one of SKU-2."""
    items = [
        {"itemCode": f"{code}-{n}", "channelSkuCode": f"SKU-{sku}", "reason": "SIZE"} for n, sku in enumerate(units, 1)
    ]
    return {
        "forwardOrderCode": CODE,
        "returnOrderCode": code,
        "locationCode": "DXB-WH-01",
        "orderType": "CUSTOMER_RETURN",
        "orderItems": items,
        **changes,
    }


def line_items_body(*items: tuple[str, str], code: str = "R-1") -> dict[str, Any]:
    """Add: (item, SKU number)."""
    lines = [{"channelReturnItemCode": f"{code}-{n}", "channelSkuCode": f"SKU-{sku}"} for n, sku in items]
    return {"orderCode": CODE, "returnOrderCode": code, "locationCode": "DXB-WH-01", "returnLineItems": lines}


def cancellation_body(*items: tuple[str, str], code: str = "R-1") -> dict[str, Any]:
    """Cancel: (item, SKU number)."""
    lines = [{"channelSkuCode": f"SKU-{sku}", "returnOrderItemCode": f"{code}-{n}"} for n, sku in items]
    return {"orderCode": CODE, "returnOrderCode": code, "locationCode": "DXB-WH-01", "returnOrderItems": lines}


def inspection_body(code: str = "R-1", /, **verdicts: str) -> dict[str, Any]:
    """`i1="PASS"` is about the return's first item."""
    items = [
        {"itemCode": f"{code}-{name[1:]}", "channelSkuCode": "SKU-1", "qcStatus": verdict}
        for name, verdict in verdicts.items()
    ]
    return {"forwardOrderCode": CODE, "returnOrderCode": code, "locationCode": "DXB-WH-01", "orderItems": items}


def create(story: Story, units: str = "1", code: str = "R-1") -> Step:
    return story.tell("create-return-order", return_body(code, units))


def returned(story: Story, code: str = "R-1") -> Return:
    return story.returned(return_key(CHANNEL, code))


def document(story: Story, code: str = "R-1") -> Any:
    return story.query({"returnOrderCode": code}, return_key(CHANNEL, code)).reply.body


def claims(story: Story) -> dict[str, dict[str, int]]:
    return {claim.code: claim.units for claim in story.order.returns}


def test_a_return_is_asked_admitted_delivered_and_listed_at_its_order() -> None:
    story = packed_story()
    step = create(story, "112")
    assert (step.verdict, step.request.touchpoint, step.request.id) == (Verdict.APPLIED, "create-return-order", "e4.0")
    assert step.facts == ["return-created"]
    assert story.facts[-1].data["forwardKnown"] is True
    story.outcome(step.request)
    assert returned(story).state == "SUBMITTED"
    listed = story.query({"orderCode": CODE}, ORDER_KEY).reply.body["returns"]
    items = [{"channelSkuCode": "SKU-1", "quantity": 2}, {"channelSkuCode": "SKU-2", "quantity": 1}]
    assert listed == [{"returnOrderCode": "R-1", "items": items, "reason": None}]


def test_the_callers_verdict_waits_for_the_forward_order() -> None:
    story = packed_story()
    first = story.feed_only(command("create-return-order", return_body(), "a", story.now_ms))
    assert (first.verdict, first.replies, first.requests) == (None, {}, [])
    assert document(story)["state"] == "ASKED"
    again = story.feed_only(command("create-return-order", return_body(), "b", story.now_ms))
    assert (again.verdict, again.commands) == (None, []), "a repeat joins"
    changed = story.feed_only(command("create-return-order", return_body(units="2"), "c", story.now_ms))
    assert changed.verdict is Verdict.CONFLICT
    update = {**sample("update-returns"), "returnOrderCode": "R-1"}
    assert story.feed_only(command("update-returns", update, "d", story.now_ms)).verdict is Verdict.FAILED
    answer = story.pass_on(*first.commands)
    assert {event: reply.verdict for event, reply in answer.replies.items()} == {
        "a": Verdict.APPLIED,
        "b": Verdict.APPLIED,
    }


def test_a_question_whose_answer_got_lost_is_asked_again_by_a_repeat() -> None:
    story = packed_story()
    lost = story.feed_only(command("create-return-order", return_body(), "a", story.now_ms))
    story.now_ms += limits.QUESTION_LOST_MS
    again = story.feed_only(command("create-return-order", return_body(), "b", story.now_ms))
    assert [one.body for one in again.commands] == [one.body for one in lost.commands]
    assert [one.id for one in again.commands] != [one.id for one in lost.commands]
    step = story.pass_on(*again.commands, *lost.commands)
    assert (len(step.requests), step.facts, claims(story)) == (1, ["return-created"], {"R-1": {"SKU-1": 1}})


def test_more_than_was_shipped_is_refused_with_the_reason_and_may_be_tried_again() -> None:
    story = Story()
    story.create()
    step = create(story, "11")
    reason = f"2 of SKU-1 cannot be returned: 0 shipped in order {CODE}"
    assert (step.verdict, step.requests, step.facts) == (Verdict.REFUSED, [], ["return-refused"])
    assert step.reply.message == f"return R-1 is refused: {reason}"
    assert (document(story)["state"], document(story)["reason"]) == ("REFUSED", reason)
    refused = story.tell("update-returns", {**sample("update-returns"), "returnOrderCode": "R-1"})
    assert (refused.verdict, reason in refused.reply.message) == (Verdict.REFUSED, True)
    story.entities[ORDER_KEY] = packed_story().entities[ORDER_KEY]
    assert create(story, "11").verdict is Verdict.APPLIED


def test_all_returns_of_an_order_together_hold_no_more_than_left() -> None:
    story = packed_story()
    assert create(story, "1").verdict is Verdict.APPLIED
    second = create(story, "11", "R-2")
    assert second.verdict is Verdict.REFUSED
    assert second.reply.message.endswith(
        f"2 of SKU-1 cannot be returned: 2 shipped in order {CODE}, 1 in other returns"
    )
    assert create(story, "12", "R-2").verdict is Verdict.APPLIED
    assert claims(story) == {"R-1": {"SKU-1": 1}, "R-2": {"SKU-1": 1, "SKU-2": 1}}


def test_a_unit_whose_cancellation_increff_took_may_come_back_with_another_return() -> None:
    story = packed_story()
    story.outcome(create(story, "11").request)
    cancelled = story.tell("cancel-return-order-items", cancellation_body(("2", "1")))
    assert (cancelled.verdict, cancelled.facts) == (Verdict.APPLIED, ["return-items-cancelled"])
    assert create(story, "1", "R-2").verdict is Verdict.REFUSED
    story.outcome(cancelled.request)
    assert claims(story)["R-1"] == {"SKU-1": 1}
    assert create(story, "1", "R-2").verdict is Verdict.APPLIED


def test_a_return_that_increff_refuses_gives_its_units_back() -> None:
    story = packed_story()
    step = story.outcome(create(story, "11").request, OutcomeKind.REFUSED, status=400, message="no such location")
    assert (returned(story).state, step.facts, claims(story)) == ("REJECTED", ["return-rejected"], {"R-1": {}})
    assert create(story, "11").reply.message == "Increff refused return R-1: no such location"
    corrected = create(story, "112")
    assert (corrected.verdict, corrected.request.touchpoint) == (Verdict.APPLIED, "create-return-order")


@pytest.mark.parametrize("policy", ["park", "refuse"])
def test_a_return_of_an_order_that_is_not_known_follows_the_channels_policy(policy: str) -> None:
    story = Story(unknown_orders=policy)
    step = create(story)
    if policy == "refuse":
        assert (step.verdict, step.facts) == (Verdict.REFUSED, ["return-refused"])
        assert "takes on no order midway" in step.reply.message
    else:
        assert (step.verdict, step.facts) == (Verdict.APPLIED, ["return-created"])
        assert story.facts[-1].data["forwardKnown"] is document(story)["forwardKnown"] is False
    assert ORDER_KEY not in story.entities


def test_an_order_that_is_only_expected_counts_as_not_known() -> None:
    story = Story()
    story.tell("handover-notification", handover_body())
    step = create(story)
    assert (step.verdict, story.order.state, story.order.returns) == (Verdict.APPLIED, "EXPECTED", [])


def test_items_are_added_once_the_forward_order_admits_them() -> None:
    story = packed_story()
    create(story, "1")
    body = line_items_body(("2", "1"), ("3", "2"))
    step = story.tell("add-return-order-items", body)
    assert (step.verdict, step.facts, step.request.body) == (Verdict.APPLIED, ["return-items-added"], body)
    repeat = story.tell("add-return-order-items", body)
    assert (repeat.verdict, repeat.requests, repeat.commands) == (Verdict.DUPLICATE, [], [])
    more = story.tell("add-return-order-items", line_items_body(("3", "2"), ("4", "2")))
    assert (more.verdict, more.facts) == (Verdict.REFUSED, ["return-items-refused"])
    assert "2 of SKU-2 cannot be returned: 1 shipped" in more.reply.message
    assert (claims(story), list(returned(story).items)) == (
        {"R-1": {"SKU-1": 2, "SKU-2": 1}},
        ["R-1-1", "R-1-2", "R-1-3"],
    )
    other = story.tell("add-return-order-items", line_items_body(("2", "2")))
    assert other.verdict is Verdict.CONFLICT
    stranger = story.tell("add-return-order-items", {**line_items_body(("9", "1")), "orderCode": "OTHER"})
    assert stranger.verdict is Verdict.REFUSED


def test_only_new_items_leave_for_increff() -> None:
    story = packed_story()
    create(story, "1")
    step = story.tell("add-return-order-items", line_items_body(("1", "1"), ("2", "1")))
    assert step.request.body == line_items_body(("2", "1"))


def test_items_that_increff_does_not_take_are_given_back() -> None:
    story = packed_story()
    create(story, "1")
    added = story.tell("add-return-order-items", line_items_body(("2", "2")))
    step = story.outcome(added.request, OutcomeKind.REFUSED, status=400)
    assert (step.facts, claims(story)) == (["return-items-refused"], {"R-1": {"SKU-1": 1}})
    assert document(story)["quantities"] == {"expected": 1, "cancelled": 1, "passed": 0, "failed": 0}


def test_items_asked_for_while_the_parcel_arrives_are_refused_and_given_back() -> None:
    story = packed_story()
    create(story, "1")
    asked = story.feed_only(
        command("add-return-order-items", line_items_body(("2", "1")), "late", story.now_ms, offered=True)
    )
    story.tell("return-order-acknowledgement", inspection_body(i1="PASS"))
    step = story.pass_on(*asked.commands)
    assert (step.reply.verdict, step.requests, claims(story)) == (Verdict.REFUSED, [], {"R-1": {"SKU-1": 1}})
    assert story.tell("add-return-order-items", line_items_body(("2", "1"))).verdict is Verdict.REFUSED


def test_a_cancellation_while_items_are_asked_for_is_not_lost_whichever_comes_first() -> None:
    for first in (0, 1):
        story = packed_story()
        create(story, "12")
        asked = story.feed_only(command("add-return-order-items", line_items_body(("3", "1")), "add", story.now_ms))
        cancelled = story.feed_only(
            command("cancel-return-order-items", cancellation_body(("2", "2")), "cancel", story.now_ms, offered=False)
        )
        told = [*asked.commands, *cancelled.commands]
        story.pass_on(told[first])
        story.pass_on(told[1 - first])
        assert claims(story) == {"R-1": {"SKU-1": 2}} == {"R-1": dict(held_units(returned(story)))}


def test_inspections_add_up_and_a_changed_verdict_is_news() -> None:
    story = packed_story()
    create(story, "112")
    first = story.tell("return-order-acknowledgement", inspection_body(i1="PASS"))
    assert (first.facts, returned(story).state) == (["return-acknowledged"], "ACKNOWLEDGED")
    again = story.tell("return-order-acknowledgement", inspection_body(i1="PASS"))
    assert (again.verdict, again.requests, again.facts) == (Verdict.DUPLICATE, [], [])
    changed = story.tell("return-order-acknowledgement", inspection_body(i1="FAIL", i2="PASS"))
    assert changed.facts == ["return-acknowledged"]
    assert document(story)["quantities"] == {"expected": 1, "cancelled": 0, "passed": 1, "failed": 1}
    last = story.tell("return-order-acknowledgement", inspection_body(i3="PASS"))
    assert (last.facts, returned(story).state) == (["return-acknowledged", "return-completed"], "COMPLETED")
    late = story.tell("return-order-acknowledgement", inspection_body(i1="PASS"))
    assert (late.facts, document(story)["quantities"]["passed"]) == (["return-acknowledged"], 3)


def test_no_unit_is_cancelled_and_inspected() -> None:
    story = packed_story()
    create(story, "112")
    story.tell("return-order-acknowledgement", inspection_body(i1="PASS"))
    inspected = story.tell("cancel-return-order-items", cancellation_body(("1", "1")))
    assert (inspected.verdict, "has received item R-1-1" in inspected.reply.message) == (Verdict.REFUSED, True)
    cancelled = story.tell("cancel-return-order-items", cancellation_body(("2", "1"), ("3", "2")))
    assert cancelled.facts == ["return-items-cancelled", "return-completed"]
    # Increff is the authority: as long as it has not taken the cancellation, an inspection says what arrived.
    arrived = story.tell("return-order-acknowledgement", inspection_body(i2="FAIL"))
    assert (arrived.verdict, document(story)["quantities"]["failed"]) == (Verdict.APPLIED, 1)
    story.outcome(cancelled.request)
    assert claims(story) == {"R-1": {"SKU-1": 2}}
    gone = story.tell("return-order-acknowledgement", inspection_body(i3="PASS"))
    assert (gone.verdict, "has cancelled item R-1-3" in gone.reply.message) == (Verdict.REFUSED, True)


def test_cancelling_every_item_cancels_the_return() -> None:
    story = packed_story()
    create(story, "11")
    story.tell("cancel-return-order-items", cancellation_body(("1", "1")))
    step = story.tell("cancel-return-order-items", cancellation_body(("2", "1")))
    assert (returned(story).state, step.facts) == ("CANCELLED", ["return-items-cancelled", "return-cancelled"])


def test_a_return_may_travel_under_another_number() -> None:
    """`awbNumber` at creation, `trackingCode` later: one name in the document, the last value."""
    story = packed_story()
    story.tell("create-return-order", return_body(awbNumber="A-1", transporter="T-1"))
    assert [document(story)[name] for name in ("trackingCode", "transporter")] == ["A-1", "T-1"]
    update = {"returnOrderCode": "R-1", "locationCode": "DXB-WH-01", "trackingCode": "A-2"}
    step = story.tell("update-returns", update)
    assert (step.facts, story.facts[-1].data["trackingCode"]) == (["return-updated"], "A-2")
    assert [document(story)[name] for name in ("trackingCode", "transporter")] == ["A-2", "T-1"]
    refused = story.outcome(step.request, OutcomeKind.REFUSED, status=400)
    assert refused.facts == ["delivery-refused"]
    assert story.tell("update-returns", update).request.touchpoint == "update-returns"


def test_an_update_that_was_under_way_for_long_changes_nothing_that_a_newer_one_said() -> None:
    story = packed_story()
    create(story, "1")

    def update(said_ms: int, **members: str) -> Step:
        story.events += 1
        body = {"returnOrderCode": "R-1", "locationCode": "DXB-WH-01", **members}
        event = command("update-returns", body, f"u{story.events}", story.now_ms)
        return story.feed(replace(event, said_ms=said_ms))

    now = story.now_ms
    assert update(now, trackingCode="A-1").verdict is Verdict.APPLIED
    assert update(now + 9_000, trackingCode="A-2").verdict is Verdict.APPLIED
    late = update(now + 1_000, trackingCode="A-3")
    assert (late.verdict, late.requests, document(story)["trackingCode"]) == (Verdict.REFUSED, [], "A-2")
    assert update(now, trackingCode="A-1").verdict is Verdict.DUPLICATE, "it was taken before"
    mixed = update(now + 2_000, trackingCode="A-4", transporter="T-4").request.body
    assert (mixed.get("trackingCode"), mixed["transporter"], document(story)["trackingCode"]) == (None, "T-4", "A-2")
    assert update(now + 20_000, trackingCode="A-1").verdict is Verdict.APPLIED


def test_an_order_forgets_no_return_that_holds_units() -> None:
    story = packed_story()
    create(story, "1")
    order = story.order
    order.returns += [Claim(f"X-{n}", 1, {}) for n in range(limits.RETURNS_MAX - 1)]
    story.entities[ORDER_KEY] = encode_entity(order)
    assert create(story, "1", "R-2").verdict is Verdict.APPLIED
    assert {claim.code for claim in story.order.returns} >= {"R-1", "R-2"}
    order = story.order
    order.returns = [Claim(f"X-{n}", 1, {"SKU-9": 1}) for n in range(limits.RETURNS_MAX)]
    story.entities[ORDER_KEY] = encode_entity(order)
    full = create(story, "2", "R-3")
    assert (full.verdict, "has 200 returns" in full.reply.message) == (Verdict.REFUSED, True)


def test_an_order_met_midway_admits_what_left_before_it_was_known_and_lists_it() -> None:
    story = Story(unknown_orders="adopt")
    step = create(story, "111")
    assert (step.verdict, step.facts) == (Verdict.APPLIED, ["order-adopted", "return-created"])
    assert (document(story)["forwardKnown"], claims(story)) == (False, {"R-1": {"SKU-1": 3}})


ADOPTING = {
    "update-returns": {"returnOrderCode": "R-1", "locationCode": "DXB-WH-01", "trackingCode": "A-2"},
    "cancel-return-order-items": cancellation_body(("1", "1")),
    "return-order-acknowledgement": inspection_body(i1="PASS"),
    "add-return-order-items": line_items_body(("1", "1")),
}


@pytest.mark.parametrize("touchpoint", ADOPTING)
def test_a_return_met_midway_is_adopted_by_policy_and_keeps_what_is_said_of_it(touchpoint: str) -> None:
    early = Story().tell(touchpoint, ADOPTING[touchpoint])
    assert (early.verdict, early.facts) == (Verdict.EARLY, [])
    story = Story(unknown_orders="adopt")
    step = story.tell(touchpoint, ADOPTING[touchpoint])
    assert (step.verdict, step.facts[0], step.request.touchpoint) == (Verdict.APPLIED, "return-adopted", touchpoint)
    assert list(returned(story).items) == ([] if touchpoint == "update-returns" else ["R-1-1"])
    assert story.tell(touchpoint, ADOPTING[touchpoint]).verdict is Verdict.DUPLICATE
    late = create(story, "12")
    assert (late.verdict, late.request.touchpoint) == (Verdict.APPLIED, "create-return-order")
    assert list(returned(story).items) == ["R-1-1", "R-1-2"]
    assert create(story, "12").verdict is Verdict.DUPLICATE


def test_an_adopted_return_is_never_complete_and_is_counted_only_for_what_its_order_admitted() -> None:
    story = Story(unknown_orders="adopt")
    story.tell("return-order-acknowledgement", inspection_body(i1="PASS"))
    assert returned(story).state == "ACKNOWLEDGED"
    story = packed_story()
    story.unknown_orders = "adopt"
    story.tell("cancel-return-order-items", cancellation_body(("1", "1")))
    assert story.tell("add-return-order-items", line_items_body(("2", "1"))).verdict is Verdict.APPLIED
    assert claims(story) == {"R-1": {"SKU-1": 1}}
    assert story.tell("add-return-order-items", line_items_body(("3", "1"), ("4", "1"))).verdict is Verdict.REFUSED


def test_an_order_that_hears_late_of_a_return_counts_what_it_holds() -> None:
    """The return went on because its order was not known; a message of then comes again once the order is."""
    story = Story()
    asked = story.feed_only(command("create-return-order", return_body(units="1"), "create", story.now_ms))
    story.pass_on(*asked.commands)
    story.create()
    story.pass_on(*asked.commands)
    assert (returned(story).state, claims(story)) == ("RECEIVED", {"R-1": {"SKU-1": 1}})
