"""Questions of a return to its forward order: the units it holds and those it asks for, in absolute quantities per SKU.

A call that adds units waits until the order admits them. Its body is kept, and carried out when the answer comes.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from streams.order.model import limits
from streams.order.model.canonical import call_digest
from streams.order.model.decision import DUPLICATE, PENDING, Decision, Ruling, failed, refused
from streams.order.model.entities import Return
from streams.order.model.events import kept_members
from streams.order.model.parts import Question, Waiter
from streams.order.model.refusals import refusal_of
from streams.order.model.states import NOT_ADMITTED, ReturnState
from topics.contract.definition import Touchpoint
from topics.contract.touchpoints import BY_NAME
from topics.records.envelope import RETURN_CLAIMED
from topics.records.json_text import write
from topics.records.keys import order_key

CREATE = BY_NAME["create-return-order"]
ADD = BY_NAME["add-return-order-items"]

_NAMES = {CREATE.name: ("orderItems", "itemCode"), ADD.name: ("returnLineItems", "channelReturnItemCode")}
NOT_IN_TIME = "the forward order gave no answer in time; a repeat is safe"


def call_too_large(decision: Decision[Return]) -> Ruling | None:
    """The refusal of a call that is too large to be kept; None when it is not."""
    if len(write(decision.event.kept_body)) <= limits.QUESTION_BYTES_MAX:
        return None
    return refused(f"a return's call may have at most {limits.QUESTION_BYTES_MAX} bytes")


def ask_forward_order(decision: Decision[Return], touchpoint: Touchpoint, body: dict[str, Any], payload: str) -> Ruling:
    """Ask the forward order. A question without an answer gives way, and its callers learn that."""
    entity, event = decision.entity, decision.event
    if entity.question is not None:
        close_question(decision, failed(NOT_IN_TIME))
    kept = event.own_form(body)
    question = Question(entity.version, touchpoint.name, event.id, kept, payload, event.offered, decision.now_ms)
    entity.question = question
    claim_units(decision)
    return _wait(decision, question)


def join_question(decision: Decision[Return], question: Question) -> Ruling:
    """A repeat of the call that waits for the answer. When the answer is overdue, the order is asked again."""
    if is_question_overdue(decision, question):
        question.asked_ms, question.asks = decision.now_ms, 0
        _send(decision)
    if decision.event.reply_to is None and decision.event.id != question.event:
        return DUPLICATE
    return _wait(decision, question)


def is_question_overdue(decision: Decision[Return], question: Question) -> bool:
    return decision.now_ms >= question.asked_ms + limits.QUESTION_LOST_MS


def next_question_ms(entity: Return) -> int:
    """When a tick must ask again, or report that there is no answer; 0: never."""
    question = entity.question
    if question is None or question.asks > limits.QUESTION_ASKS_MAX:
        return 0
    return question.asked_ms + (limits.QUESTION_LOST_MS << question.asks)


def repeat_question(decision: Decision[Return]) -> Question | None:
    """Ask an overdue question again, at a tick. Returns the question when it was asked as often as is allowed.

    The question stays open all the same: a repeat of the call asks again, and a late answer still counts.
    """
    entity, question = decision.entity, decision.entity.question
    if question is None or not 0 < next_question_ms(entity) <= decision.now_ms:
        return None
    question.asks += 1
    if question.asks <= limits.QUESTION_ASKS_MAX:
        question.asked_ms = decision.now_ms
        _send(decision)
        return None
    _answer(decision, question, question.waiters, failed(NOT_IN_TIME))
    question.waiters.clear()
    return question


def claim_units(decision: Decision[Return]) -> None:
    """Report the return's units to its forward order. An open question is asked again: older answers are stale."""
    entity = decision.entity
    entity.version += 1
    if entity.question is not None:
        entity.question.version = entity.version
        entity.question.asked_ms = decision.now_ms
    _send(decision)


def answered_question(decision: Decision[Return]) -> Question | None:
    """The question this event answers; None when it was answered before, or asked anew."""
    entity, body = decision.entity, decision.event.body
    question = entity.question
    if question is not None:
        return question if question.version == body["version"] else None
    if body["admitted"]:
        # The order counts units that no question asks for: it has forgotten what the return reported since.
        wrong = body["version"] != entity.version or entity.state == ReturnState.REFUSED
    else:
        # The order was created later than this return, which went on without it, and learns of the return only now.
        wrong = body["forwardKnown"] and not entity.forward_known and entity.state not in NOT_ADMITTED
    if wrong:
        claim_units(decision)
    return None


def close_question(decision: Decision[Return], ruling: Ruling) -> None:
    """End the question, answered or given up: every caller that waits learns the ruling."""
    entity = decision.entity
    question, entity.question = entity.question, None
    if question is None:
        return
    _answer(decision, question, question.waiters, ruling)
    for event, _, _ in question.waiters:
        if event != question.event:
            decision.remember(ruling, event)
    added = question.touchpoint == ADD.name and ruling.verdict is not None and ruling.verdict.succeeded
    call = call_digest(ADD.name, question.digest) if added else ""
    decision.remember(ruling, question.event, call)


def call_of_question(decision: Decision[Return], question: Question) -> Decision[Return]:
    """The decision on the call that waits for the answer."""
    call = decision.resume(question.event, question.touchpoint, question.body, offered=question.offered)
    call.former = decision.entity.former
    return call


def question_items(question: Question) -> list[tuple[str, str]]:
    """(itemCode, channelSkuCode) of the units a question is about."""
    items, code = _NAMES[question.touchpoint]
    body = kept_members(question.touchpoint, question.body)
    return [(item[code], item["channelSkuCode"]) for item in body[items]]


def held_units(entity: Return) -> Counter[str]:
    """Units per SKU that come back, or came back. A cancellation counts once Increff has taken it."""
    if entity.state in NOT_ADMITTED:
        return Counter()
    items = [item for item in entity.items.values() if item.cancelled is not True]
    # The forward order has never admitted items that an adopted return had before it was met.
    return Counter(item.sku for item in items if item.added or not entity.adopted)


def _send(decision: Decision[Return]) -> None:
    entity, question = decision.entity, decision.entity.question
    if not entity.forward:
        return  # an adopted return: no call has named its forward order yet
    units = held_units(entity)
    wanted = Counter(units)
    if question is not None:
        wanted.update(sku for _, sku in question_items(question))
    body = {
        "orderCode": entity.forward,
        "returnOrderCode": entity.code,
        "version": entity.version,
        "asked": question is not None,
        "held": dict(units),
        "wanted": dict(wanted),
    }
    key = order_key(entity.channel, entity.forward)
    decision.send_command(f"{decision.event.id}.r0", RETURN_CLAIMED, key, entity.forward, body)


def _answer(decision: Decision[Return], question: Question, waiters: list[Waiter], ruling: Ruling) -> None:
    """Give callers the ruling on their call. The history shows a refusal."""
    for event, reply_to, _ in waiters:
        decision.reply(event, reply_to, ruling)
        decision.effects += refusal_of(event, reply_to, BY_NAME[question.touchpoint], ruling)


def _wait(decision: Decision[Return], question: Question) -> Ruling:
    """Add the caller. Callers whose deadline is over make room, and learn that they have to call again."""
    event = decision.event
    if event.reply_to is None or any(waiter.event == event.id for waiter in question.waiters):
        return PENDING
    gone = [one for one in question.waiters if one.deadline_ms is not None and one.deadline_ms <= decision.now_ms]
    for waiter in gone:
        question.waiters.remove(waiter)
    _answer(decision, question, gone, failed(NOT_IN_TIME))
    if len(question.waiters) >= limits.WAITERS_MAX:
        return failed("too many callers wait for this answer; repeat later")
    question.waiters.append(Waiter(event.id, event.reply_to, event.deadline_ms))
    return PENDING
