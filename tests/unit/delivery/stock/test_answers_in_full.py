"""Answers to stock calls from which no form may leave a SKU out that failed: it would be sold on from what it had."""

from __future__ import annotations

from typing import Any

import pytest

from streams.delivery.attempts.answer_words import objection_in
from streams.delivery.stock.calls import ALL_TAKEN, read_answer
from topics.contract.answer_names import TEXTS_MAX, unwrapped

SENT = ("S-1", "S-2", "S-3", "3", "RED SHIRT", "RED", "A,B", "WOW!")


@pytest.mark.parametrize(
    ("listed", "failed"),
    [
        pytest.param({"3": "S-1"}, {"S-1"}, id="PHP's list with gaps, beside a code that is a number"),
        pytest.param({"3": {"sku": "S-1"}}, {"S-1"}, id="the same with objects"),
        pytest.param({"S-2": ["conflicts with S-1"]}, {"S-2"}, id="reasons that mention another"),
        pytest.param({"S-2": ["unknown"], "S-3": {"reason": "see S-1"}}, {"S-2", "S-3"}, id="some of several reasons"),
        pytest.param({"S-2": "replaced by S-1"}, {"S-2"}, id="a reason in words"),
        pytest.param({"S-2": "no", "s-3": "no"}, {"S-2", "S-3"}, id="a map with a code of another case"),
        pytest.param({"0": {"sku": "S-1"}, "1": {"sku": "s-2"}}, {"S-1", "S-2"}, id="an object of another case"),
        pytest.param([{"item": {"sku": "S-1"}}, {"item": {"sku": "s-2"}}], {"S-1", "S-2"}, id="nested, another case"),
        pytest.param("Unknown SKUs: S-1, S-2.", {"S-1", "S-2"}, id="a sentence with a full stop"),
        pytest.param(["sku=S-1: unknown", "<S-2>"], {"S-1", "S-2"}, id="marks around codes"),
        pytest.param("RED SHIRT: unknown; S-1: unknown", {"RED SHIRT", "S-1"}, id="a code with a space"),
        pytest.param(["RED SHIRT is unknown"], {"RED SHIRT"}, id="a code with a space, in a list"),
        pytest.param("S-1,A,B", {"S-1", "A,B"}, id="a code with a comma"),
        pytest.param("no WOW! here", {"WOW!"}, id="a code with a mark at its end"),
    ],
)
def test_each_sku_that_failed_is_named_whatever_stands_beside_it(listed: Any, failed: set[str]) -> None:
    for body in ({"failureList": listed}, {"successList": [], "failureList": listed}):
        answer = read_answer(body, SENT)
        assert answer.failed >= failed or answer.fault


@pytest.mark.parametrize(
    ("body", "in_doubt"),
    [
        ({"failureList": ["S-2: replaced by S-1"]}, {"S-1", "S-2"}),
        ({"failureList": {"3": "S-1"}}, {"3"}),
        ({"failureList": ["S-1"], "successList": [*SENT]}, {"S-1"}),
        ({"failureList": ["S-1", "S-2"]}, set()),
        ({"failureList": {"S-1": "unknown"}}, set()),
        ({"failureList": "S-1,S-2"}, set()),
    ],
)
def test_a_sku_that_is_named_in_passing_or_in_both_lists_may_have_been_taken(
    body: dict[str, Any], in_doubt: set[str]
) -> None:
    """So it is sent again although its position returns to what was sent before."""
    assert read_answer(body, SENT).in_doubt == in_doubt


@pytest.mark.parametrize(
    "listed",
    [{"S-1": "OK", "S-2": "FAILED: unknown"}, {"S-1": True, "S-2": "not found"}, {"S-1": 1, "S-2": "error 7"}],
    ids=str,
)
def test_a_map_of_successes_may_deny_one(listed: dict[str, Any]) -> None:
    assert read_answer({"successList": listed}, ("S-1", "S-2")).failed == {"S-2"}


LISTS = {"successList": [], "failureList": ["S-1"]}
WRAPPED: tuple[dict[str, Any], ...] = (
    {"LocationWiseAtpAnswer": LISTS},
    {"response": {"data": LISTS}},
    {"statusCode": 200, "body": '{"successList": [], "failureList": ["S-1"]}'},
    {"statusCode": 200, "body": '\n{"data": {"failureList": "S-1"}}'},
    {"data": [LISTS]},
    {"status": "ok", "Data": {"Result": {"failure_list": {"S-1": "no"}}}},
    {"successList": [], "failureList": [], "data": LISTS},
)


@pytest.mark.parametrize("body", WRAPPED, ids=str)
def test_lists_are_found_where_a_framework_wrapped_them(body: dict[str, Any]) -> None:
    assert set(read_answer(body, SENT).failed) == {"S-1"}


@pytest.mark.parametrize(
    "body",
    [
        {"failed": ["S-1"]},
        {"rejectedItems": [{"sku": "S-1", "reason": "unknown"}]},
        {"errorList": {"S-1": "unknown"}},
        {"updated": 7, "failedCount": 1, "failed_items": ["S-1"]},
        {"data": {"invalidSkus": ["S-1"]}},
        {"successList": [], "failureList": [], "skusNotFound": ["S-1"]},
    ],
    ids=str,
)
def test_failures_are_found_under_other_names(body: dict[str, Any]) -> None:
    assert set(read_answer(body, SENT).failed) == {"S-1"}


@pytest.mark.parametrize(
    "body", [{"successCount": 7, "failureCount": 1}, {"failed": True}, {"rejected": "one"}], ids=str
)
def test_an_answer_that_says_that_some_failed_and_not_which_acknowledges_none(body: dict[str, Any]) -> None:
    assert read_answer(body, SENT).fault


@pytest.mark.parametrize(
    "body",
    [
        {"successCount": 8, "failureCount": 0, "failed": [], "errorDetails": None},
        {"status": "OK", "message": "none failed", "requestId": "S-1"},
        {"body": "done"},
        {"body": "{no JSON"},
        {"data": [{"id": 1}, {"id": 2}]},
    ],
    ids=str,
)
def test_an_answer_that_tells_of_no_failure_acknowledges_all(body: dict[str, Any]) -> None:
    assert read_answer(body, SENT) == ALL_TAKEN


@pytest.mark.parametrize(
    "body",
    [
        {"PackOrderResponse": {"hasError": True}},
        {"response": {"data": {"hasError": "true"}}},
        {"statusCode": 200, "body": '{"hasError": true, "errorMessage": "no"}'},
        {"data": [{"hasError": 1}]},
    ],
    ids=str,
)
def test_a_refusal_is_found_where_a_framework_wrapped_it(body: dict[str, Any]) -> None:
    objection = objection_in(body)
    assert objection is not None
    assert objection.fault is None


def test_wrappers_in_wrappers_are_opened_a_bounded_number_of_times() -> None:
    body: dict[str, Any] = {}
    for _ in range(50):
        body = {"data": body}
    assert len(list(unwrapped(body))) == 4


def test_more_texts_than_an_answer_needs_are_not_searched_and_acknowledge_nothing_by_their_silence() -> None:
    answer = read_answer({"failureList": ["S-1 is unknown", *["no code"] * TEXTS_MAX, "S-2 is unknown"]}, SENT)
    assert set(answer.failed) == set(SENT)
