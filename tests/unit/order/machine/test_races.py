"""Every pair of calls that may cross has a documented outcome, and the table in the docs is what the machine does."""

from __future__ import annotations

from itertools import product

import pytest

from streams.order.machine.races import DOCUMENT, KINDS, MEANINGS, Kind, When, cross, cross_refusal, document, ready
from topics.records.verdicts import Verdict

PAIRS = [pytest.param(first, second, id=f"{first.name}, {second.name}") for first, second in product(KINDS, KINDS)]
BY_NAME = {kind.name: kind for kind in KINDS}


def test_the_table_is_not_stale() -> None:
    """Make it anew with: python -m streams.order.machine.races."""
    assert DOCUMENT.read_text(encoding="utf-8") == document()


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_every_pair_has_a_documented_outcome_and_every_refusal_a_reason(first: Kind, second: Kind, when: When) -> None:
    result = cross(first, second, when)
    assert result.outcome in MEANINGS
    if any(word in result.outcome for word in ("refused", "later")):
        assert result.reason


def test_every_documented_outcome_happens() -> None:
    found = {cross(first, second, when).outcome for first, second in product(KINDS, KINDS) for when in When}
    assert found == set(MEANINGS)


@pytest.mark.parametrize(
    ("first", "second", "when", "outcome", "unit"),
    [
        ("pack", "customer cancel", When.OUT, "waits, refused", "packed"),
        ("pack", "customer cancel", When.REFUSED, "waits, taken", "cancelled"),
        ("customer cancel", "pack", When.OUT, "later", "cancelled"),
        ("customer cancel", "pack", When.AFTER, "refused", "cancelled"),
        ("seller cancel", "pack", When.OUT, "refused", "cancelled"),
        ("customer cancel", "customer cancel", When.OUT, "joins", "cancelled"),
    ],
)
def test_what_wants_the_same_unit(first: str, second: str, when: When, outcome: str, unit: str) -> None:
    result = cross(BY_NAME[first], BY_NAME[second], when)
    assert (result.outcome, result.unit) == (outcome, unit)


@pytest.mark.parametrize("when", When)
def test_a_property_update_after_a_release_does_not_hold_again(when: When) -> None:
    assert "order-held" not in cross(BY_NAME["release"], BY_NAME["property update"], when).facts


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("touchpoint", ["customer-cancellation", "seller-cancellation"])
@pytest.mark.parametrize("name", ["invoice", "label", "handover"])
def test_the_unit_of_a_shipment_is_not_cancelled(name: str, touchpoint: str, answered: bool) -> None:
    """What the introduction says of the units of invoice, label and handover."""
    race, kind = ready(packed=True, held=False), BY_NAME[name]
    race.call(kind.touchpoint, kind.body(False), "first")
    if answered:
        race.answer_all()
    items = [{"channelSkuCode": "SKU-2", "orderItemCode": "I2", "cancelledQuantity": 1}]
    race.call(touchpoint, {"orderCode": "ORDER", "locationCode": "WH-1", "orderItems": items}, "second")
    race.answer_all()
    verdict, reason = race.replies["second"]
    assert (verdict, bool(reason)) == (Verdict.REFUSED, True)
    assert race.order is not None
    assert [(line.cancelled, line.packed) for line in race.order.lines] == [(0, 0), (0, 1)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_refusal_of_the_create_and_a_proof_end_alike_in_either_order(kind: Kind) -> None:
    before, behind = (cross_refusal(kind, behind=behind).order for behind in (False, True))
    assert before is not None
    assert behind is not None
    assert behind.state == before.state or kind.name in ("customer cancel", "invoice", "label")
