"""A return as a whole: created once its forward order has admitted it, updated, taken or refused by Increff."""

from __future__ import annotations

from typing import Any

from streams.order.model import limits
from streams.order.model.canonical import digest
from streams.order.model.decision import APPLIED, DUPLICATE, Recall, Ruling, Turn, conflict, failed, refused
from streams.order.model.entities import Return
from streams.order.model.events import Event
from streams.order.model.parts import ReturnItem
from streams.order.model.states import ReturnState
from streams.order.returns import items as return_items
from streams.order.returns import questions as asking
from streams.order.returns.items import context
from streams.order.returns.questions import CREATE
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


def open_return(event: Event, now_ms: int, recall: Recall) -> tuple[Turn[Return], Ruling] | None:
    """The first Create under a return code."""
    entity = Return(
        channel=event.channel, code=event.code, state=ReturnState.ASKED, created_ms=now_ms, updated_ms=now_ms
    )
    turn = Turn(entity, event, now_ms, recall)
    too_large = asking.is_too_large(turn)
    if too_large is not None:
        entity.state = ReturnState.REFUSED
        entity.reason = too_large.message
        return turn, too_large
    return turn, _ask(turn)


def meet(event: Event, now_ms: int, recall: Recall) -> tuple[Turn[Return], None] | None:
    """A return that Sluice did not see created, as in a cut-over; None where the channel does not take it on."""
    if event.unknown_orders != "adopt":
        return None
    entity = Return(
        channel=event.channel,
        code=event.code,
        state=ReturnState.SUBMITTED,
        created_ms=now_ms,
        updated_ms=now_ms,
        location=event.body.get("locationCode"),
        forward=event.body.get("orderCode") or event.body.get("forwardOrderCode") or "",
        forward_known=False,
        adopted=True,
    )
    turn = Turn(entity, event, now_ms, recall)
    turn.fact("return-adopted", {**context(entity), "by": event.kind}, {"by": event.kind})
    return turn, None


def asked_again(turn: Turn[Return]) -> Ruling:
    """A repeat while the forward order has not answered."""
    entity = turn.entity
    if digest(CREATE.request, turn.event.body) != entity.digest:
        return _differs(entity)
    question = entity.question
    return asking.join(turn, question) if question is not None else _ask(turn)


def repeat(turn: Turn[Return]) -> Ruling:
    entity = turn.entity
    if entity.adopted and not entity.digest:
        return _complete(turn)
    return DUPLICATE if digest(CREATE.request, turn.event.body) == entity.digest else _differs(entity)


def attempt_again(turn: Turn[Return]) -> Ruling:
    """After Increff refused it: the same gets the reason, a corrected one is a new attempt.

    After its forward order refused it, each Create is one: more may have been shipped since.
    """
    entity = turn.entity
    unchanged = digest(CREATE.request, turn.event.body) == entity.digest
    if unchanged and entity.state == ReturnState.REJECTED:
        return refused(refusal(entity))
    return asking.is_too_large(turn) or _ask(turn)


def decided(turn: Turn[Return]) -> Ruling:
    """The forward order's answer: what waited for it is carried out, or refused."""
    question = asking.answered(turn)
    if question is None:
        return DUPLICATE
    body = turn.event.body
    call = asking.resumed(turn, question)
    if question.touchpoint == CREATE.name:
        return _created(turn, call) if body["admitted"] else _denied(turn, call)
    return return_items.added(turn, call) if body["admitted"] else return_items.not_added(turn, call, body["reason"])


def ask_again(turn: Turn[Return]) -> None:
    """At a tick: what the forward order has not answered is asked again, and said when nothing comes of it."""
    question = asking.ask_again(turn)
    if question is not None:
        call = {"touchpoint": question.touchpoint}
        turn.fact("return-unanswered", {**context(turn.entity), **call}, call)


def undecided(turn: Turn[Return]) -> Ruling:
    """Nothing can be said of a return before its forward order has answered, which takes moments."""
    return failed(f"return {turn.entity.code} waits for its forward order; repeat later")


def taken(turn: Turn[Return]) -> Ruling:
    entity = turn.entity
    if turn.answers_create() and entity.state == ReturnState.RECEIVED:
        entity.state = ReturnState.SUBMITTED
        turn.fact("return-submitted", context(entity))
    return APPLIED


def rejected(turn: Turn[Return]) -> Ruling:
    """Increff refused it: its units are free for another return."""
    entity, outcome = turn.entity, turn.event.outcome
    if outcome is None or not turn.answers_create():
        return DUPLICATE
    entity.reason = (outcome.message or f"HTTP {outcome.status}")[: limits.MESSAGE_MAX]
    entity.state = ReturnState.REJECTED
    asking.close(turn, refused(refusal(entity)))
    # Increff's words may quote the return: they are for its own list, not for every reader of facts.
    turn.fact("return-rejected", {**context(entity), "status": outcome.status}, {"reason": entity.reason})
    asking.tell(turn)
    return APPLIED


def refusal(entity: Return) -> str:
    return f"Increff refused return {entity.code}: {entity.reason}"


def update(turn: Turn[Return]) -> Ruling:
    """The last value wins."""
    entity, body = turn.entity, turn.event.body
    payload = digest(UPDATE.request, body)
    if payload == entity.properties:
        return DUPLICATE
    turn.deliver(UPDATE, body)
    entity.properties = payload
    changed = _courier(body)
    entity.courier |= changed
    turn.fact("return-updated", {**context(entity), **changed}, changed)
    return APPLIED


def _ask(turn: Turn[Return]) -> Ruling:
    """A new attempt: nothing is known of it but that it was asked about."""
    entity, body = turn.entity, turn.event.body
    entity.state = ReturnState.ASKED
    entity.reason = None
    entity.digest = digest(CREATE.request, body)
    entity.forward = body["forwardOrderCode"]
    entity.location = body.get("locationCode")
    entity.items, entity.courier, entity.properties, entity.request = {}, {}, "", ""
    entity.adopted = False
    entity.question = None
    return asking.ask(turn, CREATE, body, entity.digest)


def _complete(turn: Turn[Return]) -> Ruling:
    """The Create of an adopted return came at last. Increff may have it, and takes it as a repeat then."""
    entity, body = turn.entity, turn.event.body
    entity.request = turn.deliver(CREATE, body)
    entity.digest = digest(CREATE.request, body)
    entity.forward = body["forwardOrderCode"]
    entity.location = body.get("locationCode")
    entity.courier = _courier(body) | entity.courier
    return_items.learn(entity, ((item["itemCode"], item["channelSkuCode"]) for item in body["orderItems"]))
    turn.fact(
        "return-created",
        {**context(entity), "orderType": body.get("orderType"), "forwardKnown": False, **_items(turn)},
    )
    return APPLIED


def _created(turn: Turn[Return], call: Turn[Return]) -> Ruling:
    entity, body = turn.entity, call.event.body
    entity.request = call.deliver(CREATE, body)
    entity.state = ReturnState.RECEIVED
    entity.items = {item["itemCode"]: ReturnItem(item["channelSkuCode"]) for item in body["orderItems"]}
    entity.courier = _courier(body)
    entity.forward_known = turn.event.body["forwardKnown"]
    asking.close(turn, APPLIED)
    call.fact(
        "return-created",
        {**context(entity), "orderType": body.get("orderType"), "forwardKnown": entity.forward_known, **_items(call)},
    )
    return APPLIED


def _denied(turn: Turn[Return], call: Turn[Return]) -> Ruling:
    entity = turn.entity
    entity.state = ReturnState.REFUSED
    entity.reason = turn.event.body["reason"]
    asking.close(turn, refused(f"return {entity.code} is refused: {entity.reason}"))
    reason = {"reason": entity.reason}
    call.fact("return-refused", {**context(entity), **reason, **_items(call)}, reason)
    return APPLIED


def _items(call: Turn[Return]) -> dict[str, Any]:
    items = call.event.body["orderItems"]
    return {"items": [{name: item[name] for name in ("itemCode", "channelSkuCode")} for item in items]}


def _courier(body: dict[str, Any]) -> dict[str, str]:
    return {known: body[name] for name, known in _COURIER.items() if body.get(name) is not None}


def _differs(entity: Return) -> Ruling:
    return conflict(f"return {entity.code} exists with other data; a changed return needs another returnOrderCode")
