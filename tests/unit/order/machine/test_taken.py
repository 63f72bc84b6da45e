"""A caller that got no verdict in time repeats its call, and learns that it was taken, whatever came since.

Walked over every touchpoint that the orders role decides, and every state that an order or a return reaches afterwards.
"""

from __future__ import annotations

from typing import Any

import pytest

from streams.order.model.states import OrderState, ReturnState
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
    sample,
    update_body,
)
from tests.support.ways import (
    ANSWER,
    ITEMS,
    ORDER_MOVES,
    RETURN,
    RETURN_CODE,
    RETURN_MOVES,
    answer,
    fork,
    inspection_body,
    ways,
)
from topics.contract.definition import Entity, Mode
from topics.contract.touchpoints import BY_NAME, TOUCHPOINTS
from topics.records.deliveries import OutcomeKind
from topics.records.keys import manifest_key, order_key, return_key
from topics.records.verdicts import Verdict

DEPTH = 3
"""Moves after the call: enough for each state that it may be followed by, as the coverage below shows."""
ORDER = order_key(CHANNEL, CODE)
RETURN_KEY = return_key(CHANNEL, RETURN["returnOrderCode"])


def created() -> Story:
    story = Story()
    story.create()
    return story


def returned() -> Story:
    story = Story()
    story.tell("create-return-order", RETURN)
    return story


CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "create-outward-order": (Story, create_body()),
    "customer-cancellation": (created, cancel_body(i1=1)),
    "update-order-properties": (created, update_body(hold=True)),
    "acknowledgement": (created, acknowledgement_body()),
    "pack-order": (created, pack_body(sku_1=2)),
    "get-invoice": (packed_story, document_body()),
    "get-shipping-label": (packed_story, document_body()),
    "create-manifest": (packed_story, manifest_body()),
    "handover-notification": (packed_story, handover_body()),
    "seller-cancellation": (created, cancel_body(i1=1)),
    "create-return-order": (Story, RETURN),
    "update-returns": (returned, {**sample("update-returns"), **RETURN_CODE}),
    "add-return-order-items": (returned, {**sample("add-return-order-items"), **RETURN_CODE}),
    "cancel-return-order-items": (
        returned,
        {**sample("cancel-return-order-items"), **RETURN_CODE, "returnOrderItems": ITEMS[:1]},
    ),
    "return-order-acknowledgement": (returned, inspection_body({**RETURN["orderItems"][0], "qcStatus": "FAIL"})),
}
DECIDED = [touchpoint for touchpoint in TOUCHPOINTS if touchpoint.entity not in (Entity.NONE, Entity.STOCK)]
REFUSED_LATER = {"create-outward-order", "create-return-order"}
"""A repeat of these gets the reason, once Increff refused what was taken."""


def taken(name: str) -> Story:
    make, body = CASES[name]
    story: Story = make()
    step = story.tell(name, body)
    if BY_NAME[name].mode is Mode.RELAY:
        story.outcome(step.request, body=ANSWER)
    else:
        assert step.verdict is Verdict.APPLIED
    return story


def test_every_touchpoint_that_the_orders_role_decides_has_a_case() -> None:
    assert {touchpoint.name for touchpoint in DECIDED} == set(CASES)


@pytest.mark.parametrize("touchpoint", DECIDED, ids=lambda touchpoint: touchpoint.name)
def test_a_repeat_of_what_was_taken_is_a_success_in_every_state_that_follows(touchpoint: Any) -> None:
    name, (_, body) = touchpoint.name, CASES[touchpoint.name]
    of_return = touchpoint.entity is Entity.RETURN
    key, moves = (RETURN_KEY, RETURN_MOVES) if of_return else (ORDER, ORDER_MOVES)
    if touchpoint.entity is Entity.MANIFEST:
        assert taken(name).entity(manifest_key(CHANNEL, "7")).state == "MANIFESTED"
    refused: list[str] = []
    states: set[str] = set()
    for way, story in ways(taken(name), key, moves, DEPTH):
        state = story.entity(key).state
        states.add(state)
        repeat = story.tell(name, body)
        succeeded = repeat.verdict is not None and repeat.verdict.succeeded
        relayed = touchpoint.mode is Mode.RELAY and repeat.verdict is None and repeat.requests
        if not (succeeded or relayed or (name in REFUSED_LATER and state == "REJECTED")):
            refused.append(f"{state} by {way or 'nothing'}: {repeat.verdict} {repeat.replies}")
    assert not refused, "\n".join(refused)
    assert len(states) > 1 or touchpoint.entity is Entity.MANIFEST, states


def test_the_ways_lead_through_every_state() -> None:
    states = {story.entity(ORDER).state for _, story in ways(created(), ORDER, ORDER_MOVES, 4)}
    assert states == set(OrderState) - {OrderState.EXPECTED, OrderState.MANIFESTED}
    states = {story.entity(RETURN_KEY).state for _, story in ways(returned(), RETURN_KEY, RETURN_MOVES, 3)}
    assert states == set(ReturnState) - {ReturnState.ASKED, ReturnState.REFUSED}


def test_an_update_that_was_answered_late_is_no_refusal_once_the_order_is_cancelled() -> None:
    """The case that was seen: 503, the order is cancelled meanwhile, the caller repeats."""
    story = created()
    story.tell("update-order-properties", update_body(hold=True), "first")
    story.tell("seller-cancellation", cancel_body(i1=2, i2=1))
    assert story.order.state == "CANCELLED"
    repeat = story.tell("update-order-properties", update_body(hold=True), "second")
    assert (repeat.verdict, repeat.requests, repeat.facts) == (Verdict.DUPLICATE, [], [])
    other = story.tell("update-order-properties", update_body(hold=False))
    assert (other.verdict, other.requests) == (Verdict.REFUSED, []), "this was never taken"


def test_a_call_with_another_touchpoint_and_the_same_body_is_another_call() -> None:
    story = packed_story()
    body = cancel_body(i1=1)
    assert story.tell("seller-cancellation", body).verdict is Verdict.REFUSED
    assert story.tell("customer-cancellation", body).verdict is Verdict.REFUSED


@pytest.mark.parametrize("kind", [OutcomeKind.REFUSED, OutcomeKind.DEAD])
def test_an_update_that_increff_did_not_take_in_the_end_is_not_known_as_taken(kind: OutcomeKind) -> None:
    story = created()
    story.outcome(story.tell("update-order-properties", update_body(hold=True)).request, kind, status=400)
    assert story.tell("update-order-properties", update_body(hold=True)).verdict is Verdict.APPLIED
    answer(story, "update-order-properties", kind)
    story.tell("seller-cancellation", cancel_body(i1=2, i2=1))
    assert story.tell("update-order-properties", update_body(hold=True)).verdict is Verdict.REFUSED


def test_added_items_that_increff_refused_are_refused_when_they_come_again() -> None:
    story = returned()
    body = CASES["add-return-order-items"][1]
    story.outcome(story.tell("add-return-order-items", body).request, OutcomeKind.REFUSED, status=400)
    assert story.tell("add-return-order-items", body).verdict is Verdict.REFUSED


def test_of_a_rejected_attempt_no_call_is_known_as_taken() -> None:
    story = created()
    story.tell("update-order-properties", update_body(hold=True))
    assert list(story.order.calls())
    answer(story, "create-outward-order", OutcomeKind.REFUSED)
    assert story.tell("update-order-properties", update_body(hold=True)).verdict is Verdict.DUPLICATE
    assert story.create(quantities=(2,)).verdict is Verdict.APPLIED
    assert list(story.order.calls()) == []
    story.tell("seller-cancellation", cancel_body(i1=2))
    assert story.tell("update-order-properties", update_body(hold=True)).verdict is Verdict.REFUSED, "it is cancelled"


def test_a_customers_cancellation_that_crossed_a_pack_is_a_success_when_it_comes_again() -> None:
    """Increff took it, so its first caller was told so, although here the units are packed."""
    story = created()
    answer(story, "create-outward-order")
    asked = story.tell("customer-cancellation", cancel_body(i1=2)).request
    packed = fork(story)
    packed.now_ms += 4 * 86_400_000
    pack = packed.tell("pack-order", pack_body(sku_1=2)).request
    packed.outcome(pack, body=ANSWER)
    assert "cancellation-crossed" in packed.outcome(asked).facts
    repeat = packed.tell("customer-cancellation", cancel_body(i1=2))
    assert (repeat.verdict, repeat.requests) == (Verdict.DUPLICATE, [])


def test_a_state_of_before_calls_were_kept_is_read() -> None:
    story = created()
    order = story.order
    order.seen = [entry[:3] for entry in order.seen]
    assert list(order.calls()) == []
    order.forget_calls()
    order.forget_call_of("e1.0")
    assert order.seen


def test_a_handover_at_a_place_that_the_create_contradicts_later_is_a_success_when_it_comes_again() -> None:
    """Of an order met midway the place is not known before its Create comes."""
    story = Story(unknown_orders="adopt")
    elsewhere = {**handover_body(), "locationCode": "AUH-ST-04"}
    assert story.tell("handover-notification", elsewhere).verdict is Verdict.APPLIED
    story.create()
    repeat = story.tell("handover-notification", elsewhere)
    assert (repeat.verdict, repeat.requests, repeat.facts) == (Verdict.DUPLICATE, [], [])
