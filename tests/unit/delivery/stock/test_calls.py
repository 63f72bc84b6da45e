"""A stock call has the contract's body, and its answer is read as leniently as the contract's pages differ (19.4)."""

from __future__ import annotations

from typing import Any

import pytest

from streams.delivery.stock.calls import call_body, read_answer, touchpoint_of
from topics.stock.position_map import quantity_of
from topics.stock.positions import encode_position

SKUS = ("A", "B", "C")


def test_location_wise_body() -> None:
    items = [{"channelSkuCode": "A", "quantity": 0}, {"channelSkuCode": "B", "quantity": 2, "minExpiry": "2027-01-01"}]
    assert call_body("L1", map(encode_position, items)) == {"locationCode": "L1", "inventories": items}
    assert touchpoint_of("L1").name == "location-wise-atp-inventory"


def test_consolidated_body_names_its_type_and_keeps_the_whole_item() -> None:
    item = {"channelSkuCode": "A", "consolidatedQuantity": 3, "listingId": 7, "quantity": 1, "locationCode": "L1"}
    body = call_body("~STORE", [encode_position(item)])
    assert body == {"consolidationType": "STORE", "inventories": [item]}
    assert touchpoint_of("~STORE").name == "consolidated-atp-inventory"


@pytest.mark.parametrize(
    ("body", "failed"),
    [
        (None, ""),
        ({}, ""),
        ({"successList": [], "failureList": []}, ""),
        ({"successList": ["A", "B", "C"], "failureList": []}, ""),
        ({"successList": ["A", "B"], "failureList": ["C"]}, "C"),
        ({"failureList": ["C"]}, "C"),
        ({"successList": ["A", "B", "C"], "failureList": ["C"]}, "C"),
        ({"successList": ["A"]}, "BC"),
        ({"sucessList": ["A", "B"], "failureList": []}, "C"),
        ({"successList": [{"channelSkuCode": "A"}], "failureList": [{"channelSkuCode": "C"}]}, "BC"),
        ({"successList": ["A", "B", "C"], "failureList": None}, ""),
        ({"successList": None, "failureList": []}, ""),
        ({"successList": ["A", "B", "C", "X"]}, ""),
        ({"status": "OK", "count": 3}, ""),
        ({"hasError": False, "errorMessage": None}, ""),
    ],
)  # fmt: skip
def test_what_a_2xx_did_not_acknowledge(body: dict[str, Any] | None, failed: str) -> None:
    assert set(read_answer(body, SKUS).failed) == set(failed)


FORMS_OF_C: tuple[Any, ...] = (
    ["C"],
    [{"channelSkuCode": "C", "reason": "not listed"}],
    [{"sku": "C"}],
    [{"skuCode": "C"}],
    [{"channelSkuId": "C"}],
    [{"SKU": "C", "error": {"code": 7}}],
    [{"channel_sku_code": "C"}],
    [{"item": {"sku": "C"}, "message": "no"}],
    [{"article": "C", "message": "no"}],
    {"C": "not listed"},
    {"C": None},
    {"C": {"reason": "not listed"}},
    {"0": {"channelSkuCode": "C"}},
    {"channelSkuCode": "C", "reason": "not listed"},
    {"items": [{"sku": "C"}]},
    "C",
    "C, D",
    ["C: not listed"],
    [["C"]],
)
BESIDE: tuple[dict[str, Any], ...] = (
    {},
    {"successList": ["A", "B"]},
    {"sucessList": {"A": True, "B": True}},
    {"success_list": "A,B"},
)
NAMES = ("failureList", "FailureList", "failurelist", "failure_list", "FAILURELIST", "failure-list", "failedList")


@pytest.mark.parametrize("listed", FORMS_OF_C, ids=str)
def test_a_sku_that_failed_is_found_in_whatever_form(listed: Any) -> None:
    for name in NAMES:
        for more in BESIDE:
            assert set(read_answer({**more, name: listed}, SKUS).failed) == {"C"}, (name, more)
        for wrapper in ("data", "response", "Result"):
            assert set(read_answer({"success": True, wrapper: {name: listed}}, SKUS).failed) == {"C"}, wrapper


NAMING_NONE: tuple[Any, ...] = (
    ["X"],
    [None],
    [""],
    ["not listed"],
    [{}],
    [{"row": 5, "message": "not listed"}],
    [{"channelSkuCode": "X"}],
    [{"channelSkuCode": None}],
    {"X": "not listed"},
    {"count": 1},
    "some were not listed",
    1,
    True,
    1.5,
    [[[[[["C"]]]]]],
)


@pytest.mark.parametrize("listed", NAMING_NONE, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_failures_that_name_none_of_what_was_sent_acknowledge_nothing(name: str, listed: Any) -> None:
    assert read_answer({name: listed}, SKUS).fault
    for taken in ([], ["A", "B"], ["A", "B", "C"]):
        assert read_answer({"successList": taken, name: listed}, SKUS).fault, taken


@pytest.mark.parametrize("listed", [*NAMING_NONE, {"A": False, "B": None}, "A was taken", ["A of B"]], ids=str)
def test_successes_that_name_none_of_what_was_sent_acknowledge_nothing(listed: Any) -> None:
    for name in ("successList", "sucessList", "SuccessList", "success_list"):
        assert read_answer({name: listed}, SKUS).fault


@pytest.mark.parametrize(
    ("body", "failed", "in_doubt"),
    [
        ({"successList": [], "failureList": ["C"]}, "C", ""),
        ({"failureList": ["C", None]}, "ABC", "AB"),
        ({"failureList": [{"sku": "C"}, {"row": 2}], "successList": [{"sku": "A"}]}, "BC", "B"),
        ({"successList": ["A"]}, "BC", "BC"),
        ({"successList": ["A", "B"], "failureList": ["B"]}, "BC", "BC"),
        ({"successList": {"A": True, "B": False}}, "BC", "BC"),
        ({"failureList": ["C"]}, "C", ""),
    ],
)
def test_a_sku_that_no_list_names_may_have_been_taken(body: dict[str, Any], failed: str, in_doubt: str) -> None:
    """So it is sent again, also when its position returns to what was sent before."""
    answer = read_answer(body, SKUS)
    assert (set(answer.failed), set(answer.in_doubt)) == (set(failed), set(in_doubt))


@pytest.mark.parametrize("nothing", [None, [], {}, "", 0, False, "none", "[]", "null", " "], ids=repr)
def test_a_list_that_says_that_there_is_nothing_is_none(nothing: Any) -> None:
    assert read_answer({"failureList": nothing}, SKUS) == read_answer({}, SKUS)
    assert read_answer({"failureList": nothing, "successList": nothing}, SKUS) == read_answer({}, SKUS)


def test_a_code_of_digits_that_is_printed_as_a_number_is_the_same_code() -> None:
    """Taken for acknowledged, it would be sold on from what it had."""
    digits = ("4711", "4712", "4713")
    assert set(read_answer({"failureList": [4711, {"channelSkuCode": 4712}]}, digits).failed) == {"4711", "4712"}
    assert set(read_answer({"failureList": [4711.0]}, digits).failed) == {"4711"}
    assert set(read_answer({"successList": [4711, 4713]}, digits).failed) == {"4712"}


def test_a_number_of_pieces_is_no_sku() -> None:
    answer = read_answer({"failureList": [{"channelSkuCode": "A", "quantity": 5}], "successList": ["5"]}, ("A", "5"))
    assert set(answer.failed) == {"A"}


@pytest.mark.parametrize(
    ("item", "quantity"),
    [
        ({"quantity": 4}, 4),
        ({"quantity": 4, "consolidatedQuantity": 0}, 0),
        ({"consolidatedQuantity": "211"}, 211),
        ({}, 0),
    ],
)
def test_the_quantity_a_channel_reads(item: dict[str, Any], quantity: int) -> None:
    assert quantity_of(encode_position(item)) == quantity
