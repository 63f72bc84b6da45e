"""A channel's stock settings: what cannot be used is refused by name, and a location says what differs there."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.demo_channels import demo_channels
from topics.configuration.channels_file import parse_channels
from topics.configuration.errors import ConfigurationError
from topics.configuration.stock import StockSettings

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a misspelt key": ({"batch": 10}, "stock.batch: is not a setting; known here: batch_max, batch_more_because,"),
    "more SKUs than the contract": (
        {"batch_max": 500},
        "stock: batch_max 500 is more than the 200 SKUs of the contract",
    ),
    "more SKUs than any marketplace": (
        {"batch_max": 2_000, "batch_more_because": "it says so"},
        "stock.batch_max: must be at most 1000, not",
    ),
    "a call of nothing": ({"batch_max": 0}, "stock.batch_max: must be at least 1, not 0"),
    "a time that is none": ({"resync_daily_at": "3:30"}, "stock.resync_daily_at: expected HH:MM of UTC, as 03:30"),
    "a share above one": (
        {"shares": [{"share": 1.5}]},
        "stock.shares.0.share: must be at most 1, not",
    ),
    "a share too fine": ({"shares": [{"share": 0.12345}]}, "stock.shares.0.share: Decimal input should have no more"),
    "a rule without its number": ({"caps": [{"sku": "A*"}]}, "stock.caps.0.units: is missing: never more than so many"),
    "a misspelt key of a rule": (
        {"buffers": [{"units": 1, "skus": "A"}]},
        "stock.buffers.0.skus: is not a setting; known here: location, sku, units",
    ),
    "a path that is none": (
        {"read_back": {"path": "stock"}},
        "stock.read_back.path: expected a path that begins with /",
    ),
    "a misspelt key of a location": (
        {"locations": {"L1": {"gather": 1}}},
        "stock.locations.L1.gather: is not a setting; known here: batch_max, batch_more_because, gather_ms,",
    ),
    "a location's batch": (
        {"locations": {"L1": {"batch_max": 201}}},
        "stock.locations.L1: batch_max 201 is more than the 200 SKUs of the contract",
    ),
    "a location's limit": (
        {"locations": {"L1": {"budget": {"shape": "quota", "requests": 1}}}},
        "stock.locations.L1.budget.per: is missing: ... in each hour or day",
    ),
    "an unknown shape": ({"budget": {"shape": "funnel"}}, "stock.budget: expected a table whose shape is one of"),
}


def parsed(stock: dict[str, Any], shards: int = 1) -> StockSettings:
    data = demo_channels()
    data["channels"]["demo"]["stock"] = stock
    data["channels"]["demo"]["marketplace"]["shards"] = shards
    return parse_channels(data, where="channels.toml").channels["demo"].stock


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_with_its_key(case: str) -> None:
    stock, told = REFUSED[case]
    with pytest.raises(ConfigurationError) as refused:
        parsed(stock)
    assert f"channels.toml: channels.demo.{told}" in str(refused.value)


def test_a_budget_is_shared_by_the_shards_of_the_marketplace() -> None:
    with pytest.raises(ConfigurationError, match=r"stock\.budget: requests 2 cannot be shared by 3 shards"):
        parsed({"budget": {"requests": 2, "window_s": 1}}, shards=3)


def test_a_location_has_what_it_says_and_the_rest_from_its_channel() -> None:
    stock = parsed(
        {
            "batch_max": 1_000,
            "batch_more_because": "its stock call takes 1,000",
            "gather_ms": 10,
            "budget": [{"requests": 60, "window_s": 60}],
            "locations": {"L1": {"gather_ms": 0, "concurrency": 4, "budget": {"requests": 1, "window_s": 1}}},
        }
    )
    one, other = stock.pace("L1"), stock.pace("L2")
    assert (one.batch_max, one.gather_ms, one.concurrency) == (1_000, 0, 4)
    assert (other.batch_max, other.gather_ms, other.concurrency) == (1_000, 10, 2)
    assert [limit.name for limit in one.limits] == ["window/1s"]
    assert other.limits == ()
    assert [limit.name for limit in stock.limits] == ["window/60s"], "the channel's holds beside a location's"
