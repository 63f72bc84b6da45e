"""Classifies answers: one function for every far side, touchpoint and subscriber. Pure.

docs/responses.md is the table, made by calling `classify` (streams/delivery/attempts/responses_doc.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import orjson

from streams.delivery.attempts.response_headers import THROTTLE_DEFAULT_S, not_before_ms
from streams.delivery.ports import MESSAGE_CHARS_MAX, Answer, ResponseClass
from topics.contract.definition import Touchpoint
from topics.records.shape import has_too_many_values, is_too_deep
from topics.subscriptions.model import FACT
from topics.values import value

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
NOTHING_SAID = msgspec.Raw(b"null")


@value
class ResponseVerdict:
    """`not_before_ms`: no retry (throttled: no call at all to this destination) before it. `body`: a JSON object.

    A relay's body is passed on, so it is None if it could not be written again; any other stays in this process.
    """

    kind: ResponseClass
    body: dict[str, Any] | None = None
    message: str = ""
    not_before_ms: int | None = None


def classify(touchpoint: Touchpoint, members: dict[str, Any] | None, answer: Answer, now_ms: int) -> ResponseVerdict:
    """Classify an answer to `touchpoint` called with `members`; `now_ms`: when it came."""
    verdict = _judge(touchpoint, members, answer, now_ms)
    if not touchpoint.wants_answer or verdict.body is None or _can_travel(answer.body, verdict.body):
        return verdict
    if verdict.kind is ResponseClass.DELIVERED and touchpoint.response is not None:
        # Its caller needs the body; a failure is reported by its message.
        return ResponseVerdict(
            ResponseClass.RETRY,
            message="the answer nests too deep, or is too large, or has too many values to be passed on",
        )
    return replace(verdict, body=None)


def _judge(touchpoint: Touchpoint, members: dict[str, Any] | None, answer: Answer, now_ms: int) -> ResponseVerdict:
    if answer.unsendable:
        return ResponseVerdict(ResponseClass.REFUSED, message=_short(answer.error))
    if touchpoint is FACT:
        return _judge_fact(answer, now_ms)
    status = answer.status
    floor = _floor(answer, now_ms)
    if status is None or (answer.error and status < 400):
        return ResponseVerdict(ResponseClass.RETRY, message=_short(answer.error or "no answer"), not_before_ms=floor)
    body = _json_object(answer.body)
    if 200 <= status < 300:
        return _judge_success(touchpoint, members, answer.body, body)
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
    floor = _floor(answer, now_ms)
    status = answer.status
    if status is None:
        return ResponseVerdict(ResponseClass.RETRY, message=_short(answer.error or "no answer"), not_before_ms=floor)
    if 200 <= status < 300:
        return ResponseVerdict(ResponseClass.DELIVERED)
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
    touchpoint: Touchpoint, members: dict[str, Any] | None, raw: bytes, body: dict[str, Any] | None
) -> ResponseVerdict:
    if body is not None and body.get("hasError") is True:
        return ResponseVerdict(ResponseClass.REFUSED, body, _message(200, raw, body))
    if touchpoint.wants_answer and touchpoint.response is not None and body is None and raw.strip():
        return ResponseVerdict(ResponseClass.RETRY, message="the answer is not a JSON object: " + _text(raw))
    if touchpoint.name == ACKNOWLEDGEMENT and body is not None:
        missing = _unacknowledged(members or {}, body)
        if missing:
            return ResponseVerdict(ResponseClass.RETRY, body, f"not in successOrders: {missing}")
    return ResponseVerdict(ResponseClass.DELIVERED, body)


def _unacknowledged(members: dict[str, Any], body: dict[str, Any]) -> str:
    """Codes of the orders that the answer leaves out. An answer without the list accepts all."""
    accepted = body.get("successOrders")
    if not isinstance(accepted, list):
        return ""
    taken = {_order_code(entry) for entry in accepted}
    orders = members.get("orders")
    sent = [_order_code(order) for order in orders] if isinstance(orders, list) else []
    return ", ".join(code for code in sent if code and code not in taken)


def _order_code(entry: Any) -> str:
    # Some channels list bare codes.
    code = entry.get("orderCode") if isinstance(entry, dict) else entry
    # Anything else is no code; a list a thousand levels deep could not even be turned into text.
    return str(code) if isinstance(code, str | int | float) else ""


def _json_object(raw: bytes) -> dict[str, Any] | None:
    """The body; of one of too many values only the members by which it is judged."""
    if has_too_many_values(raw):
        return _judged_by(raw)
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


class _Said(msgspec.Struct):
    """Members by which an answer is judged, as text: of the others no objects are made."""

    hasError: msgspec.Raw = NOTHING_SAID  # noqa: N815 - the contract's spelling
    errorMessage: msgspec.Raw = NOTHING_SAID  # noqa: N815
    message: msgspec.Raw = NOTHING_SAID
    description: msgspec.Raw = NOTHING_SAID


_decode_said = msgspec.json.Decoder(_Said).decode


def _judged_by(raw: bytes) -> dict[str, Any] | None:
    try:
        said = msgspec.structs.asdict(_decode_said(raw))
        return {name: orjson.loads(bytes(text)) for name, text in said.items() if not has_too_many_values(bytes(text))}
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None


def _can_travel(raw: bytes, body: dict[str, Any]) -> bool:
    """Whether the body can be passed on to the order: orjson reads deeper than it writes, and numbers may grow."""
    if has_too_many_values(raw) or is_too_deep(raw, body):
        return False
    try:
        return len(orjson.dumps(body)) <= CARRIED_BYTES_MAX
    except orjson.JSONEncodeError:
        return False


def _message(status: int, raw: bytes, body: dict[str, Any] | None) -> str:
    """The far side's message in either of the contract's shapes, else its text, else its status."""
    if body is not None:
        said = [body.get(name) for name in ("errorMessage", "message", "description")]
        parts = list(dict.fromkeys(text for text in said if isinstance(text, str) and text))
        if parts:
            return _short(": ".join(parts))
    return _text(raw) or f"status {status}"


def _text(raw: bytes) -> str:
    return _short(raw[: MESSAGE_CHARS_MAX * 4].decode(errors="replace").strip())


def _short(text: str) -> str:
    return text[:MESSAGE_CHARS_MAX]


def _floor(answer: Answer, now_ms: int) -> int | None:
    return not_before_ms(_header(answer, "retry-after"), now_ms, _header(answer, "date"))


def _header(answer: Answer, name: str) -> str | None:
    return next((value for key, value in answer.headers.items() if key.lower() == name), None)
