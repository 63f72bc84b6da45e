"""Whatever the tables of orders hold, a worker that takes over starts, ticks and decides every other order."""

from __future__ import annotations

from random import Random

import pytest

from streams.runtime.invariants import MODE_VARIABLE
from tests.support import orders_log
from tests.support.garble import SEEDS, garbled, garbled_key
from tests.support.orders import cancel_body, create_body, pack_body, update_body
from tests.support.orders_log import Logs
from topics.records.deliveries import OutcomeKind

CODES = [f"O-{number}" for number in range(8)]


@pytest.fixture(autouse=True)
def _as_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is garbled breaks invariants, which are counted there, and a count that is absurd stays so in facts."""
    monkeypatch.setenv(MODE_VARIABLE, "")
    monkeypatch.setattr(orders_log, "check_fact_records", lambda _effects: None)


def travel(logs: Logs, random: Random, code: str) -> None:
    """Some steps of an order."""
    logs.call("create-outward-order", create_body(code), f"{code}-create")
    logs.run()
    if random.random() < 0.7:
        for request in logs.requests():
            if request.subject == code:
                logs.answer(request, random.choice([OutcomeKind.DELIVERED, OutcomeKind.RETRYING, OutcomeKind.DEAD]))
    for touchpoint, body in (
        ("update-order-properties", update_body(hold=True, code=code)),
        ("pack-order", pack_body(code=code, sku_1=1)),
        ("customer-cancellation", cancel_body(code=code, i1=1)),
    ):
        if random.random() < 0.5:
            logs.call(touchpoint, body, f"{code}-{touchpoint}")
    logs.run()


@pytest.mark.parametrize("seed", SEEDS)
def test_every_other_order_is_decided_over_a_garbled_table(seed: int) -> None:
    random, logs = Random(seed), Logs()
    for code in CODES:
        travel(logs, random, code)
    for state in logs.states:
        for table in state.all:
            for key, value in [*table.values.items()]:
                if random.random() < 0.6:
                    table.set(garbled_key(key, random) if random.random() < 0.3 else key, garbled(value, random), -1)
    logs.rejected.clear()
    logs.restart()
    logs.tick(logs.now_ms + 60_000)
    for code in CODES:
        for touchpoint, body in (
            ("create-outward-order", create_body(code)),
            ("update-order-properties", update_body(hold=False, code=code)),
            ("pack-order", pack_body(2, code=code, sku_1=1)),
        ):
            logs.call(touchpoint, body, f"{code}-{touchpoint}-again")
            logs.run()
    for request in logs.requests():
        logs.answer(request, OutcomeKind.DELIVERED)
    logs.run()
    logs.tick(logs.now_ms + 10_000_000)
    logs.call("create-outward-order", create_body("FRESH"), "fresh")
    logs.run()
    assert "FRESH" in {request.subject for request in logs.requests()}
    assert {code for code, _ in logs.rejected} <= {"BAD_STATE"}
