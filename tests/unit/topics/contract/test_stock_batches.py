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
    assert split_valid(_located(_item("a"), bad, _item("b", 0)))[1:] == ([_item("a"), _item("b", 0)], ["bad"])


def test_a_bad_listing_fails_as_the_object_it_came_as() -> None:
    bad = _listing("bad", listingId=None)
    assert split_valid(_consolidated(_listing("a"), bad))[1:] == ([_listing("a")], [bad])


UNUSABLE: list[tuple[dict[str, Any], str]] = [
    ({"inventories": []}, "locationCode: may not be null"),
    ({"locationCode": "", "inventories": []}, "locationCode: may not be empty"),
    ({"locationCode": "DXB"}, "inventories: may not be null"),
    ({"locationCode": "DXB", "inventories": "all"}, "inventories: must be a list"),
    (_located("a"), "inventories[0]: must be an object"),
    (_located(_item("a"), {"quantity": 1}), "inventories[1].channelSkuCode: may not be null"),
    (_located(_item("x" * (TEXT_MAX + 1))), "inventories[0].channelSkuCode: may have at most 255 characters"),
    (_located(*(_item(str(n)) for n in range(SKUS_MAX + 1))), "inventories: may have at most 200 entries"),
    ({"consolidationType": "NONE", "inventories": []}, "consolidationType: must be 'ALL' or 'STORE'"),
    (_consolidated({"listingId": 1}), "inventories[0].channelSkuCode: may not be null"),
]


@pytest.mark.parametrize(("members", "text"), UNUSABLE, ids=[text for _members, text in UNUSABLE])
def test_an_unusable_batch_is_refused_whole(members: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        split_valid(members)
    assert problems(refused.value) == [text]


def test_the_last_of_a_repeated_sku_counts() -> None:
    assert split_valid(_located(_item("a", 1), _item("b"), _item("a", 2)))[1:] == ([_item("a", 2), _item("b")], [])
    assert split_valid(_located(_item("a", 1), _item("a", -1)))[1:] == ([], ["a"])
    assert split_valid(_located(_item("a", -1), _item("a", 1)))[1:] == ([_item("a", 1)], [])


def test_a_quantity_that_is_printed_as_text_is_a_number_from_here_on() -> None:
    printed, number = _consolidated(_listing("a", "211", quantity="9")), _consolidated(_listing("a", 211, quantity=9))
    assert split_valid(printed) == split_valid(number) == (number, number["inventories"], [])
    assert encode_position(split_valid(printed)[1][0]) == encode_position(number["inventories"][0])
    assert printed["inventories"][0]["consolidatedQuantity"] == "211"


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(-2, 3)), max_size=12))
def test_each_sku_is_in_one_list_with_its_last_quantity(told: list[tuple[str, int]]) -> None:
    _, valid, failures = split_valid(_located(*(_item(sku, quantity) for sku, quantity in told)))
    last = dict(told)
    assert {item["channelSkuCode"]: item["quantity"] for item in valid} == {s: q for s, q in last.items() if q >= 0}
    assert sorted(failures) == sorted(sku for sku, quantity in last.items() if quantity < 0)
