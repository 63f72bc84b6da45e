"""Every pair of calls that may cross has a documented outcome, and the table in the docs is what the machine does."""

from __future__ import annotations

from itertools import product

import pytest

from streams.order.races import DOCUMENT, KINDS, MEANINGS, Kind, When, cross, document

PAIRS = [pytest.param(first, second, id=f"{first.name}, {second.name}") for first, second in product(KINDS, KINDS)]
BY_NAME = {kind.name: kind for kind in KINDS}


def test_the_table_is_not_stale() -> None:
    """Make it anew with: python -m streams.order.races."""
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
