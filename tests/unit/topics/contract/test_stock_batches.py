"""One bad SKU never costs its neighbours, the last word on a SKU counts, and an unusable batch is refused whole."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from topics.contract.models.inventory import split_valid
from topics.schema_base import SKUS_MAX, TEXT_MAX, problems
from topics.stock.positions import encode_position


def _located(*items: Any) -> dict[str, Any]:
    return {"locationCode": "DXB", "inventories": list(items)}


def _consolidated(*items: Any) -> dict[str, Any]:
    return {"consolidationType": "ALL", "inventories": list(items)}


def _item(sku: str, quantity: Any = 1, **more: Any) -> dict[str, Any]:
    return {"channelSkuCode": sku, "quantity": quantity, **more}


def _listing(sku: str, consolidated: Any = 1, **more: Any) -> dict[str, Any]:
    return {"channelSkuCode": sku, "consolidatedQuantity": consolidated, "listingId": 7, **more}


BAD_ITEMS = [
    _item("bad", -1),
    _item("bad", None),
    _item("bad", "five"),
    _item("bad", 1.5),
    _item("bad", True),
    _item("bad", channelSerialNo="x" * (TEXT_MAX + 1)),
    _item("bad", minExpiry="soon"),
    {"channelSkuCode": "bad"},
]


@pytest.mark.parametrize("bad", BAD_ITEMS)
def test_a_bad_sku_fails_alone(bad: dict[str, Any]) -> None:
    assert split_valid(_located(_item("a"), bad, _item("b", 0)))[1:3] == ([_item("a"), _item("b", 0)], ["bad"])


def test_a_bad_listing_fails_as_the_object_it_came_as() -> None:
    bad = _listing("bad", listingId=None)
    assert split_valid(_consolidated(_listing("a"), bad))[1:3] == ([_listing("a")], [bad])


LONG = "x" * (TEXT_MAX + 1)
UNNAMED: list[tuple[Any, str]] = [
    (_item(None), "inventories[1]"),  # type: ignore[arg-type]
    (_item(""), "inventories[1]"),
    ({"quantity": 1}, "inventories[1]"),
    (_item({"code": "bad"}), "inventories[1]"),  # type: ignore[arg-type]
    (_item(["bad"]), "inventories[1]"),  # type: ignore[arg-type]
    (_item(LONG), LONG),
    ("bad", "inventories[1]"),
    (None, "inventories[1]"),
    (7, "inventories[1]"),
    ([], "inventories[1]"),
    ([["bad"]], "inventories[1]"),
]
"""Items of no SKU, and how they are named."""


@pytest.mark.parametrize(("bad", "named"), UNNAMED, ids=str)
def test_an_item_of_no_sku_fails_alone(bad: Any, named: str) -> None:
    found = split_valid(_located(_item("a"), bad, _item("b")))
    assert found[1:] == ([_item("a"), _item("b")], [named], [named], [])
    listing = {**bad, "consolidatedQuantity": 1, "listingId": 7} if isinstance(bad, dict) else bad
    found = split_valid(_consolidated(_listing("a"), listing, _listing("b")))
    failure = listing if isinstance(listing, dict) else {"channelSkuCode": named}
    assert found[1:] == ([_listing("a"), _listing("b")], [failure], [named], [])


@pytest.mark.parametrize(("code", "read"), [(4711, "4711"), (2**70, str(2**70)), (1.5, "1.5"), (True, "true")])
def test_a_code_that_is_no_text_is_the_text_of_it(code: Any, read: str) -> None:
    good, bad = _item(code), _item(code, "many")
    assert split_valid(_located(good, bad, good))[1:] == ([_item(read)], [], [], [])
    assert split_valid(_located(_item(read, 3), good, bad))[1:] == ([], [read], [read], [read])
    assert split_valid(_consolidated(_listing(code, "many")))[1:] == ([], [_listing(code, "many")], [read], [read])


@pytest.mark.parametrize("quantity", [2, 2.0, "2", " 2 ", "+2"])
def test_a_quantity_is_a_whole_number_however_it_is_printed(quantity: Any) -> None:
    assert split_valid(_located(_item("a", quantity), _item("b", "two"))).valid == [_item("a", 2)]


UNUSABLE: list[tuple[dict[str, Any], str]] = [
    ({"inventories": []}, "locationCode: may not be null"),
    ({"locationCode": "", "inventories": []}, "locationCode: may not be empty"),
    ({"locationCode": "DXB"}, "inventories: may not be null"),
    ({"locationCode": "DXB", "inventories": "all"}, "inventories: must be a list"),
    (_located(*(_item(str(n)) for n in range(SKUS_MAX + 1))), "inventories: may have at most 200 entries"),
    ({"consolidationType": "NONE", "inventories": []}, "consolidationType: must be 'ALL' or 'STORE'"),
]


@pytest.mark.parametrize(("members", "text"), UNUSABLE, ids=[text for _members, text in UNUSABLE])
def test_an_unusable_batch_is_refused_whole(members: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        split_valid(members)
    assert problems(refused.value) == [text]


def test_the_last_of_a_repeated_sku_counts() -> None:
    assert split_valid(_located(_item("a", 1), _item("b"), _item("a", 2)))[1:3] == ([_item("a", 2), _item("b")], [])
    assert split_valid(_located(_item("a", 1), _item("a", -1)))[1:3] == ([], ["a"])
    assert split_valid(_located(_item("a", -1), _item("a", 1)))[1:3] == ([_item("a", 1)], [])


def test_a_quantity_that_is_printed_as_text_is_a_number_from_here_on() -> None:
    printed, number = _consolidated(_listing("a", "211", quantity="9")), _consolidated(_listing("a", 211, quantity=9))
    assert split_valid(printed) == split_valid(number) == (number, number["inventories"], [], [], [])
    assert encode_position(split_valid(printed).valid[0]) == encode_position(number["inventories"][0])
    assert printed["inventories"][0]["consolidatedQuantity"] == "211"


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(-2, 3)), max_size=12))
def test_each_sku_is_in_one_list_with_its_last_quantity(told: list[tuple[str, int]]) -> None:
    _, valid, failures, *_ = split_valid(_located(*(_item(sku, quantity) for sku, quantity in told)))
    last = dict(told)
    assert {item["channelSkuCode"]: item["quantity"] for item in valid} == {s: q for s, q in last.items() if q >= 0}
    assert sorted(failures) == sorted(sku for sku, quantity in last.items() if quantity < 0)
