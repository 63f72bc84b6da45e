"""The units of a return: added and cancelled until each arrives, inspected one by one.

No unit is both cancelled and inspected. Increff is the authority on what arrived: a cancellation is final once Increff
has taken it; until then an inspection of the unit ends it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from streams.order.model import limits
from streams.order.model.decision import APPLIED, DUPLICATE, Decision, Ruling, conflict, failed, refused
from streams.order.model.entities import Return
from streams.order.model.parts import ReturnItem
from streams.order.model.states import COMING, ReturnState
from streams.order.returns import questions
from streams.order.returns.questions import ADD
from topics.contract.touchpoints import BY_NAME
from topics.schema_base import ITEMS_MAX

CANCEL = BY_NAME["cancel-return-order-items"]
ACKNOWLEDGEMENT = BY_NAME["return-order-acknowledgement"]


def add_return_items(decision: Decision[Return]) -> Ruling:
    """More units come back. The forward order is asked about those that are new."""
    entity, body = decision.entity, decision.event.body
    question = entity.question
    if question is not None and decision.event.has_payload(question.digest, ADD.request):
        return questions.join_question(decision, question)
    if entity.adopted and not entity.forward:
        entity.forward = body["orderCode"]
    if body["orderCode"] != entity.forward:
        return refused(f"return {entity.code} is of order {entity.forward}, not of {body['orderCode']}")
    new: list[dict[str, Any]] = []
    for item in body["returnLineItems"]:
        code = item["channelReturnItemCode"]
        known = entity.items.get(code)
        if known is None:
            new.append(item)
        elif known.sku != item["channelSkuCode"]:
            return conflict(f"item {code} of return {entity.code} exists with channelSkuCode {known.sku}")
        elif known.cancelled:
            return refused(f"item {code} of return {entity.code} was cancelled; another unit needs another code")
    if not new:
        return DUPLICATE
    if len(entity.items) + len(new) > ITEMS_MAX:
        return refused(f"return {entity.code} may have at most {ITEMS_MAX} items")
    if question is not None and not questions.is_question_overdue(decision, question):
        return failed(f"return {entity.code} asks its forward order about other items; repeat later")
    entity.former = ""  # a resubmission that got no answer gives way, and its request stays refused
    return questions.call_too_large(decision) or questions.ask_forward_order(
        decision, ADD, {**body, "returnLineItems": new}, decision.event.payload_of(ADD.request)
    )


def added_items_admitted(decision: Decision[Return], call: Decision[Return]) -> Ruling:
    """The forward order admitted the added items. If the return arrived meanwhile, it came without them."""
    entity = decision.entity
    if entity.state not in COMING:
        ruling = added_items_denied(decision, call, f"return {entity.code} is {entity.state}")
        questions.claim_units(decision)
        return ruling
    request, entity.former = call.deliver(ADD, call.event.body), ""
    items = call.event.body["returnLineItems"]
    for item in items:
        entity.items[item["channelReturnItemCode"]] = ReturnItem(item["channelSkuCode"], added=request)
    questions.close_question(decision, APPLIED)
    codes = [item["channelReturnItemCode"] for item in items]
    call.fact("return-items-added", {**return_context(entity), "items": _named(call)}, {"items": _short(codes)})
    return APPLIED


def added_items_denied(decision: Decision[Return], call: Decision[Return], reason: str) -> Ruling:
    """The forward order denied the added items."""
    entity = decision.entity
    entity.former = ""
    questions.close_question(decision, refused(f"items of return {entity.code} are refused: {reason}"))
    settle_return(decision)
    noted = {"reason": reason[: limits.MESSAGE_MAX]}
    call.fact("return-items-refused", {**return_context(entity), "items": _named(call), **noted}, noted)
    return APPLIED


def added_items_refused(decision: Decision[Return]) -> Ruling:
    """Increff did not take the added items: they do not come, unless they have arrived already."""
    entity, outcome = decision.entity, decision.outcome
    gone = {code: item for code, item in entity.items.items() if item.added == outcome.request and item.qc is None}
    for item in gone.values():
        item.cancelled = True
    entity.forget_call_of(outcome.request)
    settle_return(decision)
    items = [{"itemCode": code, "channelSkuCode": item.sku} for code, item in gone.items()]
    noted = {"status": outcome.status}
    decision.fact("return-items-refused", {**return_context(entity), "items": items, **noted}, noted)
    if gone:
        questions.claim_units(decision)
    return APPLIED


def cancel_return_items(decision: Decision[Return]) -> Ruling:
    """The named items do not come, unless they have arrived; naming them again changes nothing."""
    entity, body = decision.entity, decision.event.body
    items = body["returnOrderItems"]
    codes = [item["returnOrderItemCode"] for item in items]
    learn_return_items(entity, ((item["returnOrderItemCode"], item["channelSkuCode"]) for item in items))
    ruling = _refusal(entity, "has no item", [code for code in codes if code not in entity.items])
    ruling = ruling or _refusal(entity, "has received item", [code for code in codes if entity.items[code].qc])
    if ruling is not None:
        return ruling
    new = [code for code in dict.fromkeys(codes) if not entity.items[code].cancelled]
    if not new:
        return DUPLICATE
    request = decision.deliver(CANCEL, body)
    for code in new:
        entity.items[code].cancelled = request or True
    decision.fact("return-items-cancelled", {**return_context(entity), "itemCodes": new}, {"items": _short(new)})
    settle_return(decision)
    if not request:
        questions.claim_units(decision)
    return APPLIED


def cancelled_items_taken(decision: Decision[Return]) -> Ruling:
    """Increff took the cancellation: the units are free for another return."""
    entity, request = decision.entity, decision.outcome.request
    asked = [item for item in entity.items.values() if item.cancelled == request]
    if not asked:
        return DUPLICATE
    for item in asked:
        item.cancelled = True
    questions.claim_units(decision)
    return APPLIED


def acknowledge_return(decision: Decision[Return]) -> Ruling:
    """Inspections add up over several calls (contract 16); another verdict on the same unit is news."""
    entity, body = decision.entity, decision.event.body
    codes = [item["itemCode"] for item in body["orderItems"]]
    learn_return_items(entity, ((item["itemCode"], item["channelSkuCode"]) for item in body["orderItems"]))
    ruling = _refusal(entity, "has no item", [code for code in codes if code not in entity.items])
    ruling = ruling or _refusal(
        entity, "has cancelled item", [code for code in codes if entity.items[code].cancelled is True]
    )
    if ruling is not None:
        return ruling
    new: list[dict[str, Any]] = []
    for item in body["orderItems"]:
        known = entity.items[item["itemCode"]]
        said = {name: item.get(name) or None for name in ("itemCode", "channelSkuCode", "qcStatus", "qcReason")}
        if not was_reported(known, said):
            new.append(said)
    if not new:
        return DUPLICATE
    decision.deliver(ACKNOWLEDGEMENT, body)
    for item in new:
        known = entity.items[item["itemCode"]]
        known.cancelled = False
        known.qc, known.inspection = item["qcStatus"], inspection_of(item)
    before = entity.state
    entity.state = _state(entity)
    decision.fact("return-acknowledged", {**return_context(entity), "inspected": new})
    _reached(decision, before)
    return APPLIED


def inspection_of(item: dict[str, Any]) -> str:
    """Stands for a report about a unit, to recognise a repeat."""
    return f"{item.get('qcStatus')}|{item.get('qcReason') or None}"


def was_reported(known: ReturnItem, item: dict[str, Any]) -> bool:
    """Whether a report about a unit is the last one again. A version before kept an empty reason as it was."""
    report = inspection_of(item)
    return known.inspection == report or (not item.get("qcReason") and known.inspection == f"{item.get('qcStatus')}|")


def learn_return_items(entity: Return, items: Iterable[tuple[str, str]]) -> None:
    """Add the units that a call names to an adopted return."""
    for code, sku in items if entity.adopted else ():
        if len(entity.items) < ITEMS_MAX:
            entity.items.setdefault(code, ReturnItem(sku))


def settle_return(decision: Decision[Return]) -> None:
    """Bring the state up to date; reaching an end is a fact of its own."""
    before = decision.entity.state
    decision.entity.state = _state(decision.entity)
    _reached(decision, before)


def return_context(entity: Return) -> dict[str, Any]:
    """The members of every fact of a return."""
    return {
        "returnOrderCode": entity.code,
        "forwardOrderCode": entity.forward,
        "state": entity.state,
        "locationCode": entity.location,
        "quantities": quantities(entity),
    }


def quantities(entity: Return) -> dict[str, int]:
    """Units by what became of them; together they are all units of the return."""
    items = entity.items.values()
    inspected = [item.qc for item in items if item.qc is not None]
    cancelled = sum(1 for item in items if item.cancelled)
    return {
        "expected": len(items) - cancelled - len(inspected),
        "cancelled": cancelled,
        "passed": inspected.count("PASS"),
        "failed": inspected.count("FAIL"),
    }


def _state(entity: Return) -> ReturnState:
    counts = quantities(entity)
    inspected = counts["passed"] + counts["failed"]
    if entity.adopted:
        # There may be more units than are known, so it is never COMPLETED or CANCELLED.
        return ReturnState.ACKNOWLEDGED if inspected else entity.state
    if inspected:
        return ReturnState.ACKNOWLEDGED if counts["expected"] else ReturnState.COMPLETED
    if not counts["expected"] and entity.question is None:
        return ReturnState.CANCELLED
    return entity.state


def _reached(decision: Decision[Return], before: str) -> None:
    entity = decision.entity
    if entity.state == before:
        return
    if entity.state == ReturnState.COMPLETED:
        decision.fact("return-completed", return_context(entity))
    elif entity.state == ReturnState.CANCELLED:
        decision.fact("return-cancelled", return_context(entity))


def _refusal(entity: Return, what: str, codes: Iterable[str]) -> Ruling | None:
    """The refusal of a call for these items; None when there are none."""
    named = sorted(set(codes))
    if not named:
        return None
    more = f" and {len(named) - limits.NAMED_MAX} more" if len(named) > limits.NAMED_MAX else ""
    return refused(f"return {entity.code} {what} {', '.join(named[: limits.NAMED_MAX])}{more}")


def _named(call: Decision[Return]) -> list[dict[str, str]]:
    items = call.event.body["returnLineItems"]
    return [{"itemCode": item["channelReturnItemCode"], "channelSkuCode": item["channelSkuCode"]} for item in items]


def _short(codes: list[str]) -> str:
    return ", ".join(codes)[:255]
