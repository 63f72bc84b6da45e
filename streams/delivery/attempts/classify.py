"""Classifies answers: one function for every far side, touchpoint and subscriber. Pure.

docs/responses.md is the table, made by calling `classify` (streams/delivery/attempts/responses_doc.py).
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from streams.delivery.attempts.answer_body import AnswerBody, header, read_body, text_of
from streams.delivery.attempts.answer_words import objection_in
from streams.delivery.attempts.response_headers import THROTTLE_DEFAULT_S, not_before_ms
from streams.delivery.ports import MESSAGE_CHARS_MAX, Answer, AnswerFault, ResponseClass
from topics.contract.answer_names import (
    ORDER_NAMES,
    CodeReader,
    code_of,
    is_nothing,
    members_named,
    other_failures,
    unwrapped,
)
from topics.contract.definition import Entity, Touchpoint
from topics.records.json_text import write
from topics.records.shape import has_too_many_values, is_too_deep
from topics.subscriptions.model import FACT
from topics.values import Value

CARRIED_BYTES_MAX = 4 << 20
"""Largest body that is passed on to the order, as it is written again (`1e15` grows then). As large as an answer that
is read, so a label or an invoice as base64 fits, and the outcome around it fits a record."""
RETRIED_4XX = frozenset({401, 403, 408, 425})
THROTTLING = frozenset({429, 502, 504})
"""Statuses of an overloaded endpoint (Standard Webhooks 1.0). 502 and 504 may also be one order's fault, so without a
Retry-After they lower the pace and do not pause the destination."""
THROTTLING_WITH_RETRY_AFTER = frozenset({429, 502, 503, 504})
GONE = 410
TOO_LARGE = 413
ACKNOWLEDGEMENT = "acknowledgement"
MESSAGES = ("errormessage", "message", "description")
"""Plain names of the texts of the contract's error bodies (contract 0.3)."""
SUCCESS_ORDERS = frozenset({"successorders", "sucessorders", "successorder", "successlist", "sucesslist"})
FAILURE_ORDERS = frozenset({"failureorders", "failedorders", "failorders", "failurelist", "failedlist"})
"""The contract has no such list; where an answer has one, what it names was not accepted."""

_SUCCESSES = CodeReader(ORDER_NAMES, taken=True)
_FAILURES = CodeReader(ORDER_NAMES, taken=False)


class ResponseVerdict(Value, frozen=True):
    """`not_before_ms`: no retry (throttled: no call at all to this destination) before it. `body`: a JSON object.

    A relay's body is passed on, so it is None if it could not be written again; any other stays in this process.
    """

    kind: ResponseClass
    body: dict[str, Any] | None = None
    message: str = ""
    not_before_ms: int | None = None
    fault: AnswerFault | None = None


def classify(touchpoint: Touchpoint, members: dict[str, Any] | None, answer: Answer, now_ms: int) -> ResponseVerdict:
    """Classify an answer to `touchpoint` called with `members`; `now_ms`: when it came."""
    verdict = _judge(touchpoint, members, answer, now_ms)
    if not touchpoint.wants_answer or verdict.body is None or _can_travel(answer.body, verdict.body):
        return verdict
    if verdict.kind is ResponseClass.DELIVERED and touchpoint.response is not None:
        # Its caller needs the body; a failure is reported by its message.
        why = "the answer nests too deep, or is too large, or has too many values to be passed on"
        return _not_taken(AnswerFault.UNFIT, why)
    return replace(verdict, body=None)


def _judge(touchpoint: Touchpoint, members: dict[str, Any] | None, answer: Answer, now_ms: int) -> ResponseVerdict:
    if answer.unsendable:
        return ResponseVerdict(ResponseClass.REFUSED, message=_short(answer.error))
    if touchpoint is FACT:
        return _judge_fact(answer, now_ms)
    status = answer.status
    if status is None or (answer.error and status < 400):
        floor = _floor(answer, now_ms)
        return ResponseVerdict(ResponseClass.RETRY, message=_short(answer.error or "no answer"), not_before_ms=floor)
    read = read_body(answer.body, answer.headers)
    if 200 <= status < 300:
        return _judge_success(touchpoint, members, answer.body, read)
    floor = _floor(answer, now_ms)
    body = read.members
    message = _message(status, answer.body, body)
    if (throttled := _throttled(status, body, message, floor, now_ms)) is not None:
        return throttled
    if status >= 500 or status in RETRIED_4XX or status < 200:
        return ResponseVerdict(ResponseClass.RETRY, body, message, floor)
    if status < 400:
        return ResponseVerdict(ResponseClass.REFUSED, None, f"redirected with {status}; redirects are not followed")
    return ResponseVerdict(ResponseClass.REFUSED, body, message)


def _judge_fact(answer: Answer, now_ms: int) -> ResponseVerdict:
    """Classify a subscriber's answer (Standard Webhooks 1.0) by its status alone. Everything but a success is tried
    again, because a subscriber that refuses today may be mended tomorrow."""
    status = answer.status
    if status is not None and 200 <= status < 300:
        return ResponseVerdict(ResponseClass.DELIVERED)
    floor = _floor(answer, now_ms)
    if status is None:
        return ResponseVerdict(ResponseClass.RETRY, message=_short(answer.error or "no answer"), not_before_ms=floor)
    message = f"redirected with {status}; redirects are not followed" if 300 <= status < 400 else f"status {status}"
    if status == GONE:
        return ResponseVerdict(ResponseClass.GONE, message=message)
    if status == TOO_LARGE:
        return ResponseVerdict(ResponseClass.REFUSED, message=message)  # a body never changes
    return _throttled(status, None, message, floor, now_ms) or ResponseVerdict(
        ResponseClass.RETRY, None, message, floor
    )


def _throttled(
    status: int, body: dict[str, Any] | None, message: str, floor: int | None, now_ms: int
) -> ResponseVerdict | None:
    """None when the answer does not ask for a lower pace."""
    if status not in (THROTTLING if floor is None else THROTTLING_WITH_RETRY_AFTER):
        return None
    if floor is None and status == 429:
        floor = now_ms + int(THROTTLE_DEFAULT_S * 1000)
    return ResponseVerdict(ResponseClass.THROTTLED, body, message, floor)


def _judge_success(
    touchpoint: Touchpoint, members: dict[str, Any] | None, raw: bytes, body: AnswerBody
) -> ResponseVerdict:
    if body.fault is not None:
        return _not_taken(body.fault, body.why)
    if body.members is None:
        if touchpoint.wants_answer and touchpoint.response is not None and not body.is_empty:
            return _not_taken(AnswerFault.NO_OBJECT, f"the answer is not a JSON object: {text_of(raw)}")
        return ResponseVerdict(ResponseClass.DELIVERED)
    objection = objection_in(body.members)
    if objection is not None:
        message = _message(200, raw, body.members)
        if objection.fault is None:
            return ResponseVerdict(ResponseClass.REFUSED, body.members, message)
        return _not_taken(objection.fault, f"{objection.why}: {message}", body.members)
    is_acknowledgement = touchpoint.name == ACKNOWLEDGEMENT
    if body.is_partial and (is_acknowledgement or touchpoint.entity is Entity.STOCK):
        return _not_taken(AnswerFault.UNFIT, "the answer has too many values for its lists to be read")
    if is_acknowledgement:
        missing = _unacknowledged(members or {}, body.members)
        if missing is not None:
            return missing
    return ResponseVerdict(ResponseClass.DELIVERED, body.members)


def _not_taken(fault: AnswerFault, why: str, body: dict[str, Any] | None = None) -> ResponseVerdict:
    """No success, and no refusal either: a repeat may be taken."""
    return ResponseVerdict(ResponseClass.RETRY, body, _short(why), fault=fault)


def _unacknowledged(members: dict[str, Any], body: dict[str, Any]) -> ResponseVerdict | None:
    """None: the answer leaves no order out. One without a list accepts all."""
    orders = members.get("orders")
    given = [order.get("orderCode") for order in orders if isinstance(order, dict)] if isinstance(orders, list) else []
    sent = {code for content in given if (code := code_of(content))}
    for inner in unwrapped(body):
        lists = [listed for listed in members_named(inner, SUCCESS_ORDERS) if listed is not None]
        named = [listed for listed in members_named(inner, FAILURE_ORDERS) if not is_nothing(listed)]
        failures = _FAILURES.read(named or other_failures(inner), sent)
        if not lists and failures.is_empty:
            continue
        taken = _SUCCESSES.read(lists, sent)
        if not failures.is_empty and not failures.codes:
            return _not_taken(AnswerFault.UNNAMED, "the answer's list of failures names no order that was sent", body)
        if not taken.is_empty and not taken.codes:
            return _not_taken(AnswerFault.UNNAMED, "successOrders names no order that was sent", body)
        missing = failures.codes | (sent - taken.codes if lists else set())
        if missing:
            return ResponseVerdict(ResponseClass.RETRY, body, f"not in successOrders: {', '.join(sorted(missing))}")
    return None


def _can_travel(raw: bytes, body: dict[str, Any]) -> bool:
    """Whether the body can be passed on to the order: orjson reads deeper than it writes, and numbers may grow."""
    if has_too_many_values(raw) or is_too_deep(raw, body):
        return False
    try:
        return len(write(body)) <= CARRIED_BYTES_MAX
    except TypeError:
        return False


def _message(status: int, raw: bytes, body: dict[str, Any] | None) -> str:
    """The far side's message in either of the contract's shapes, else its text, else its status."""
    if body is not None:
        for inner in unwrapped(body):
            said = [content for name in MESSAGES for content in members_named(inner, (name,))]
            parts = list(dict.fromkeys(text for text in said if isinstance(text, str) and text))
            if parts:
                return _short(": ".join(parts))
    return text_of(raw) or f"status {status}"


def _short(text: str) -> str:
    return text[:MESSAGE_CHARS_MAX]


def _floor(answer: Answer, now_ms: int) -> int | None:
    return not_before_ms(header(answer.headers, "retry-after"), now_ms, header(answer.headers, "date"))
