"""Create, property updates, the report of delivery, and the acknowledgement."""

from __future__ import annotations

from typing import Any, Final

from streams.order.forward.adopt import complete_lines
from streams.order.forward.location import misplaced
from streams.order.forward.progress import order_context, reach_milestone, settle_order, with_location
from streams.order.forward.revival import is_known_at_increff, revive_order
from streams.order.model import limits
from streams.order.model.decision import (
    APPLIED,
    DUPLICATE,
    AnswerLookup,
    Decision,
    Ruling,
    conflict,
    failed,
    first_decision,
    refused,
)
from streams.order.model.entities import Order
from streams.order.model.events import Event, note_said
from streams.order.model.meaning import mean_the_same
from streams.order.model.parts import Line
from streams.order.model.refusals import remembered_refusal
from streams.order.model.states import OrderState
from topics.contract.touchpoints import BY_NAME

CREATE: Final = BY_NAME["create-outward-order"]
UPDATE: Final = BY_NAME["update-order-properties"]
ACKNOWLEDGEMENT: Final = BY_NAME["acknowledgement"]

_PROPERTIES = ("dispatchByTime", "startProcessingTime", "onHold", "locationCode", "orderStatus", "deliveredAt")
TIMED = ("dispatchByTime", "startProcessingTime", "onHold")
"""Properties of which an older word changes nothing. The others say where the order is, and what has happened."""
_NEW_STATUS = "CREATED"
"""The orderStatus of an order while no update named another."""
_ZIP_PREFIX = 3
"""Characters of a postcode that facts may carry: a region, not a house."""


def create_order(event: Event, now_ms: int, lookup: AnswerLookup) -> tuple[Decision[Order], Ruling]:
    """The first Create under a code."""
    decision = first_decision(Order, OrderState.RECEIVED, event, now_ms, lookup)
    return decision, _submit(decision)


def create_expected(decision: Decision[Order]) -> Ruling:
    """The Create of an order with early events: the order begins now, the count of its facts goes on."""
    order = decision.entity
    order.begin(decision.now_ms)
    order.state = OrderState.RECEIVED
    return _submit(decision)


def repeat_create(decision: Decision[Order]) -> Ruling:
    """A Create under a code that exists. Increff would answer a changed one with success and drop it (contract 0.3)."""
    order = decision.entity
    if decision.event.has_payload(order.digest, CREATE.request):
        return DUPLICATE
    if order.open_ended:
        return _submit(decision)
    return conflict(
        f"order {order.code} exists with other data; a changed order needs another orderCode, or Update Order "
        f"Properties or a cancellation"
    )


def retry_create(decision: Decision[Order]) -> Ruling:
    """A Create after Increff refused the last one. A corrected one is a new attempt; so is the same, at most once in
    the time that the channel allows. Until then it gets the reason."""
    order = decision.entity
    remembered = None
    if decision.event.has_payload(order.digest, CREATE.request):
        remembered = remembered_refusal(decision, _refusal(order), order.milestones.get("rejected", 0))
    return remembered or create_again(decision)


def create_again(decision: Decision[Order]) -> Ruling:
    """A new attempt of a Create that Increff refused. Of the last one nothing stays."""
    order = decision.entity
    if decision.awaited():
        # The answer will be about the items of the refused attempt.
        return failed(f"a request of order {order.code} is still out for an answer; repeat later")
    order.relays.clear()
    order.state = OrderState.RECEIVED
    order.reason = None
    order.milestones.pop("rejected", None)
    order.acknowledged.clear()
    order.forget_calls()
    decision.former = order.request
    return _submit(decision)


def create_taken(decision: Decision[Order]) -> Ruling:
    """Increff took the Create. It may have refused it before, and an operator had it sent again."""
    order = decision.entity
    if decision.answers_create() and order.state == OrderState.REJECTED:
        revive_order(decision)
        return APPLIED
    if decision.answers_create() and "submitted" not in order.milestones:
        reach_milestone(order, "submitted", decision.now_ms)
        settle_order(decision)
        decision.fact("order-submitted", order_context(order))
    return APPLIED


def create_refused(decision: Decision[Order]) -> Ruling:
    """Increff refused the Create. The contract has no call that tells the marketplace; a repeat and the fact do."""
    order, outcome = decision.entity, decision.outcome
    if not decision.answers_create():
        return DUPLICATE
    status = {"status": outcome.status}
    if order.adopted or is_known_at_increff(order):
        # Increff works on the order, so it has the order; it refused a repeat of the request.
        reach_milestone(order, "submitted", decision.now_ms)
        settle_order(decision)
        decision.fact("delivery-refused", {**order_context(order), "touchpoint": CREATE.name, **status})
        return APPLIED
    order.reason = outcome.reason[: limits.MESSAGE_MAX]
    order.state = OrderState.REJECTED
    reach_milestone(order, "rejected", decision.now_ms)
    # Increff's words may quote the order: they are for the order's own list, not for every reader of facts.
    decision.fact("order-rejected", {**order_context(order), **status}, {"reason": order.reason})
    return APPLIED


def _refusal(order: Order) -> str:
    return f"Increff refused order {order.code}: {order.reason}"


def update_order(decision: Decision[Order]) -> Ruling:
    """Property update: the last value wins. A hold is passed on, because the contract's pages contradict each other."""
    order, event = decision.entity, decision.event
    wrong = misplaced(order, event.body.get("locationCode"))
    if wrong is not None:
        return wrong
    body, older = _newest(order, event)
    if older and not any(event.body.get(name) is not None for name in TIMED if name not in older):
        return refused(f"a newer update of {', '.join(older)} is known; this one was under way for too long")
    changed = {**order.properties, **_present(body)}
    if not order.hold_crossed and mean_the_same(UPDATE.request, changed, order.properties):
        return DUPLICATE
    held = bool(changed["onHold"])
    changes_hold = _pass_on(decision, body, changed, held=held)
    names: dict[str, Any] = {"onHold": held, "dispatchByTime": changed["dispatchByTime"]}
    if not changes_hold:
        decision.fact("order-updated", {**order_context(order), **names})
        return APPLIED
    settle_order(decision)
    decision.fact("order-held" if held else "order-released", {**order_context(order), **names})
    return APPLIED


def _newest(order: Order, event: Event) -> tuple[dict[str, Any], list[str]]:
    """The body of an update with what is known by newer words in place of its own, and the names of that. Notes from
    when the word of each other property is."""
    body, older = event.body, note_said(order.said, event, TIMED)
    if older:
        body = {**body, **{name: order.properties[name] for name in older if name in order.properties}}
    return body, older


def _pass_on(decision: Decision[Order], body: dict[str, Any], changed: dict[str, Any], *, held: bool) -> bool:
    """Send an update, and note its values as those that Increff will have. Returns whether it changes the hold.

    After an acknowledgement that crossed a hold, either word does.
    """
    order = decision.entity
    changes_hold = held != order.held or order.hold_crossed
    request = decision.deliver(UPDATE, with_location(order, body), hold=changes_hold)
    _note_hold(order, request, held=held)
    order.properties, order.held, order.hold_crossed = changed, held, False
    return changes_hold


def _note_hold(order: Order, request: str, *, held: bool) -> None:
    """Keep the hold that an update in flight asks for, while that update or an earlier one could still be refused."""
    if not request:
        order.holds.clear()
        return
    if not order.holds and held != order.held:
        order.holds.append(["", order.held])
    if order.holds:
        order.holds.append([request, held])


def property_update_failed(order: Order, request: str) -> None:
    """Increff refused an update: its values do not count as known, so a repeat of them is a change."""
    order.properties = {}
    if any(known == request for known, _ in order.holds):
        order.holds = [hold for hold in order.holds if hold[0] != request]
        order.held = order.holds[-1][1]
        if len(order.holds) == 1:
            order.holds.clear()


def property_update_taken(order: Order, request: str) -> None:
    """Increff took an update: a later refusal falls back to the hold that it asked for."""
    create_order = next((n for n, (known, _) in enumerate(order.holds) if known == request), None)
    if create_order is None:
        return
    order.holds[: create_order + 1] = [["", order.holds[create_order][1]]]
    if len(order.holds) == 1:
        order.holds.clear()


def report_delivered(decision: Decision[Order]) -> Ruling:
    """The marketplace reports that the customer has the order."""
    order, event = decision.entity, decision.event
    wrong = misplaced(order, event.body.get("locationCode"))
    if wrong is not None:
        return wrong
    body, _ = _newest(order, event)
    changed = {**order.properties, **_present(body)}
    if not order.hold_crossed and mean_the_same(UPDATE.request, changed, order.properties):
        return DUPLICATE
    _pass_on(decision, body, changed, held=bool(changed["onHold"]))
    if "delivered" in order.milestones:
        decision.fact("order-updated", order_context(order))
        return APPLIED
    reach_milestone(order, "delivered", decision.now_ms)
    settle_order(decision)
    decision.fact("order-delivered", {**order_context(order), "deliveredAt": changed.get("deliveredAt")})
    return APPLIED


def acknowledge_order(decision: Decision[Order]) -> Ruling:
    """Stock is allocated. Once per location, because a split order has several."""
    order, body = decision.entity, decision.event.body
    items = [item for item in body["orders"] if item["orderCode"] == order.code]
    for_all = body.get("consolidationType") == "ALL"
    for item in items:
        wrong = None if for_all else misplaced(order, item.get("locationCode"))
        if wrong is not None:
            return wrong
    with_location = [_acknowledged(order, item, for_all=for_all) for item in items]
    new = [item.get("locationCode") or "" for item in with_location]
    new = [location for location in new if location not in order.acknowledged]
    if not new:
        return DUPLICATE
    if len(order.acknowledged) + len(new) > limits.LOCATIONS_MAX:
        return refused(f"more than {limits.LOCATIONS_MAX} locations acknowledged order {order.code}")
    order.acknowledged.extend(new)
    crossed = _end_hold(order)
    reach_milestone(order, "acknowledged", decision.now_ms)
    settle_order(decision)
    decision.deliver(ACKNOWLEDGEMENT, {**body, "orders": with_location})
    location = {"acknowledgedBy": new[0] or order.location}
    decision.fact("order-acknowledged", {**order_context(order), **location}, location)
    if crossed:
        decision.fact("hold-crossed", {**order_context(order), **location}, location)
    return APPLIED


def _end_hold(order: Order) -> bool:
    """An acknowledgement ends a hold. Returns whether there was one.

    Increff went on in spite of the hold (contract 10 and its FAQ disagree), or acknowledged before the hold reached
    it, and has it now. Which of the two is not known, so the next word on the hold leaves, whatever it is.
    """
    order.holds.clear()
    if not order.held:
        return False
    order.held, order.hold_crossed = False, True
    return True


def is_acknowledged(decision: Decision[Order]) -> bool:
    """Whether every location that an acknowledgement names acknowledged the order before."""
    order, body = decision.entity, decision.event.body
    for_all = body.get("consolidationType") == "ALL"
    items = [_acknowledged(order, item, for_all=for_all) for item in body["orders"] if item["orderCode"] == order.code]
    return all((item.get("locationCode") or "") in order.acknowledged for item in items)


def _submit(decision: Decision[Order]) -> Ruling:
    order, body = decision.entity, decision.event.body
    order.digest = decision.event.payload_of(CREATE.request)
    order.location = body.get("locationCode")
    order.split = bool(body.get("isSplitRequired"))
    if order.adopted:
        complete_lines(order, body["orderItems"])
        # The order is under way at Increff, where a Create changes nothing: updates that came before it are newer.
        # Without any, it is not known whether Increff has it on hold: `onHold` is left out, so the first update leaves.
        created = {name: value for name, value in _present(body).items() if name != "onHold"}
        order.properties = {"orderStatus": _NEW_STATUS, **created, **order.properties}
    else:
        order.set_lines(
            [Line(item["orderItemCode"], item["channelSkuCode"], item["quantity"]) for item in body["orderItems"]]
        )
        order.properties = {"orderStatus": _NEW_STATUS, **_present(body)}
        order.held = bool(body.get("onHold"))
        order.holds, order.hold_crossed = [], False
    order.request = decision.deliver(CREATE, body)
    settle_order(decision)
    address = body.get("shippingAddress") or {}
    decision.fact(
        "order-created",
        {
            **order_context(order),
            "onHold": order.held,
            "orderType": body.get("orderType"),
            "paymentMethod": body.get("paymentMethod"),
            "dispatchByTime": body.get("dispatchByTime"),
            "shipTo": {
                "city": address.get("city"),
                "state": address.get("state"),
                "country": address.get("country"),
                "zipPrefix": (address.get("zip") or "")[:_ZIP_PREFIX],
            },
        },
    )
    return APPLIED


def _present(body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in _PROPERTIES if body.get(name) is not None}


def _acknowledged(order: Order, item: dict[str, Any], *, for_all: bool) -> dict[str, Any]:
    """One acknowledged order. It has no location where all locations are consolidated (contract 2)."""
    return item if for_all else with_location(order, item)
