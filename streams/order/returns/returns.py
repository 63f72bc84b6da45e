"""A return as a whole: created once its forward order has admitted it, updated, taken or refused by Increff."""

from __future__ import annotations

from typing import Any

from streams.order.model import limits
from streams.order.model.canonical import digest, matches
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
from streams.order.model.entities import Return
from streams.order.model.events import Event, note_said
from streams.order.model.parts import ReturnItem
from streams.order.model.refusals import remembered_refusal
from streams.order.model.states import ReturnState
from streams.order.returns import items, questions
from streams.order.returns.items import return_context
from streams.order.returns.questions import CREATE
from topics.contract.models.returns import UpdateReturns
from topics.contract.touchpoints import BY_NAME

UPDATE = BY_NAME["update-returns"]

_COURIER = {
    "awbNumber": "trackingCode",
    "trackingCode": "trackingCode",
    "transporter": "transporter",
    "returnOrderStatus": "returnOrderStatus",
    "expectedDate": "expectedDate",
}
"""Members of Create and of Update Returns -> the one name under which they are known (contract 19.4)."""
_TIMED = tuple(name for name in UpdateReturns.model_fields if name not in ("returnOrderCode", "locationCode"))
"""Members of Update Returns that say something about the return."""


def create_return(event: Event, now_ms: int, lookup: AnswerLookup) -> tuple[Decision[Return], Ruling] | None:
    """The first Create under a return code."""
    decision = first_decision(Return, ReturnState.ASKED, event, now_ms, lookup)
    too_large = questions.call_too_large(decision)
    if too_large is not None:
        decision.entity.state = ReturnState.REFUSED
        decision.entity.reason = too_large.message
        return decision, too_large
    return decision, _ask(decision)


def adopt_return(event: Event, now_ms: int, lookup: AnswerLookup) -> tuple[Decision[Return], None] | None:
    """Adopt a return that Sluice did not see created, as in a cut-over; None where the channel does not allow it."""
    if event.unknown_orders != "adopt":
        return None
    decision = first_decision(Return, ReturnState.SUBMITTED, event, now_ms, lookup)
    entity, body = decision.entity, event.body
    entity.adopted, entity.forward_known = True, False
    entity.location = body.get("locationCode")
    entity.forward = body.get("orderCode") or body.get("forwardOrderCode") or ""
    decision.fact("return-adopted", {**return_context(entity), "by": event.kind}, {"by": event.kind})
    return decision, None


def repeat_asked_return(decision: Decision[Return]) -> Ruling:
    """A repeat while the forward order has not answered."""
    entity = decision.entity
    if not decision.event.has_payload(entity.digest, CREATE.request):
        return _differs(entity)
    question = entity.question
    return questions.join_question(decision, question) if question is not None else _ask(decision)


def repeat_return(decision: Decision[Return]) -> Ruling:
    entity = decision.entity
    if entity.adopted and not entity.digest:
        return _complete(decision)
    return DUPLICATE if decision.event.has_payload(entity.digest, CREATE.request) else _differs(entity)


def retry_return(decision: Decision[Return]) -> Ruling:
    """A Create after Increff refused the last one. A corrected one is a new attempt; so is the same, at most once in
    the time that the channel allows. Until then it gets the reason.

    After the forward order refused the return, each Create is a new attempt: more may have been shipped since.
    """
    entity = decision.entity
    unchanged = decision.event.has_payload(entity.digest, CREATE.request)
    if unchanged and entity.state == ReturnState.REJECTED:
        remembered = remembered_refusal(decision, _refusal(entity), entity.rejected_ms)
        if remembered is not None:
            return remembered
    return create_again(decision)


def create_again(decision: Decision[Return]) -> Ruling:
    """A new attempt of a return that was refused."""
    return questions.call_too_large(decision) or _ask(decision)


def return_decided(decision: Decision[Return]) -> Ruling:
    """The forward order's answer: the call that waited for it is carried out, or refused."""
    question = questions.answered_question(decision)
    if question is None:
        return DUPLICATE
    body = decision.event.body
    call = questions.call_of_question(decision, question)
    if question.touchpoint == CREATE.name:
        return _created(decision, call) if body["admitted"] else _denied(decision, call)
    if body["admitted"]:
        return items.added_items_admitted(decision, call)
    return items.added_items_denied(decision, call, body["reason"])


def remind_forward_order(decision: Decision[Return]) -> None:
    """Ask the forward order again, at a tick; a fact reports when it never answers."""
    question = questions.repeat_question(decision)
    if question is not None:
        call = {"touchpoint": question.touchpoint}
        decision.fact("return-unanswered", {**return_context(decision.entity), **call}, call)


def return_undecided(decision: Decision[Return]) -> Ruling:
    """A call that cannot be decided before the forward order has answered, which takes moments."""
    return failed(f"return {decision.entity.code} waits for its forward order; repeat later")


def return_taken(decision: Decision[Return]) -> Ruling:
    entity = decision.entity
    if decision.answers_create() and entity.state == ReturnState.REJECTED:
        revive_return(decision)
    if decision.answers_create() and entity.state == ReturnState.RECEIVED:
        entity.state = ReturnState.SUBMITTED
        decision.fact("return-submitted", return_context(entity))
    return APPLIED


def acknowledge_rejected(decision: Decision[Return]) -> Ruling:
    """Increff inspected units of a return that it refused: so it has the return."""
    revive_return(decision)
    return items.acknowledge_return(decision)


def revive_return(decision: Decision[Return]) -> None:
    """The return counts as taken by Increff from now on: its units are claimed again, and a fact withdraws
    `return-rejected`."""
    entity, by = decision.entity, decision.event.kind
    entity.state, entity.reason = ReturnState.SUBMITTED, None
    entity.rejected_ms = 0
    decision.fact("return-revived", {**return_context(entity), "by": by}, {"by": by})
    questions.claim_units(decision)


def return_rejected(decision: Decision[Return]) -> Ruling:
    """Increff refused the return: its units are free for another one."""
    entity, outcome = decision.entity, decision.outcome
    if not decision.answers_create():
        return DUPLICATE
    entity.reason = outcome.reason[: limits.MESSAGE_MAX]
    entity.state = ReturnState.REJECTED
    entity.rejected_ms = decision.now_ms
    questions.close_question(decision, refused(_refusal(entity)))
    # Increff's words may quote the return: they are for its own list, not for every reader of facts.
    decision.fact("return-rejected", {**return_context(entity), "status": outcome.status}, {"reason": entity.reason})
    questions.claim_units(decision)
    return APPLIED


def _refusal(entity: Return) -> str:
    return f"Increff refused return {entity.code}: {entity.reason}"


def update_return(decision: Decision[Return]) -> Ruling:
    """The last value wins; of one that was under way for long, the members on which nothing newer is known."""
    entity, body = decision.entity, decision.event.body
    older = note_said(entity.said, decision.event, _TIMED)
    if older:
        body = {name: value for name, value in body.items() if name not in older}
        if not any(body.get(name) is not None for name in _TIMED):
            return refused(f"a newer update of {', '.join(older)} is known; this one was under way for too long")
    if matches(entity.properties, UPDATE.request, body):
        return DUPLICATE
    decision.deliver(UPDATE, body)
    entity.properties = digest(UPDATE.request, body)
    changed = _courier(body)
    entity.courier |= changed
    decision.fact("return-updated", {**return_context(entity), **changed}, changed)
    return APPLIED


def _ask(decision: Decision[Return]) -> Ruling:
    """Begin a new attempt: of the last one nothing stays."""
    entity, body = decision.entity, decision.event.body
    entity.state = ReturnState.ASKED
    entity.reason = None
    entity.digest = decision.event.payload_of(CREATE.request)
    entity.forward = body["forwardOrderCode"]
    entity.location = body.get("locationCode")
    entity.former = entity.request or entity.former
    entity.items, entity.courier, entity.properties, entity.request, entity.said = {}, {}, "", "", {}
    entity.adopted = False
    entity.question = None
    entity.forget_calls()
    return questions.ask_forward_order(decision, CREATE, body, entity.digest)


def _complete(decision: Decision[Return]) -> Ruling:
    """The Create of an adopted return came at last. If Increff has the return, it takes the Create as a repeat."""
    entity, body = decision.entity, decision.event.body
    entity.request = decision.deliver(CREATE, body)
    entity.digest = decision.event.payload_of(CREATE.request)
    entity.forward = body["forwardOrderCode"]
    entity.location = body.get("locationCode")
    entity.courier = _courier(body) | entity.courier
    items.learn_return_items(entity, ((item["itemCode"], item["channelSkuCode"]) for item in body["orderItems"]))
    decision.fact("return-created", _creation(decision))
    return APPLIED


def _created(decision: Decision[Return], call: Decision[Return]) -> Ruling:
    entity, body = decision.entity, call.event.body
    entity.request, entity.former = call.deliver(CREATE, body), ""
    entity.state = ReturnState.RECEIVED
    entity.items = {item["itemCode"]: ReturnItem(item["channelSkuCode"]) for item in body["orderItems"]}
    entity.courier = _courier(body)
    entity.forward_known = decision.event.body["forwardKnown"]
    questions.close_question(decision, APPLIED)
    call.fact("return-created", _creation(call))
    return APPLIED


def _denied(decision: Decision[Return], call: Decision[Return]) -> Ruling:
    entity = decision.entity
    entity.state = ReturnState.REFUSED
    entity.reason = decision.event.body["reason"]
    questions.close_question(decision, refused(f"return {entity.code} is refused: {entity.reason}"))
    reason = {"reason": entity.reason}
    call.fact("return-refused", {**return_context(entity), **reason, **_items(call)}, reason)
    return APPLIED


def _creation(call: Decision[Return]) -> dict[str, Any]:
    """The members of the fact that a Create made a return."""
    kind = {"orderType": call.event.body.get("orderType"), "forwardKnown": call.entity.forward_known}
    return {**return_context(call.entity), **kind, **_items(call)}


def _items(call: Decision[Return]) -> dict[str, Any]:
    items = call.event.body["orderItems"]
    return {"items": [{name: item[name] for name in ("itemCode", "channelSkuCode")} for item in items]}


def _courier(body: dict[str, Any]) -> dict[str, str]:
    return {known: body[name] for name, known in _COURIER.items() if body.get(name) is not None}


def _differs(entity: Return) -> Ruling:
    return conflict(f"return {entity.code} exists with other data; a changed return needs another returnOrderCode")
