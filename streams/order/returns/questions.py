"""What a return tells its forward order: the units it holds and those it asks for, in absolute quantities per SKU.

A call that adds units waits until they are admitted. Its body is kept, and carried out by the answer's event.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson

from streams.order.model import limits
from streams.order.model.decision import DUPLICATE, PENDING, Ruling, Turn, failed, refused
from streams.order.model.entities import Return
from streams.order.model.parts import Question, Waiter
from streams.order.model.states import ReturnState
from topics.contract.definition import Touchpoint
from topics.contract.touchpoints import BY_NAME
from topics.records.envelope import RETURN_CLAIMED
from topics.records.keys import order_key

CREATE = BY_NAME["create-return-order"]
ADD = BY_NAME["add-return-order-items"]

_NAMES = {CREATE.name: ("orderItems", "itemCode"), ADD.name: ("returnLineItems", "channelReturnItemCode")}
NOT_IN_TIME = "the forward order gave no answer in time; a repeat is safe"
_HOLDS_NOTHING = (ReturnState.ASKED, ReturnState.REFUSED, ReturnState.REJECTED)


def is_too_large(turn: Turn[Return]) -> Ruling | None:
    if len(orjson.dumps(turn.event.body)) <= limits.QUESTION_BYTES_MAX:
        return None
    return refused(f"a return's call may have at most {limits.QUESTION_BYTES_MAX} bytes")


def ask(turn: Turn[Return], touchpoint: Touchpoint, body: dict[str, Any], payload: str) -> Ruling:
    """Have the forward order asked. A question that has no answer yet gives way; its callers learn that."""
    entity, event = turn.entity, turn.event
    if entity.question is not None:
        close(turn, failed(NOT_IN_TIME))
    question = Question(entity.version, touchpoint.name, event.id, body, payload, event.offered, turn.now_ms)
    entity.question = question
    tell(turn)
    return _wait(turn, question)


def join(turn: Turn[Return], question: Question) -> Ruling:
    """A repeat of what was asked. When its answer is overdue, the same is asked again."""
    if is_overdue(turn, question):
        question.asked_ms, question.asks = turn.now_ms, 0
        _send(turn)
    if turn.event.reply_to is None and turn.event.id != question.event:
        return DUPLICATE
    return _wait(turn, question)


def is_overdue(turn: Turn[Return], question: Question) -> bool:
    return turn.now_ms >= question.asked_ms + limits.QUESTION_LOST_MS


def next_ask_ms(entity: Return) -> int:
    """When a tick must ask again, or say that there is no answer; 0: never."""
    question = entity.question
    if question is None or question.asks > limits.QUESTION_ASKS_MAX:
        return 0
    return question.asked_ms + (limits.QUESTION_LOST_MS << question.asks)


def ask_again(turn: Turn[Return]) -> Question | None:
    """At a tick: a question whose answer is overdue is asked again. Returns it when that was done often enough.

    It stays open all the same: a repeat of the call asks again, and a late answer still counts.
    """
    entity, question = turn.entity, turn.entity.question
    if question is None or not 0 < next_ask_ms(entity) <= turn.now_ms:
        return None
    question.asks += 1
    if question.asks <= limits.QUESTION_ASKS_MAX:
        question.asked_ms = turn.now_ms
        _send(turn)
        return None
    for event, reply_to, _ in question.waiters:
        turn.reply(event, reply_to, failed(NOT_IN_TIME))
    question.waiters.clear()
    return question


def tell(turn: Turn[Return]) -> None:
    """Tell the forward order what is so now. What was asked is asked again: the answer to an older version is stale."""
    entity = turn.entity
    entity.version += 1
    if entity.question is not None:
        entity.question.version = entity.version
        entity.question.asked_ms = turn.now_ms
    _send(turn)


def answered(turn: Turn[Return]) -> Question | None:
    """The question this event answers; None when it was answered before, or asked anew."""
    entity, body = turn.entity, turn.event.body
    question = entity.question
    if question is not None:
        return question if question.version == body["version"] else None
    if body["admitted"]:
        # The order counts units by what nobody waits for: it has forgotten what it was told since.
        wrong = body["version"] != entity.version or entity.state == ReturnState.REFUSED
    else:
        # It was created later than this return, which went on without it, and hears of the return only now.
        wrong = body["forwardKnown"] and not entity.forward_known and entity.state not in _HOLDS_NOTHING
    if wrong:
        tell(turn)
    return None


def close(turn: Turn[Return], ruling: Ruling) -> None:
    """The question is answered, or given up: everyone who waits learns the ruling."""
    entity = turn.entity
    question, entity.question = entity.question, None
    if question is None:
        return
    for event, reply_to, _ in question.waiters:
        turn.reply(event, reply_to, ruling)
        if event != question.event:
            turn.remember(ruling, event)
    turn.remember(ruling, question.event)


def resumed(turn: Turn[Return], question: Question) -> Turn[Return]:
    """The turn of the call that waits."""
    return turn.resumed(question.event, question.touchpoint, question.body, offered=question.offered)


def items_of(question: Question) -> list[tuple[str, str]]:
    """(itemCode, channelSkuCode) of the units a question is about."""
    items, code = _NAMES[question.touchpoint]
    return [(item[code], item["channelSkuCode"]) for item in question.body[items]]


def held(entity: Return) -> Counter[str]:
    """Units per SKU that are coming back, or came back. A cancellation counts once Increff has taken it."""
    if entity.state in _HOLDS_NOTHING:
        return Counter()
    items = [item for item in entity.items.values() if item.cancelled is not True]
    # What came to an adopted return before it was met, its forward order has never admitted.
    return Counter(item.sku for item in items if item.added or not entity.adopted)


def _send(turn: Turn[Return]) -> None:
    entity, question = turn.entity, turn.entity.question
    if not entity.forward:
        return  # an adopted return of which nobody has said it yet
    units = held(entity)
    wanted = Counter(units)
    if question is not None:
        wanted.update(sku for _, sku in items_of(question))
    body = {
        "orderCode": entity.forward,
        "returnOrderCode": entity.code,
        "version": entity.version,
        "asked": question is not None,
        "held": dict(units),
        "wanted": dict(wanted),
    }
    key = order_key(entity.channel, entity.forward)
    turn.command(f"{turn.event.id}.r0", RETURN_CLAIMED, key, entity.forward, body)


def _wait(turn: Turn[Return], question: Question) -> Ruling:
    """Callers that are gone by now make room; their very call again is none of another attempt."""
    event = turn.event
    if event.reply_to is None or any(waiter.event == event.id for waiter in question.waiters):
        return PENDING
    gone = [one for one in question.waiters if one.deadline_ms is not None and one.deadline_ms <= turn.now_ms]
    for waiter in gone:
        question.waiters.remove(waiter)
        if waiter.event != question.event:
            turn.remember(failed(NOT_IN_TIME), waiter.event)
    if len(question.waiters) >= limits.WAITERS_MAX:
        return failed("too many callers wait for this answer; repeat later")
    question.waiters.append(Waiter(event.id, event.reply_to, event.deadline_ms))
    return PENDING
