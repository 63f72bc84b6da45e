"""A stock call has the contract's body, and its answer is read as leniently as the contract's pages differ (19.4)."""

from __future__ import annotations

from typing import Any

import pytest

from streams.delivery.stock.calls import call_body, failed_skus, touchpoint_of
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
        ({"successList": None, "failureList": ["X", 7, {"other": 1}]}, ""),
        ({"hasError": False, "errorMessage": None}, ""),
    ],
)  # fmt: skip
def test_what_a_2xx_did_not_acknowledge(body: dict[str, Any] | None, failed: str) -> None:
    assert failed_skus(body, SKUS) == set(failed)


def test_a_code_of_digits_that_is_printed_as_a_number_is_the_same_code() -> None:
    """Taken for acknowledged, it would be sold on from what it had."""
    assert failed_skus({"failureList": [4711, {"channelSkuCode": 4712}]}, ("4711", "4712", "4713")) == {"4711", "4712"}
    assert failed_skus({"successList": [4711]}, ("4711", "4712")) == {"4712"}


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
