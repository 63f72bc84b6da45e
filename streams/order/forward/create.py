"""Create, property updates, the report of delivery, and the acknowledgement."""

from __future__ import annotations

from typing import Any

from streams.order.forward.adopt import complete_lines
from streams.order.forward.location import misplaced
from streams.order.forward.progress import context, located, reach, settle
from streams.order.model import limits
from streams.order.model.canonical import digest
from streams.order.model.decision import APPLIED, DUPLICATE, Recall, Ruling, Turn, conflict, failed, refused
from streams.order.model.entities import Order
from streams.order.model.events import Event
from streams.order.model.parts import Line
from streams.order.model.states import OrderState
from topics.contract.touchpoints import BY_NAME

CREATE = BY_NAME["create-outward-order"]
UPDATE = BY_NAME["update-order-properties"]
ACKNOWLEDGEMENT = BY_NAME["acknowledgement"]

_PROPERTIES = ("dispatchByTime", "startProcessingTime", "onHold", "locationCode", "orderStatus", "deliveredAt")
_NEW_STATUS = "CREATED"
"""The orderStatus of an order that nothing was said about."""
_ZIP_PREFIX = 3
"""Characters of a postcode that facts may carry: a region, not a house."""


def place(event: Event, now_ms: int, recall: Recall) -> tuple[Turn[Order], Ruling]:
    """The first Create under a code."""
    order = Order(
        channel=event.channel, code=event.code, state=OrderState.RECEIVED, created_ms=now_ms, updated_ms=now_ms
    )
    turn = Turn(order, event, now_ms, recall)
    return turn, _submit(turn, digest(CREATE.request, event.body))


def place_expected(turn: Turn[Order]) -> Ruling:
    """The Create of an order of which events came early: it begins now, its facts go on from theirs."""
    order = turn.entity
    order.begin(turn.now_ms)
    order.state = OrderState.RECEIVED
    return _submit(turn, digest(CREATE.request, turn.event.body))


def repeat(turn: Turn[Order]) -> Ruling:
    """A Create under a code that exists. Increff would answer success to a changed one and drop it (contract 0.3)."""
    order = turn.entity
    payload = digest(CREATE.request, turn.event.body)
    if payload == order.digest:
        return DUPLICATE
    if order.open_ended:
        return _submit(turn, payload)
    return conflict(
        f"order {order.code} exists with other data; a changed order needs another orderCode, or Update Order "
        f"Properties or a cancellation"
    )


def attempt_again(turn: Turn[Order]) -> Ruling:
    """A Create after Increff refused the last one: the same gets the reason, a corrected one is a new attempt."""
    order = turn.entity
    corrected = digest(CREATE.request, turn.event.body)
    if corrected == order.digest:
        return refused(refusal(order))
    if any(not relay.dead and not turn.overdue(relay) for relay in order.relays):
        # Its answer speaks of the items of the refused attempt.
        return failed(f"a request of order {order.code} is still out for an answer; repeat later")
    order.relays.clear()
    order.state = OrderState.RECEIVED
    order.reason = None
    order.milestones.pop("rejected", None)
    order.acknowledged.clear()
    return _submit(turn, corrected)


def taken(turn: Turn[Order]) -> Ruling:
    """Increff took the Create."""
    order = turn.entity
    if turn.answers_create() and "submitted" not in order.milestones:
        reach(order, "submitted", turn.now_ms)
        settle(turn)
        turn.fact("order-submitted", context(order))
    return APPLIED


def rejected(turn: Turn[Order]) -> Ruling:
    """Increff refused the Create: the contract has no call that tells the marketplace, a repeat and the fact do."""
    order, outcome = turn.entity, turn.event.outcome
    if not turn.answers_create() or outcome is None:
        return DUPLICATE
    if order.shipments or order.adopted:
        # Increff packs it, so it has it; what it refused was a repeat of the request.
        turn.fact("delivery-refused", {**context(order), "touchpoint": CREATE.name, "status": outcome.status})
        return APPLIED
    order.reason = (outcome.message or f"HTTP {outcome.status}")[: limits.MESSAGE_MAX]
    order.state = OrderState.REJECTED
    reach(order, "rejected", turn.now_ms)
    turn.fact(
        "order-rejected",
        # Increff's words may quote the order: they are for the order's own list, not for every reader of facts.
        {**context(order), "status": outcome.status},
        {"reason": order.reason},
    )
    return APPLIED


def refusal(order: Order) -> str:
    return f"Increff refused order {order.code}: {order.reason}"


def update(turn: Turn[Order]) -> Ruling:
    """Property update: the last value wins. A hold is passed on: the contract's pages contradict each other on it."""
    order, event = turn.entity, turn.event
    wrong = misplaced(order, event.body.get("locationCode"))
    if wrong is not None:
        return wrong
    changed = {**order.properties, **_present(event.body)}
    if changed == order.properties:
        return DUPLICATE
    held = bool(changed["onHold"])
    request = turn.deliver(UPDATE, located(order, event.body))
    order.properties = changed
    names: dict[str, Any] = {"onHold": held, "dispatchByTime": changed["dispatchByTime"]}
    _note_hold(order, request, held=held)
    if held == order.held:
        turn.fact("order-updated", {**context(order), **names})
        return APPLIED
    order.held = held
    settle(turn)
    turn.fact("order-held" if held else "order-released", {**context(order), **names})
    return APPLIED


def _note_hold(order: Order, request: str, *, held: bool) -> None:
    """What an update in flight says, while that or an earlier one could still be refused."""
    if not request:
        order.holds.clear()
        return
    if not order.holds and held != order.held:
        order.holds.append(["", order.held])
    if order.holds:
        order.holds.append([request, held])


def update_failed(order: Order, request: str) -> None:
    """Increff refused an update: what it would have changed is not known to hold, so that a repeat is a change."""
    order.properties = {}
    if any(known == request for known, _ in order.holds):
        order.holds = [hold for hold in order.holds if hold[0] != request]
        order.held = order.holds[-1][1]
        if len(order.holds) == 1:
            order.holds.clear()


def update_taken(order: Order, request: str) -> None:
    """Increff took an update: what it said about a hold is what a later refusal falls back to."""
    place = next((n for n, (known, _) in enumerate(order.holds) if known == request), None)
    if place is None:
        return
    order.holds[: place + 1] = [["", order.holds[place][1]]]
    if len(order.holds) == 1:
        order.holds.clear()


def report_delivered(turn: Turn[Order]) -> Ruling:
    """The marketplace reports that the customer has it."""
    order, event = turn.entity, turn.event
    wrong = misplaced(order, event.body.get("locationCode"))
    if wrong is not None:
        return wrong
    changed = {**order.properties, **_present(event.body)}
    if changed == order.properties:
        return DUPLICATE
    turn.deliver(UPDATE, located(order, event.body))
    order.properties = changed
    if "delivered" in order.milestones:
        turn.fact("order-updated", context(order))
        return APPLIED
    reach(order, "delivered", turn.now_ms)
    settle(turn)
    turn.fact("order-delivered", {**context(order), "deliveredAt": changed.get("deliveredAt")})
    return APPLIED


def acknowledge(turn: Turn[Order]) -> Ruling:
    """Stock is allocated. Once per location, because a split order has several."""
    order, body = turn.entity, turn.event.body
    items = [item for item in body["orders"] if item["orderCode"] == order.code]
    for_all = body.get("consolidationType") == "ALL"
    for item in items:
        wrong = None if for_all else misplaced(order, item.get("locationCode"))
        if wrong is not None:
            return wrong
    located = [_acknowledged(order, item, for_all=for_all) for item in items]
    new = [item.get("locationCode") or "" for item in located]
    new = [location for location in new if location not in order.acknowledged]
    if not new:
        return DUPLICATE
    if len(order.acknowledged) + len(new) > limits.LOCATIONS_MAX:
        return refused(f"more than {limits.LOCATIONS_MAX} locations acknowledged order {order.code}")
    order.acknowledged.extend(new)
    # Allocated: whatever the hold was, Increff went on (contract 10 and its FAQ disagree), and a new one is a change.
    order.held = False
    order.holds.clear()
    if order.properties.get("onHold"):
        order.properties["onHold"] = False
    reach(order, "acknowledged", turn.now_ms)
    settle(turn)
    turn.deliver(ACKNOWLEDGEMENT, {**body, "orders": located})
    location = {"acknowledgedBy": new[0] or order.location}
    turn.fact("order-acknowledged", {**context(order), **location}, location)
    return APPLIED


def _submit(turn: Turn[Order], payload: str) -> Ruling:
    order, body = turn.entity, turn.event.body
    order.digest = payload
    order.location = body.get("locationCode")
    order.split = bool(body.get("isSplitRequired"))
    if order.adopted:
        complete_lines(order, body["orderItems"])
        # It is under way at Increff, where its Create changes nothing: updates that came before it are newer.
        order.properties = {"orderStatus": _NEW_STATUS, **_present(body), "onHold": order.held, **order.properties}
    else:
        order.lines = [
            Line(item["orderItemCode"], item["channelSkuCode"], item["quantity"]) for item in body["orderItems"]
        ]
        order.properties = {"orderStatus": _NEW_STATUS, **_present(body)}
        order.held = bool(body.get("onHold"))
        order.holds = []
    order.request = turn.deliver(CREATE, body)
    settle(turn)
    address = body.get("shippingAddress") or {}
    turn.fact(
        "order-created",
        {
            **context(order),
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
    return item if for_all else located(order, item)
