"""The contract's slips are read as what they mean, and a body without slips is left as it is."""

from __future__ import annotations

from typing import Any

import pytest

from topics.contract.sample_files import names, sample
from topics.schema_base import canonical

BOX = [{"boxId": 1}]


def _manifest(**item: Any) -> dict[str, Any]:
    return {"manifestItems": [{"orderCode": "A"}, item]}


def _handover(**item: Any) -> dict[str, Any]:
    return {"handoverItems": [{"orderCode": "A"}, item]}


SLIPS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("create-manifest", _manifest(packBoxDetailsList=BOX), _manifest(packboxDetailsList=BOX)),
    ("handover-notification", _handover(shipmenCode="S"), _handover(shipmentCode="S")),
    ("handover-notification", _handover(packboxDetailsList=BOX), _handover(packBoxDetailsList=BOX)),
    ("handover-notification", _handover(shipmenCode="S", shipmentCode="T"), _handover(shipmentCode="T")),
    (
        "cancel-return-order-items",
        {"returnLineItems": [{"channelReturnItemCode": "R", "channelSkuCode": "A"}]},
        {"returnOrderItems": [{"returnOrderItemCode": "R", "channelSkuCode": "A"}]},
    ),
    (
        "cancel-return-order-items",
        {"returnOrderItems": [{"channelReturnItemCode": "R"}], "returnLineItems": []},
        {"returnOrderItems": [{"returnOrderItemCode": "R"}]},
    ),
    ("search-inventory-marketplace", {"sucessList": [], "failureList": []}, {"successList": [], "failureList": []}),
]


@pytest.mark.parametrize(("name", "slip", "meant"), SLIPS)
def test_a_slip_is_read_as_what_it_means(name: str, slip: dict[str, Any], meant: dict[str, Any]) -> None:
    before = repr(slip)
    assert canonical(name, slip) == meant
    assert repr(slip) == before


@pytest.mark.parametrize("name", names())
def test_what_has_no_slip_is_left_as_it_is(name: str) -> None:
    members = sample(name).members
    assert canonical(name, members) is members


@pytest.mark.parametrize("items", [None, "text", 5, {}, [None, 5, "text"]])
def test_what_is_no_list_of_objects_is_left_to_the_model(items: Any) -> None:
    assert canonical("handover-notification", {"handoverItems": items}) == {"handoverItems": items}
