"""Returns, under a key of their own: accepted, recorded and delivered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from streams.order import limits
from streams.order.canonical import digest
from streams.order.events import Event
from streams.order.model import Return
from streams.order.states import ReturnState
from streams.order.turn import APPLIED, DUPLICATE, Recall, Ruling, Turn, conflict, refused
from topics.envelope import RETURN_OPENED
from topics.keys import order_key
from topics.touchpoints import BY_NAME

CREATE = BY_NAME["create-return-order"]
UPDATE = BY_NAME["update-returns"]
CANCEL = BY_NAME["cancel-return-order-items"]
ACKNOWLEDGEMENT = BY_NAME["return-order-acknowledgement"]

_SKU, _CANCELLED, _QC, _INSPECTION = range(4)
"""What is kept of a returned unit."""


def open_return(event: Event, now_ms: int, recall: Recall) -> tuple[Turn[Return], Ruling]:
    """The first Create under a return code."""
    entity = Return(
        channel=event.channel, code=event.code, state=ReturnState.RECEIVED, created_ms=now_ms, updated_ms=now_ms
    )
    turn = Turn(entity, event, now_ms, recall)
    return turn, _submit(turn, digest(CREATE.request, event.body))


def repeat(turn: Turn[Return]) -> Ruling:
    entity = turn.entity
    if digest(CREATE.request, turn.event.body) == entity.digest:
        return DUPLICATE
    return conflict(f"return {entity.code} exists with other data; a changed return needs another returnOrderCode")


def attempt_again(turn: Turn[Return]) -> Ruling:
    """After Increff refused it: the same gets the reason, a corrected one is a new attempt."""
    entity = turn.entity
    corrected = digest(CREATE.request, turn.event.body)
    if corrected == entity.digest:
        return refused(refusal(entity))
    entity.state = ReturnState.RECEIVED
    entity.reason = None
    return _submit(turn, corrected)


def taken(turn: Turn[Return]) -> Ruling:
    entity = turn.entity
    if _is_current(turn) and entity.state == ReturnState.RECEIVED:
        entity.state = ReturnState.SUBMITTED
        turn.fact("return-submitted", _context(entity))
    return APPLIED


def rejected(turn: Turn[Return]) -> Ruling:
    entity, outcome = turn.entity, turn.event.outcome
    if outcome is None or not _is_current(turn):
        return DUPLICATE
    entity.reason = (outcome.message or f"HTTP {outcome.status}")[: limits.MESSAGE_MAX]
    entity.state = ReturnState.REJECTED
    # Increff's words may quote the return: they are for its own list, not for every reader of facts.
    turn.fact("return-rejected", {**_context(entity), "status": outcome.status}, {"reason": entity.reason})
    return APPLIED


def refusal(entity: Return) -> str:
    return f"Increff refused return {entity.code}: {entity.reason}"


def update(turn: Turn[Return]) -> Ruling:
    """The last value wins."""
    entity, body = turn.entity, turn.event.body
    payload = digest(UPDATE.request, body)
    if payload == entity.properties:
        return DUPLICATE
    entity.properties = payload
    turn.deliver(UPDATE, body)
    changed = {
        name: body[name]
        for name in ("transporter", "trackingCode", "returnOrderStatus", "expectedDate")
        if body.get(name) is not None
    }
    turn.fact("return-updated", {**_context(entity), **changed}, changed)
    return APPLIED


def cancel_items(turn: Turn[Return]) -> Ruling:
    """The items named are cancelled; naming them again changes nothing."""
    entity, body = turn.entity, turn.event.body
    unknown = _unknown(entity, (item["channelReturnItemCode"] for item in body["returnLineItems"]))
    if unknown is not None:
        return unknown
    new: list[str] = []
    for item in body["returnLineItems"]:
        code = item["channelReturnItemCode"]
        known = entity.items[code]
        if not known[_CANCELLED]:
            known[_CANCELLED] = True
            new.append(code)
    if not new:
        return DUPLICATE
    if entity.state != ReturnState.ACKNOWLEDGED and all(item[_CANCELLED] for item in entity.items.values()):
        entity.state = ReturnState.CANCELLED
    turn.deliver(CANCEL, body)
    turn.fact("return-items-cancelled", {**_context(entity), "itemCodes": new}, {"items": ", ".join(new)[:255]})
    return APPLIED


def acknowledge(turn: Turn[Return]) -> Ruling:
    """Inspections add up over several calls (contract 16)."""
    entity, body = turn.entity, turn.event.body
    unknown = _unknown(entity, (item["itemCode"] for item in body["orderItems"]))
    if unknown is not None:
        return unknown
    new: list[dict[str, Any]] = []
    for item in body["orderItems"]:
        known = entity.items[item["itemCode"]]
        inspection = "|".join(str(item.get(name)) for name in ("qcStatus", "qcReason"))
        if known[_INSPECTION] != inspection:
            known[_QC], known[_INSPECTION] = item["qcStatus"], inspection
            new.append({name: item.get(name) for name in ("itemCode", "channelSkuCode", "qcStatus", "qcReason")})
    if not new:
        return DUPLICATE
    entity.state = ReturnState.ACKNOWLEDGED
    turn.deliver(ACKNOWLEDGEMENT, body)
    turn.fact("return-acknowledged", {**_context(entity), "inspected": new})
    return APPLIED


def _unknown(entity: Return, codes: Iterable[str]) -> Ruling | None:
    """A return has the items it was created with: another one is a mistake, and each would make the state grow."""
    unknown = sorted({code for code in codes if code not in entity.items})
    if not unknown:
        return None
    more = f" and {len(unknown) - limits.NAMED_MAX} more" if len(unknown) > limits.NAMED_MAX else ""
    return refused(f"return {entity.code} has no item {', '.join(unknown[: limits.NAMED_MAX])}{more}")


def _submit(turn: Turn[Return], payload: str) -> Ruling:
    entity, body = turn.entity, turn.event.body
    entity.digest = payload
    entity.forward = body["forwardOrderCode"]
    entity.location = body.get("locationCode")
    entity.items = {item["itemCode"]: [item["channelSkuCode"], False, None, ""] for item in body["orderItems"]}
    entity.request = turn.deliver(CREATE, body)
    turn.fact(
        "return-created",
        {
            **_context(entity),
            "orderType": body.get("orderType"),
            "items": [
                {"itemCode": item["itemCode"], "channelSkuCode": item["channelSkuCode"]} for item in body["orderItems"]
            ],
        },
    )
    turn.command(
        f"{turn.event.id}.r0",
        RETURN_OPENED,
        order_key(entity.channel, entity.forward),
        entity.forward,
        {"orderCode": entity.forward, "returnOrderCode": entity.code},
    )
    return APPLIED


def _is_current(turn: Turn[Return]) -> bool:
    outcome = turn.event.outcome
    return outcome is not None and outcome.request == turn.entity.request


def _context(entity: Return) -> dict[str, Any]:
    return {
        "returnOrderCode": entity.code,
        "forwardOrderCode": entity.forward,
        "state": entity.state,
        "locationCode": entity.location,
    }
