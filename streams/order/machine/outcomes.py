"""Outcomes of the requests that an entity made: its list of deliveries, and the facts that operators need."""

from __future__ import annotations

from typing import Any, cast

from streams.order.forward.create import UPDATE, property_update_failed, property_update_taken
from streams.order.forward.progress import order_context, settle_order
from streams.order.model import limits
from streams.order.model.decision import APPLIED, Decision, Ruling
from streams.order.model.entities import Order, Return
from streams.order.model.entity import Entity
from streams.order.model.parts import Delivery, destination_of, new_delivery
from streams.order.model.states import OrderState, ReturnState
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import Outcome, OutcomeKind


def note_outcome(decision: Decision[Any]) -> bool:
    """Write an outcome into the list of deliveries. False when it is nothing new: then nothing follows from it."""
    outcome = decision.outcome
    if outcome.kind is OutcomeKind.OVERTAKEN:
        return not decision.is_remembered()
    delivery = decision.entity.delivery(outcome.request) or _listed_again(decision, outcome)
    if delivery is None:
        return False
    known = cast("int", delivery.attempts[-1][0]) if delivery.attempts else 0
    newer = outcome.attempt is not None and outcome.attempt.number > known
    if delivery.settled:
        if delivery.status == OutcomeKind.REFUSED and outcome.kind is OutcomeKind.DELIVERED and newer:
            # Redriven, and taken after all: what followed from the refusal stays, and the list shows the success.
            _write(decision.entity, delivery, outcome, newer=newer)
            decision.listed = True
            # Only a Create's success undoes what followed from its refusal: the far side has the order or return.
            return decision.answers_create() and decision.entity.state in (OrderState.REJECTED, ReturnState.REJECTED)
        return False
    if outcome.kind in (OutcomeKind.RETRYING, OutcomeKind.DEAD) and not newer:
        # These two leave the delivery open, so an old one may come again after a newer one.
        return False
    _write(decision.entity, delivery, outcome, newer=newer)
    if outcome.kind is OutcomeKind.DEAD:
        data, noted = _about(decision, outcome)
        decision.fact("delivery-failed", {**data, "destination": delivery.destination(decision.entity.channel)}, noted)
    return True


def attempt_failed(decision: Decision[Any]) -> Ruling:  # noqa: ARG001 - the attempt is noted already
    """An attempt failed and another will come."""
    return APPLIED


def notice_taken(decision: Decision[Any]) -> Ruling:
    """A notification arrived. If it was a property update, that can no longer be refused; else nothing follows."""
    outcome, entity = decision.outcome, decision.entity
    if outcome.touchpoint == UPDATE.name and isinstance(entity, Order):
        property_update_taken(entity, outcome.request)
    return APPLIED


def notice_failed(decision: Decision[Any]) -> Ruling:
    """A notification was refused or given up. No caller waits for it, so a fact reports it."""
    outcome, entity = decision.outcome, decision.entity
    if outcome.touchpoint == UPDATE.name and isinstance(entity, Order):
        property_update_failed(entity, outcome.request)
        entity.forget_call_of(outcome.request)
        settle_order(decision)
    if outcome.touchpoint == "update-returns" and isinstance(entity, Return):
        entity.properties = ""  # so that a repeat is sent
        entity.forget_call_of(outcome.request)
    if outcome.kind is not OutcomeKind.DEAD:
        decision.fact("delivery-refused", *_about(decision, outcome))
    return APPLIED


def notice_overtaken(decision: Decision[Order]) -> Ruling:
    """A relay is sent before an optional notification that keeps failing. Both sides learn it by a fact, once."""
    order, outcome = decision.entity, decision.outcome
    noted = {"touchpoint": outcome.touchpoint, "by": outcome.by_touchpoint}
    decision.fact(
        "notice-overtaken",
        {
            **order_context(order),
            **noted,
            "destination": destination_of(BY_NAME[outcome.touchpoint], order.channel),
            "request": outcome.request,
            "byRequest": outcome.by,
        },
        noted,
    )
    decision.remember(APPLIED)
    return APPLIED


def entity_context(entity: Entity) -> dict[str, Any]:
    """The members of a fact that any entity may have."""
    if isinstance(entity, Order):
        return order_context(entity)
    code = "returnOrderCode" if entity.KIND == Return.KIND else "manifestId"
    return {code: entity.code, "state": entity.state, "locationCode": entity.location}


def _listed_again(decision: Decision[Any], outcome: Outcome) -> Delivery | None:
    """A delivery that is not listed any more, where something depends on its outcome."""
    entity = decision.entity
    if not entity.is_awaited(outcome.request):
        return None
    delivery = new_delivery(outcome.request, outcome.touchpoint, decision.now_ms)
    entity.keep_delivery(delivery)
    return delivery


def _write(entity: Entity, delivery: Delivery, outcome: Outcome, *, newer: bool) -> None:
    entity.touch_delivery(delivery)
    delivery.status = outcome.kind.value
    delivery.next_ms = outcome.next_at_ms
    delivery.message = outcome.message[: limits.MESSAGE_MAX]
    if newer and outcome.attempt is not None:
        attempt = outcome.attempt
        error = attempt.error[: limits.MESSAGE_MAX]
        delivery.attempts.append([attempt.number, attempt.at_ms, attempt.took_ms, attempt.status, error])
        del delivery.attempts[: -limits.ATTEMPTS_MAX]


def _about(decision: Decision[Any], outcome: Outcome) -> tuple[dict[str, Any], dict[str, Any]]:
    """The members of a request's fact, and the part of them that the entity's own list keeps.

    The far side's message stays out of facts: it may quote the order.
    """
    request = {"touchpoint": outcome.touchpoint, "status": outcome.status}
    return {**entity_context(decision.entity), **request}, request
