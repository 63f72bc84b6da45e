"""An operator has a refused request sent again: its call is decided anew, in the present state.

A Create is a new attempt of its order or return. A change is decided as a new call with the old words. A report of what
has happened leaves again as it was. Each refused request is sent again once: from then on it is `resubmitted`, and the
request that took its place may be refused in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streams.order.forward import cancel, create, shipments
from streams.order.machine.outcomes import entity_context
from streams.order.model.decision import APPLIED, DUPLICATE, NO_ROOM, Decision, NoRoomError, Ruling, failed, refused
from streams.order.model.entities import Order, Return
from streams.order.model.entity import Entity
from streams.order.model.events import Event
from streams.order.model.parts import RESUBMITTED, Delivery
from streams.order.model.states import ALIVE, ARRIVED, COMING, OrderState, ReturnState
from streams.order.returns import items, questions, returns
from streams.order.storage.encoding import copy_entity
from topics.contract.definition import Mode, Touchpoint
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import OutcomeKind
from topics.records.verdicts import Verdict

Rule = Callable[[Decision[Any]], Ruling]
"""Decides the call of a refused request, whose id is the decision's `former`."""


def resubmit_request(decision: Decision[Any]) -> Ruling:
    """Send a refused request again, if the present state allows it. A fact says who had it sent, and why."""
    entity, event = decision.entity, decision.event
    asked, touchpoint = event.body, BY_NAME[event.body["touchpoint"]]
    objection = _objection(entity, asked["request"], touchpoint)
    if objection is not None:
        return objection
    if not event.offered:
        return refused(f"{touchpoint.name} is switched off for channel {entity.channel}")
    call = decision.resume(
        event.id,
        touchpoint.name,
        asked["body"],
        reply_to=event.reply_to,
        deadline_ms=event.deadline_ms,
        said_ms=asked["saidMs"],
    )
    call.former = asked["request"]
    ruling = _RULES[touchpoint.name](call)
    if ruling.verdict in (None, Verdict.APPLIED):
        said = {"touchpoint": touchpoint.name, "by": asked["by"], "reason": asked["reason"]}
        data = {**entity_context(entity), **said, "request": asked["request"]}
        # From where the operator came is for the entity's own list, not for every reader of facts.
        decision.fact("request-resubmitted", data, {**said, "address": asked["address"]})
    return ruling


def preview(entity: Entity | None, event: Event, now_ms: int) -> Ruling:
    """The ruling that a resubmission would get now. It changes nothing."""
    if entity is None:
        return refused(f"{event.code} is not known")
    copy: Decision[Any] = Decision(copy_entity(entity), event, now_ms, lambda _key: None)
    try:
        ruling = resubmit_request(copy)
    except NoRoomError:
        return failed(NO_ROOM)
    return ruling if ruling.verdict is not None else APPLIED


def _objection(entity: Entity, request: str, touchpoint: Touchpoint) -> Ruling | None:
    """Why the request is not sent again, whatever it says."""
    name = f"{touchpoint.name} of {entity.KIND} {entity.code}"
    if touchpoint.mode is Mode.RELAY:
        return refused(f"{name}: its caller got the refusal, and asks the far side again with a repeat")
    listed = entity.delivery(request)
    if listed is None:
        # The list is bounded; the Create's request is known without it.
        known = request == entity.request
        return None if known else refused(f"{name}: request {request} is not in the list of deliveries any more")
    if listed.touchpoint != touchpoint.name:
        return refused(f"{name}: request {request} is of {listed.touchpoint}")
    if listed.status == RESUBMITTED:
        return DUPLICATE
    if listed.status != OutcomeKind.REFUSED:
        return refused(f"{name} was not refused: it is {listed.status}")
    return None


# Of an order


def _create(call: Decision[Order]) -> Ruling:
    order = call.entity
    if order.state != OrderState.REJECTED:
        return refused(f"order {order.code} is {order.state}, and needs no other Create")
    if call.former != order.request:
        return refused(f"a later Create of order {order.code} was refused, too: that one can be sent again")
    return create.create_again(call)


def _update(call: Decision[Order]) -> Ruling:
    order = call.entity
    if order.state not in ALIVE and order.state != OrderState.DELIVERED:
        return refused(f"order {order.code} is {order.state}, and is not updated any more")
    delivered = call.event.body.get("orderStatus") == "DELIVERED"
    return _unless_newer(call, create.report_delivered if delivered else create.update_order)


def _acknowledgement(call: Decision[Order]) -> Ruling:
    order = call.entity
    named = {item.get("locationCode") or "" for item in call.event.body["orders"]}
    if order.state == OrderState.REJECTED or not named <= set(order.acknowledged):
        return refused(f"order {order.code} has begun anew since: Increff acknowledges it again")
    return _as_it_was(call)


def _handover(call: Decision[Order]) -> Ruling:
    return _as_it_was(call)


def _seller_cancellation(call: Decision[Order]) -> Ruling:
    return _unless_newer(call, _as_it_was)


# Of a return


def _create_return(call: Decision[Return]) -> Ruling:
    entity = call.entity
    if entity.state not in (ReturnState.REJECTED, ReturnState.REFUSED):
        return refused(f"return {entity.code} is {entity.state}, and needs no other Create")
    if call.former not in (entity.request, entity.former):
        return refused(f"a later Create of return {entity.code} was refused, too: that one can be sent again")
    return returns.create_again(call)


def _add_items(call: Decision[Return]) -> Ruling:
    """The refusal cancelled the items; the forward order is asked about them once more."""
    entity = call.entity
    if entity.state not in COMING:
        return refused(f"return {entity.code} is {entity.state}, and takes no more items")
    if entity.question is not None:
        return failed(f"return {entity.code} asks its forward order about other items; repeat later")
    before = dict(entity.items)
    for code, item in before.items():
        if item.added == call.former and item.qc is None:
            del entity.items[code]
    ruling = items.add_return_items(call)
    if ruling.verdict is None:
        entity.former = call.former
    else:
        entity.items = before
    return ruling


def _update_return(call: Decision[Return]) -> Ruling:
    entity = call.entity
    if entity.state not in COMING and entity.state not in ARRIVED:
        return refused(f"return {entity.code} is {entity.state}, and is not updated any more")
    return _unless_newer(call, returns.update_return)


def _cancel_items(call: Decision[Return]) -> Ruling:
    """Items that Increff has not cancelled yet, and that have not arrived since."""
    entity = call.entity
    waiting = [item for item in entity.items.values() if item.cancelled == call.former]
    if not waiting:
        return refused(f"items of return {entity.code} arrived since, or are cancelled: nothing is left to cancel")
    request = call.deliver(items.CANCEL, call.event.body)
    for item in waiting:
        item.cancelled = request
    return APPLIED


def _acknowledge_return(call: Decision[Return]) -> Ruling:
    entity = call.entity
    for reported in call.event.body["orderItems"]:
        known = entity.items.get(reported["itemCode"])
        if known is None or not items.was_reported(known, reported):
            return refused(f"item {reported['itemCode']} of return {entity.code} was inspected again since")
    return _as_it_was(call)


def _as_it_was(call: Decision[Any]) -> Ruling:
    """Sends a report of what has happened: the state has it already, only the far side lacks it."""
    touchpoint = call.event.touchpoint
    if touchpoint is None:
        raise ValueError("a call without a touchpoint")
    call.deliver(touchpoint, call.event.body)
    return APPLIED


def _unless_newer(call: Decision[Any], rule: Rule) -> Ruling:
    """The last word counts, so a refused one is not sent behind a newer one."""
    newer = _newer(call.entity, call.former)
    if newer is None:
        return rule(call)
    kind, code = call.entity.KIND, call.entity.code
    what = "that one can be sent again" if newer.status == OutcomeKind.REFUSED else f"it is {newer.status}"
    return refused(f"a newer {newer.touchpoint} of {kind} {code} came since: {what}")


def _newer(entity: Entity, request: str) -> Delivery | None:
    """The last request of the same touchpoint behind this one."""
    behind: list[Delivery] = []
    for listed in reversed(entity.deliveries):
        if listed.id == request:
            return next((one for one in behind if one.touchpoint == listed.touchpoint), None)
        behind.append(listed)
    return None


_RULES: dict[str, Rule] = {
    create.CREATE.name: _create,
    create.UPDATE.name: _update,
    create.ACKNOWLEDGEMENT.name: _acknowledgement,
    shipments.HANDOVER.name: _handover,
    cancel.SELLER.name: _seller_cancellation,
    questions.CREATE.name: _create_return,
    questions.ADD.name: _add_items,
    returns.UPDATE.name: _update_return,
    items.CANCEL.name: _cancel_items,
    items.ACKNOWLEDGEMENT.name: _acknowledge_return,
}
"""Every touchpoint whose requests no caller waits for."""
