"""One function says what an answer means: every status, body and Retry-After has one class, and none is dropped."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streams.delivery.attempts.classify import classify
from streams.delivery.attempts.response_headers import THROTTLE_DEFAULT_S
from streams.delivery.attempts.responses_doc import DOCUMENT, document
from streams.delivery.ports import MESSAGE_CHARS_MAX, Answer, ResponseClass
from topics.subscriptions.model import KINDS

NOW_MS = 1_700_000_000_000
DELIVERED, RETRY, THROTTLED, REFUSED, GONE = ResponseClass

CREATE = "create-outward-order"
PACK = "pack-order"
ACK = "acknowledgement"
TWO_ORDERS = {"orders": [{"orderCode": "A", "locationCode": "L"}, {"orderCode": "B", "locationCode": "L"}]}


def judge(
    name: str, status: int | None, body: Any = b"", headers: dict[str, str] | None = None, error: str = ""
) -> tuple[ResponseClass, dict[str, Any] | None, str, int | None]:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    answer = Answer(status=status, headers=headers or {}, body=raw, error=error)
    verdict = classify(KINDS[name], TWO_ORDERS if name == ACK else {}, answer, NOW_MS)
    return verdict.kind, verdict.body, verdict.message, verdict.not_before_ms


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((status, DELIVERED) for status in (200, 201, 202, 204)),
        *((status, REFUSED) for status in (300, 301, 302, 303, 304, 307, 308)),
        *((status, REFUSED) for status in (400, 402, 404, 405, 406, 409, 410, 411, 413, 414, 415, 422, 451)),
        *((status, RETRY) for status in (401, 403, 408, 425)),
        *((status, RETRY) for status in (500, 501, 503, 507, 520, 599)),
        *((status, THROTTLED) for status in (429, 502, 504)),
        (None, RETRY),
    ],
)
def test_a_status_alone_has_one_class(status: int | None, expected: ResponseClass) -> None:
    assert judge(CREATE, status, error="" if status else "reset")[0] is expected


@pytest.mark.parametrize(
    ("name", "status", "body", "expected"),
    [
        (CREATE, 200, {"hasError": True, "errorMessage": "no such item"}, REFUSED),
        (CREATE, 200, {"hasError": False, "errorMessage": None}, DELIVERED),
        (CREATE, 200, {"hasError": "true"}, REFUSED),
        (CREATE, 200, {"hasError": "false"}, DELIVERED),
        (CREATE, 200, {"hasError": None}, DELIVERED),
        (CREATE, 200, b"<html>", RETRY),
        (CREATE, 200, b"[1]", RETRY),
        (CREATE, 200, b"[]", DELIVERED),
        (PACK, 200, b"<html>", RETRY),
        (PACK, 200, b"[1]", RETRY),
        (PACK, 200, b"", DELIVERED),
        (PACK, 200, {"shipmentCode": "S1"}, DELIVERED),
        (PACK, 200, {"hasError": True}, REFUSED),
        ("customer-cancellation", 200, b"ok", DELIVERED),
        (ACK, 200, b"", DELIVERED),
        (ACK, 200, {}, DELIVERED),
        (ACK, 200, {"successOrders": [{"orderCode": "A"}, {"orderCode": "B"}]}, DELIVERED),
        (ACK, 200, {"successOrders": ["A", "B"]}, DELIVERED),
        (ACK, 200, {"successOrders": [{"orderCode": "A"}]}, RETRY),
        (ACK, 200, {"successOrders": []}, RETRY),
        (ACK, 200, {"successOrders": None}, DELIVERED),
    ],
)
def test_what_a_success_means_depends_on_its_body(name: str, status: int, body: Any, expected: ResponseClass) -> None:
    assert judge(name, status, body)[0] is expected


@pytest.mark.parametrize("status", [502, 503, 504])
def test_an_outage_that_says_how_long_silences_the_destination(status: int) -> None:
    kind, _, _, not_before = judge(CREATE, status, headers={"Retry-After": "7"})
    assert (kind, not_before) == (THROTTLED, NOW_MS + 7_000)


def test_a_500_with_retry_after_delays_only_its_own_request() -> None:
    kind, _, _, not_before = judge(CREATE, 500, headers={"retry-after": "7"})
    assert (kind, not_before) == (RETRY, NOW_MS + 7_000)


@pytest.mark.parametrize("name", [CREATE, "fact"])
@pytest.mark.parametrize("status", [502, 504])
def test_a_gateways_trouble_lowers_the_pace_and_silences_nobody(name: str, status: int) -> None:
    """It may be this order alone that is too slow for the gateway."""
    kind, _, _, not_before = judge(name, status)
    assert (kind, not_before) == (THROTTLED, None)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((status, DELIVERED) for status in (200, 201, 202, 204, 299)),
        *((status, RETRY) for status in (301, 302, 307, 308)),
        *((status, RETRY) for status in (400, 401, 403, 404, 405, 408, 409, 415, 422, 425, 451)),
        *((status, RETRY) for status in (500, 501, 503, 520)),
        *((status, THROTTLED) for status in (429, 502, 504)),
        (410, GONE),
        (413, REFUSED),
        (None, RETRY),
    ],
)
def test_of_a_subscriber_the_status_counts(status: int | None, expected: ResponseClass) -> None:
    assert judge("fact", status, error="" if status else "reset")[0] is expected


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"hasError": true}', nested(1_000)])
@pytest.mark.parametrize("error", ["", "cut off", "too large"])
def test_a_subscribers_body_does_not(body: bytes, error: str) -> None:
    assert judge("fact", 200, body, error=error)[0] is DELIVERED


def test_the_documented_table_is_what_the_function_says() -> None:
    """`python -m streams.delivery.attempts.responses_doc` writes it anew."""
    assert DOCUMENT.read_text(encoding="utf-8") == document()


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "soon"}])
def test_a_429_that_does_not_say_how_long_gets_the_default(headers: dict[str, str]) -> None:
    kind, _, _, not_before = judge(CREATE, 429, headers=headers)
    assert (kind, not_before) == (THROTTLED, NOW_MS + int(THROTTLE_DEFAULT_S * 1000))


def test_an_answer_cut_off_after_a_success_is_asked_again() -> None:
    assert judge(CREATE, 200, b'{"hasErr', error="cut off")[0] is RETRY


def test_an_answer_cut_off_after_a_refusal_is_a_refusal() -> None:
    assert judge(CREATE, 400, b'{"mess', error="cut off")[0] is REFUSED


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"hasError": True, "errorMessage": "bad sku"}, "bad sku"),
        ({"code": "BAD_DATA", "message": "Input", "description": "[a: b]"}, "Input: [a: b]"),
        ({"message": None, "description": 3}, '{"message":null,"description":3}'),
        (b"plain words", "plain words"),
        (b"", "status 400"),
        (b"x" * 9_000, "x" * MESSAGE_CHARS_MAX),
        (b"\xff\xfe", "��"),
    ],
)
def test_the_far_sides_words_travel_on_bounded(body: Any, message: str) -> None:
    assert judge(CREATE, 400, body)[2] == message


def test_the_body_of_a_relay_answer_goes_through_as_it_came() -> None:
    answer = {"shipmentCode": "S1", "extra": {"kept": [1, None]}}
    assert judge(PACK, 200, answer)[1] == answer


GROWN = b'{"a":[' + b",".join([b"1e15"] * 800_000) + b"]}"
"""Under 4 MiB as it comes, over 15 MB as it would be written again."""


@pytest.mark.parametrize("raw", [nested(300), nested(1_000), GROWN])
def test_a_relays_body_that_cannot_be_written_again_is_unusable(raw: bytes) -> None:
    kind, body, message, _ = judge(PACK, 200, raw)
    assert (kind, body) == (RETRY, None)
    assert message
    kind, body, message, _ = judge(PACK, 400, b'{"errorMessage":"no","more":' + raw + b"}")
    assert (kind, body, message) == (REFUSED, None, "no")


def test_an_order_code_that_is_no_code_is_none_however_deep() -> None:
    raw = b'{"successOrders":[' + b"[" * 1_000 + b"]" * 1_000 + b"]}"
    assert judge(ACK, 200, raw)[0] is RETRY
