"""An order of many shipments: no event makes hundreds of alarms, and none is lost or told twice."""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson

from streams.order.model.limits import ALARMS_AT_ONCE
from tests.support.orders import create_body, pack_body, update_body
from tests.unit.order.machine.watched import make_logs, raised, state

SHIPMENTS = 2 * ALARMS_AT_ONCE + 5


def packed_logs() -> Any:
    """An order with as many packed shipments, each of a unit of the first line."""
    logs = make_logs({"pack_s": 0})
    body = create_body(quantities=(SHIPMENTS, 1))
    logs.call("create-outward-order", body, "create")
    logs.run()
    for number in range(1, SHIPMENTS + 1):
        logs.call("pack-order", pack_body(number, body["orderCode"], sku_1=1), f"pack-{number}")
        logs.run()
        logs.answer(logs.requests()[-1], body={"shipmentCode": f"S-{number}"})
        logs.run()
    return logs


def shipments_told(effects: list[Any], name: str) -> list[list[int]]:
    """The shipments of the facts of each decision, in the order of decisions."""
    found: dict[int, list[int]] = {}
    for effect in effects:
        if effect.topic == "orders.events" and dict(effect.headers)["ce_type"].decode().endswith(name):
            fact = orjson.loads(effect.value)
            found.setdefault(int(fact["atMs"]), []).append(fact["shipmentId"])
    return list(found.values())


def test_a_tick_raises_a_few_alarms_and_the_next_goes_on() -> None:
    logs = packed_logs()
    logs.now_ms += 40_000
    told: list[list[int]] = []
    while effects := logs.tick(logs.now_ms + 1):
        told += shipments_told(effects, "order-stuck")
    assert [len(each) for each in told] == [ALARMS_AT_ONCE, ALARMS_AT_ONCE, 5]
    assert [number for each in told for number in each] == list(range(1, SHIPMENTS + 1))
    assert len(state(logs)["stuck"]) == SHIPMENTS


def test_an_order_that_is_over_withdraws_a_few_alarms_and_ticks_go_on() -> None:
    logs = packed_logs()
    logs.now_ms += 40_000
    while logs.tick(logs.now_ms + 1):
        pass
    delivered = update_body(hold=False, orderStatus="DELIVERED", deliveredAt="2025-06-17")
    logs.call("update-order-properties", delivered, "delivered")
    told = shipments_told(logs.run(), "order-unstuck")
    while effects := logs.tick(logs.now_ms + 1):
        told += shipments_told(effects, "order-unstuck")
    assert [len(each) for each in told] == [ALARMS_AT_ONCE, ALARMS_AT_ONCE, 5]
    assert "stuck" not in state(logs)
    assert Counter(raised(logs)) == {("stuck", "hand-over"): SHIPMENTS, ("unstuck", "hand-over"): SHIPMENTS}
