"""Demo traffic is by the contract, and no code comes twice, not even after a restart."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime, timedelta

from sluice.dev.demo import make_order, make_return, order_codes, release
from topics.contract.models.orders import CreateOutwardOrder, UpdateOrderProperties
from topics.contract.models.returns import CreateReturnOrder


def test_demo_calls_are_by_the_contract() -> None:
    for seed in range(50):
        chance = random.Random(seed)
        order = make_order(f"DEMO-{seed}", chance, on_hold=seed % 2 == 0)
        CreateOutwardOrder.model_validate(order)
        UpdateOrderProperties.model_validate({"orderCode": order["orderCode"], **release(order)})
        for item in order["orderItems"]:
            CreateReturnOrder.model_validate(make_return("R", order, item))


def test_codes_differ_over_restarts() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    starts = (start, start + timedelta(seconds=1))
    codes = [code for moment in starts for code in itertools.islice(order_codes(moment), 100)]
    assert len(set(codes)) == 200
