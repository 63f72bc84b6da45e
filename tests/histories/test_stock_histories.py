"""Whatever comes twice, late or amid a snapshot, whatever fails and whoever dies: each channel ends with what is true,
and no position goes back on the wire. `make histories` plays 200 of 20,000 updates; these are a share of it."""

from __future__ import annotations

import pytest

from tests.histories.world import history, went_back

UPDATES = 4_000


@pytest.mark.parametrize("seed", [1001, 1002, 1003, 1004])
async def test_a_history_ends_with_what_is_true_at_the_channel(seed: int) -> None:
    figures, findings = await history(seed, UPDATES)
    assert not findings
    assert figures.lulls
    assert figures.deaths["inventory"]
    assert any(who.startswith("sender") for who in figures.deaths)


def test_a_position_that_goes_back_is_found() -> None:
    first, second, third = ({"channelSkuCode": "S", "quantity": quantity} for quantity in (1, 0, 2))
    ever = [first, second, third, second]
    assert went_back([first, first, third], ever) is None
    assert went_back([second, third, second], ever) is None
    assert went_back([third, first], ever) == first
    assert went_back([second, third, second, third], ever) == third
