"""A 2xx whose body cannot be read, or says that it failed, is no success, whatever its bytes and its words."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from streams.delivery.attempts.classify import ResponseVerdict, classify
from streams.delivery.ports import MESSAGE_CHARS_MAX, Answer, AnswerFault, ResponseClass
from topics.contract.touchpoints import TOUCHPOINTS
from topics.schema_base import VALUES_MAX
from topics.subscriptions.model import KINDS

DELIVERED, RETRY, _THROTTLED, REFUSED, _GONE = ResponseClass

CREATE, CANCEL, SELLER = "create-outward-order", "customer-cancellation", "seller-cancellation"
PACK, LABEL, STOCK, ACK = "pack-order", "get-shipping-label", "location-wise-atp-inventory", "acknowledgement"
ALL = [touchpoint.name for touchpoint in TOUCHPOINTS]
JSON = "application/json"
TWO_ORDERS = {"orders": [{"orderCode": "A", "locationCode": "L"}, {"orderCode": "4711", "locationCode": "L"}]}


def judge(name: str, body: Any, content_type: str = JSON, status: int = 200) -> ResponseVerdict:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    headers = {"Content-Type": content_type} if content_type else {}
    return classify(KINDS[name], TWO_ORDERS if name == ACK else {}, Answer(status=status, headers=headers, body=raw), 0)


REFUSAL = '{"hasError":true,"errorMessage":"Größe fehlt"}'
ANSWER = '{"shipmentCode":"Größe-1","n":9400111899223197428490}'
IN_OTHER_BYTES: dict[str, tuple[Callable[[str], bytes], str]] = {
    "a byte order mark": (lambda text: b"\xef\xbb\xbf" + text.encode(), JSON),
    "two marks": (lambda text: b"\xef\xbb\xbf" * 2 + text.encode(), JSON),
    "a mark and a line break": (lambda text: b"\r\n\xef\xbb\xbf \n" + text.encode() + b"\r\n\r\n", JSON),
    "latin-1, not named": (lambda text: text.encode("latin-1"), JSON),
    "latin-1, named": (lambda text: text.encode("latin-1"), JSON + ";charset=ISO-8859-1"),
    "latin-1, named UTF-8": (lambda text: text.encode("latin-1"), JSON + "; charset=utf-8"),
    "windows-1252": (lambda text: text.encode("cp1252"), 'application/json; charset="windows-1252"'),
    "UTF-8, named latin-1": (lambda text: text.encode(), JSON + ";charset=latin1"),
    "UTF-16 with a mark": (lambda text: text.encode("utf-16"), JSON),
    "UTF-16, big-endian, with a mark": (lambda text: b"\xfe\xff" + text.encode("utf-16-be"), JSON),
    "UTF-16, named": (lambda text: text.encode("utf-16-le"), JSON + "; charset=UTF-16LE"),
    "UTF-16, not named": (lambda text: text.encode("utf-16-be"), JSON),
    "UTF-32": (lambda text: text.encode("utf-32"), JSON),
    "UTF-32, not named": (lambda text: text.encode("utf-32-be"), JSON),
    "DOS": (lambda text: text.encode("cp850"), JSON + ";charset=ibm850"),
    "another Content-Type": (lambda text: text.encode(), "text/html; charset=UTF-8"),
    "no Content-Type": (lambda text: text.encode("latin-1"), ""),
    "a charset that nobody knows": (lambda text: text.encode("latin-1"), JSON + "; charset=klingon"),
    "a charset that is no text": (lambda text: text.encode(), JSON + "; charset=base64"),
    "zero bytes behind it": (lambda text: text.encode() + b"\0\0", JSON),
}


@pytest.mark.parametrize("what", IN_OTHER_BYTES)
def test_an_answer_means_the_same_in_any_bytes(what: str) -> None:
    encode, content_type = IN_OTHER_BYTES[what]
    for name in ALL:
        verdict = judge(name, encode(REFUSAL), content_type)
        assert (verdict.kind, verdict.message, verdict.fault) == (REFUSED, "Größe fehlt", None), name
    relay = judge(PACK, encode(ANSWER), content_type)
    assert (relay.kind, relay.body) == (DELIVERED, json.loads(ANSWER))
    failing = judge(CREATE, encode(REFUSAL), content_type, status=400)
    assert (failing.kind, failing.message) == (REFUSED, "Größe fehlt")


@pytest.mark.parametrize(
    "raw",
    [
        rb'{"hasError":true,"errorMessage":"\ud800"}',
        rb'{"\ud83d":1,"hasError":true,"errorMessage":"\\ud800 \udc00\ud83d\ude00"}',
        b'{"hasError":true,"errorMessage":"\xed\xa0\x80"}',
        '{"hasError":true,"errorMessage":"\ud800"}'.encode("utf-16-le", "surrogatepass"),
        b'{"hasError":false,"hasError":true}',
        b'{"hasError":true,"awb":9400111899223197428490,"ratio":1e400}'.replace(b"1e400", b"1e40"),
        b'{"hasError":true,"a":' + b"[" * 500 + b"]" * 500 + b"}",
    ],
)
def test_what_other_readers_read_is_read(raw: bytes) -> None:
    for name in ALL:
        assert judge(name, raw).kind is REFUSED


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (r"\ud800", "\ufffd"),
        (r"\\ud800", r"\ud800"),
        (r"\ud83d\ude00", "😀"),
        (r"\udc00\ud83d", "\ufffd\ufffd"),
        (r"\\\ud800", "\\\ufffd"),
        (r"\\\\\ud800\\", "\\\\\ufffd\\"),
        (r"\ud800\ud83d\ude00\ude00", "\ufffd😀\ufffd"),
        (r"\n\\\"\uD83D\uDE00\udfff", '\n\\"😀\ufffd'),
    ],
)
def test_a_lone_surrogate_becomes_the_character_for_unreadable(escaped: str, text: str) -> None:
    raw = rb'{"shipmentCode":"%b","more":"\ud800"}' % escaped.encode()
    assert judge(PACK, raw).body == {"shipmentCode": text, "more": "\ufffd"}


UNREADABLE = {
    "cut off": b'{"hasErr',
    "NaN": b'{"hasError":true,"weight":NaN}',
    "a trailing comma": b'{"hasError":true,}',
    "single quotes": b"{'hasError':true}",
    "a comment": b'{"hasError":true} // no',
    "a line break in a text": b'{"hasError":true,"errorMessage":"two\nlines"}',
    "two objects": b'{"a":1}{"hasError":true}',
    "a page behind it": b'{"hasError":false}<html>',
    "half of UTF-16": '{"hasError":true}'.encode("utf-16-le")[:-1],
    "too deep to read": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "no JSON at all": b"OK",
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xabV\xcaH,v-*\xca/R",
    "noise": bytes(range(255, 0, -1)),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_says_that_it_is_json_and_is_none_is_no_success(what: str) -> None:
    for name in ALL:
        verdict = judge(name, UNREADABLE[what])
        assert (verdict.kind, verdict.fault, verdict.body) == (RETRY, AnswerFault.NOT_JSON, None)
        assert 0 < len(verdict.message) <= MESSAGE_CHARS_MAX
        if UNREADABLE[what][:1] in b"{[":
            assert judge(name, UNREADABLE[what], "").fault is AnswerFault.NOT_JSON


PAGES = {
    "a login": b"<!DOCTYPE html>\n<html><head><title>\n Sign in </title></head><body>%s</body></html>" % (b"x" * 9_000),
    "XML": b'<?xml version="1.0"?><error>no</error>',
    "a notice of PHP": b'<br />\n<b>Notice</b>: Undefined index\n{"hasError":true}',
    "a mark before it": b"\xef\xbb\xbf<html>",
    "UTF-16": "<html>".encode("utf-16"),
}


@pytest.mark.parametrize("what", PAGES)
def test_a_page_where_json_is_due_is_no_success(what: str) -> None:
    for name in ALL:
        for content_type in ("text/html; charset=utf-8", "", JSON):
            verdict = judge(name, PAGES[what], content_type)
            assert (verdict.kind, verdict.fault) == (RETRY, AnswerFault.PAGE)
            assert len(verdict.message) <= MESSAGE_CHARS_MAX
        assert ("Sign in" in judge(name, PAGES[what], "").message) == (what == "a login")


@pytest.mark.parametrize("content_type", ["text/plain", "text/html; charset=utf-8", ""])
def test_of_other_words_those_count_that_can_only_mean_success(content_type: str) -> None:
    for name in ALL:
        needs_body = KINDS[name].wants_answer and KINDS[name].response is not None
        for text in (b"OK", b"ok\n", b"Success!", b"ACCEPTED", b"\xef\xbb\xbfok", b'"OK"', b"true", b"1", b"null"):
            assert judge(name, text, content_type).kind is (RETRY if needs_body else DELIVERED), text
        for text in (
            b"ERROR",
            b"Could not connect to the database",
            b"PHP Fatal error: no",
            b"OK, but no",
            b"0",
            b"false",
        ):
            verdict = judge(name, text, content_type)
            assert verdict.kind is RETRY, text
            assert verdict.fault in (AnswerFault.TEXT, AnswerFault.NO_OBJECT)
            assert text.decode() in verdict.message


@pytest.mark.parametrize("raw", [b"", b" ", b"\r\n", b"\xef\xbb\xbf", b"\0"])
@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_an_empty_answer_is_a_success(status: int, raw: bytes) -> None:
    for name in ALL:
        assert judge(name, raw, status=status).kind is DELIVERED


@pytest.mark.parametrize("raw", [b"[1]", b'["A"]', b'[{"hasError":true}]', b"0", b"false", b'"no"', b"2.5", b'"{}"'])
def test_json_that_is_no_object_is_no_success(raw: bytes) -> None:
    for name in ALL:
        assert (judge(name, raw).kind, judge(name, raw).fault) == (RETRY, AnswerFault.NO_OBJECT)


TRUE: tuple[Any, ...] = (True, "true", "True", "TRUE", " true ", 1, 2)
FALSE: tuple[Any, ...] = (False, "false", "FALSE", 0, None, "")
NEITHER: tuple[Any, ...] = ("Y", "1", "maybe", "yes", [], {}, [True], 0.5)
NAMES = ("hasError", "HasError", "haserror", "has_error", "HASERROR", "Has_Error", "has-error")


@pytest.mark.parametrize("spelt", NAMES)
def test_has_error_is_read_as_a_flag_of_a_request_is(spelt: str) -> None:
    for name in ALL:
        for flag in TRUE:
            verdict = judge(name, {spelt: flag, "errorMessage": "no such shelf"})
            assert (verdict.kind, verdict.message) == (REFUSED, "no such shelf"), flag
        for flag in FALSE:
            assert judge(name, {spelt: flag}).kind is DELIVERED, flag
        for flag in NEITHER:
            verdict = judge(name, {spelt: flag})
            assert (verdict.kind, verdict.fault) == (RETRY, AnswerFault.UNCLEAR), flag


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"hasError": True, "errorMessage": "no"}},
        {"headers": {}, "body": {"HasError": "true", "message": "no"}, "statusCode": "OK"},
        {"success": True, "result": {"has_error": 1, "ErrorMessage": "no"}},
    ],
)
def test_a_wrapped_refusal_is_one(body: dict[str, Any]) -> None:
    for name in ALL:
        assert (judge(name, body).kind, judge(name, body).message) == (REFUSED, "no")


@pytest.mark.parametrize(
    "body",
    [
        {"success": False, "message": "SKU not mapped"},
        {"Success": "false"},
        {"success": 0},
        {"isSuccess": False},
        {"ok": False},
        {"status": "FAILED"},
        {"status": "error", "message": "no"},
        {"Status": "Rejected"},
        {"status": False},
        {"result": "fail"},
        {"status": 400, "error": "Bad Request", "path": "/pack"},
        {"status": "500"},
        {"statusCode": 502, "body": "Internal server error"},
        {"statusCodeValue": 404, "body": None},
        {"error": "no such order"},
        {"error": {"code": 7}},
        {"error": True},
        {"errors": [{"message": "no"}]},
        {"errorMessage": "no such order"},
        {"error_message": "no such order"},
        {"errorCode": "E17"},
        {"code": "BAD_DATA", "message": "Input validation failed", "description": "[orderCode]"},
        {"code": 400, "message": "no"},
        {"data": {"success": False}},
    ],
    ids=str,
)
def test_an_answer_that_says_in_other_words_that_it_failed_is_no_success(body: dict[str, Any]) -> None:
    for name in ALL:
        verdict = judge(name, body)
        assert (verdict.kind, verdict.fault) == (RETRY, AnswerFault.FAILED)
        assert judge(name, {**body, "hasError": False}).kind is DELIVERED  # the contract's word decides


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"success": True, "error": None, "errors": []},
        {"status": "success", "code": 200, "message": "booked"},
        {"status": "CREATED", "message": "order created"},
        {"status": 0, "message": "done"},
        {"status": 201},
        {"code": "0", "msg": "ok", "error": "none"},
        {"code": "ORDER_CREATED", "message": "created"},
        {"code": "4711", "message": "created"},
        {"errorMessage": "", "errorCode": 0},
        {"errorMessage": None},
        {"errorMessage": "Success"},
        {"error": False},
        {"error": "0"},
        {"message": "an error occurred? no"},
        {"result": {"status": "ok"}},
        {"errorCount": 3, "failed": 0},
    ],
    ids=str,
)
def test_other_members_of_an_answer_mean_nothing(body: dict[str, Any]) -> None:
    for name in ALL:
        assert judge(name, body).kind is DELIVERED


@pytest.mark.parametrize("spelt", ["successOrders", "SuccessOrders", "successorders", "success_orders", "sucessOrders"])
@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ([{"orderCode": "A"}, {"orderCode": 4711}], DELIVERED),
        (["A", 4711], DELIVERED),
        ([{"order_code": "A"}, {"OrderCode": "4711"}], DELIVERED),
        ([{"orderId": "A"}, "4711"], DELIVERED),
        ({"A": "L", "4711": True}, DELIVERED),
        ("A,4711", DELIVERED),
        (None, DELIVERED),
        ({"A": True, "4711": False}, RETRY),
        ([{"orderCode": "A"}], RETRY),
        ("A", RETRY),
        ([], RETRY),
        ("", RETRY),
        ([None], RETRY),
        (["X"], RETRY),
        ([{"code": "A"}], RETRY),
        ("both were taken", RETRY),
    ],
    ids=str,
)
def test_an_order_is_acknowledged_by_name(spelt: str, listed: Any, expected: ResponseClass) -> None:
    assert judge(ACK, {spelt: listed}).kind is expected
    assert judge(ACK, {"data": {spelt: listed}}).kind is expected


@pytest.mark.parametrize("listed", [["A"], [{"sku": 1}], {"A": "no"}, "A", [None]], ids=str)
def test_an_order_that_failed_is_not_acknowledged(listed: Any) -> None:
    assert judge(ACK, {"failureOrders": listed}).kind is RETRY
    assert judge(ACK, {"successOrders": ["A", "4711"], "failedOrders": listed}).kind is RETRY
    assert judge(ACK, {"rejectedOrders": listed}).kind is RETRY
    assert judge(ACK, {"AcknowledgementAnswer": {"failureOrders": listed}}).kind is RETRY
    assert judge(ACK, {"failureOrders": [], "failureCount": 1}).kind is RETRY
    assert judge(ACK, {"successOrders": ["A", "4711"], "failedOrders": []}).kind is DELIVERED
    assert judge(ACK, {"failureOrders": [], "failureCount": 0}).kind is DELIVERED


MANY = b'{"x":[' + b"[]," * VALUES_MAX + b"[]],%b}"


@pytest.mark.parametrize("name", ALL)
def test_of_an_answer_with_too_many_values_the_verdict_is_read(name: str) -> None:
    for said in (b'"hasError":true', b'"HasError":"true"', b'"has_error":1'):
        for raw in (MANY % said, b"\xef\xbb\xbf" + MANY % said, (MANY % said).decode().encode("utf-16")):
            assert judge(name, raw).kind is REFUSED, said
    assert judge(name, MANY % b'"success":false').fault is AnswerFault.FAILED
    assert judge(name, MANY[:-1] % b'"hasError":true').fault is AnswerFault.NOT_JSON
    lists_are_read = name in (ACK, STOCK, "consolidated-atp-inventory")
    needs_body = KINDS[name].wants_answer and KINDS[name].response is not None
    fine = judge(name, MANY % b'"hasError":false')
    assert fine.fault is (AnswerFault.UNFIT if lists_are_read or needs_body else None)
