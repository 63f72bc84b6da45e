"""What a channel is offered is never negative, never above quantity or cap, and does not fall when stock rises."""

from __future__ import annotations

from fnmatch import fnmatchcase
from math import floor
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from topics.configuration.stock import Buffer, Cap, Rule, Share, StockSettings
from topics.stock.offers import QUANTITIES, Offer
from topics.stock.positions import decode_position, encode_position

LOCATIONS = ("L1", "L2", "~ALL")
SKUS = ("A", "AB", "B", "A*")
patterns = st.sampled_from(("*", "A", "A*", "?B", "[AB]", "L*", "L1", "~*"))
places = st.fixed_dictionaries({"location": patterns, "sku": patterns})
units = st.integers(0, 50)


@st.composite
def settings_of(draw: st.DrawFn) -> StockSettings:
    def rules(number: st.SearchStrategy[object], name: str) -> list[dict[str, object]]:
        return [{**draw(places), name: draw(number)} for _ in range(draw(st.integers(0, 4)))]

    shares = st.decimals(0, 1, places=4)
    return StockSettings.model_validate(
        {"buffers": rules(units, "units"), "shares": rules(shares, "share"), "caps": rules(units, "units")}
    )


def first(rules: tuple[Rule, ...], location: str, sku: str) -> Rule | None:
    """The rule that counts, by the words of the document."""
    matching = (rule for rule in rules if fnmatchcase(location, rule.location) and fnmatchcase(sku, rule.sku))
    return next(matching, None)


@given(settings_of(), st.sampled_from(LOCATIONS), st.sampled_from(SKUS), st.integers(0, 1_000), st.integers(0, 1_000))
def test_an_offer_is_within_its_bounds_and_as_the_rules_say(
    stock: StockSettings, location: str, sku: str, less: int, more: int
) -> None:
    less, more = sorted((less, more))
    offer = Offer(stock, location)
    offered = offer.quantity(sku, less)
    share, buffer, cap = (first(rules, location, sku) for rules in (stock.shares, stock.buffers, stock.caps))
    expected = floor(less * share.share) if isinstance(share, Share) else less
    expected = max(0, expected - (buffer.units if isinstance(buffer, Buffer) else 0))
    assert offered == (min(expected, cap.units) if isinstance(cap, Cap) else expected)
    assert 0 <= offered <= less
    assert offered <= offer.quantity(sku, more)


def quantities_of(item: dict[str, Any]) -> dict[str, Any]:
    return {name: item[name] for name in QUANTITIES if name in item}


@given(settings_of(), st.sampled_from(LOCATIONS), st.sampled_from(SKUS), st.integers(0, 1_000))
def test_a_position_keeps_all_but_its_quantities(stock: StockSettings, location: str, sku: str, quantity: int) -> None:
    offer = Offer(stock, location)
    item: dict[str, Any] = {"channelSkuCode": sku, "quantity": quantity, "minExpiry": "2027-01-01"}
    if location == "~ALL":
        item |= {"consolidatedQuantity": quantity + 7, "listingId": 3}
    told = decode_position(offer.position(encode_position(item)))
    assert told["quantity"] == offer.quantity(sku, quantity)
    assert {**told, **quantities_of(item)} == item


def test_a_pattern_counts_behind_any_number_of_rules_that_name_one_code() -> None:
    places = [{"location": location, "sku": "A", "units": 1} for location in ("L1", "L*", "*")]
    offer = Offer(StockSettings.model_validate({"buffers": [*places, {"sku": "B*", "units": 7}]}), "L1")
    assert offer.quantity("B", 10) == 3


def test_without_rules_a_position_is_offered_as_it_is() -> None:
    offer = Offer(StockSettings(), "L1")
    position = encode_position({"channelSkuCode": "A", "quantity": 3})
    assert offer.is_identity
    assert offer.position(position) is position


def test_shares_are_exact() -> None:
    """0.29 of 100 is 29, which floating point does not know."""
    offer = Offer(StockSettings.model_validate({"shares": [{"share": 0.29}]}), "L1")
    assert offer.quantity("A", 100) == 29
