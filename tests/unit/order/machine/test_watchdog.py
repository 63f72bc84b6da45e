"""Orders that wait too long.

Property: a step that lasts longer than its channel allows is raised at the next tick, once, and withdrawn when the
order moves; nothing else is ever raised.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streams.order.machine.watchdog import time_ms
from tests.support.orders import (
    START_MS,
    acknowledgement_body,
    cancel_body,
    handover_body,
    update_body,
)
from tests.unit.order.machine.watched import (
    DAY_MS,
    SLA,
    acknowledged,
    answered,
    create,
    make_logs,
    packed,
    raised,
    state,
    submitted,
)
from topics.records.deliveries import OutcomeKind
from topics.records.envelope import iso_time


@pytest.mark.parametrize(
    ("until", "step", "limit_s"),
    [(create, "submit", 10), (submitted, "acknowledge", 20), (acknowledged, "pack", 30)],
)
def test_a_step_that_takes_too_long_is_raised_once_and_not_before(until: Any, step: str, limit_s: int) -> None:
    logs = make_logs()
    until(logs)
    since_ms = logs.now_ms
    logs.tick(since_ms + limit_s * 1000 - 1)
    assert raised(logs) == []
    effects = logs.tick(since_ms + limit_s * 1000)
    assert raised(logs) == [("stuck", step)]
    fact = orjson.loads(effects[-1].value)
    assert (fact["sinceMs"], fact["limitMs"], fact["atMs"]) == (since_ms, limit_s * 1000, logs.now_ms)
    assert state(logs)["stuck"] == {step: since_ms}
    logs.tick(since_ms + 10 * DAY_MS)
    assert raised(logs) == [("stuck", step)]


def test_it_is_withdrawn_when_the_order_moves_and_the_next_step_has_its_own_time() -> None:
    logs = make_logs()
    submitted(logs)
    logs.tick(logs.now_ms + 20_000)
    logs.call("acknowledgement", acknowledgement_body(), "late")
    logs.run()
    assert raised(logs) == [("stuck", "acknowledge"), ("unstuck", "acknowledge")]
    assert "stuck" not in state(logs)
    logs.tick(logs.now_ms + 29_000)
    packed(logs, sku_1=2, sku_2=1)
    logs.tick(logs.now_ms + 39_000)
    assert len(raised(logs)) == 2
    logs.tick(logs.now_ms + 1_000)
    logs.call("handover-notification", handover_body(), "gone")
    logs.run()
    assert raised(logs)[2:] == [("stuck", "hand-over"), ("unstuck", "hand-over")]
    logs.tick(logs.now_ms + 80 * DAY_MS)
    assert len(raised(logs)) == 4


def test_a_pack_that_leaves_units_open_is_a_move_and_begins_the_wait_for_the_rest() -> None:
    logs = make_logs()
    acknowledged(logs)
    logs.tick(logs.now_ms + 30_000)
    packed(logs, sku_1=2)
    assert raised(logs) == [("stuck", "pack"), ("unstuck", "pack")]
    since_ms = state(logs)["waits"]["pack"]
    logs.tick(since_ms + 30_000)
    assert raised(logs)[2:] == [("stuck", "pack")]
    logs.call("seller-cancellation", cancel_body(i2=1), "rest")
    logs.run()
    assert raised(logs)[3:] == [("unstuck", "pack")]


def test_each_shipment_waits_for_its_own_handover() -> None:
    logs = make_logs({"pack_s": 0})
    acknowledged(logs)
    packed(logs, 1, sku_1=2)
    first_ms = logs.now_ms
    logs.now_ms += 30_000
    packed(logs, 2, sku_2=1)
    effects = logs.tick(first_ms + 40_000)
    assert [orjson.loads(effect.value)["shipmentId"] for effect in effects] == [1]
    logs.call("handover-notification", handover_body("S-1"), "first")
    logs.run()
    effects = logs.tick(logs.now_ms + 40_000)
    assert [orjson.loads(effect.value)["shipmentCode"] for effect in effects] == ["S-2"]
    assert raised(logs) == [("stuck", "hand-over"), ("unstuck", "hand-over"), ("stuck", "hand-over")]


def test_an_order_that_was_met_midway_waits_for_nothing_that_may_have_been_before() -> None:
    logs = make_logs(unknown_orders="adopt")
    logs.call("seller-cancellation", cancel_body(i1=1), "cancel")
    logs.run()
    logs.tick(logs.now_ms + 10 * DAY_MS)
    assert raised(logs) == []
    packed(logs, sku_2=1)
    logs.tick(logs.now_ms + 10 * DAY_MS)
    assert raised(logs) == [("stuck", "hand-over")]


def test_a_held_order_waits_for_nobody_and_its_time_begins_with_the_release() -> None:
    logs = make_logs()
    submitted(logs, onHold=True)
    logs.tick(logs.now_ms + DAY_MS)
    logs.call("update-order-properties", update_body(hold=False), "release")
    logs.run()
    logs.tick(logs.now_ms + 19_000)
    assert raised(logs) == []
    logs.tick(logs.now_ms + 1_000)
    assert raised(logs) == [("stuck", "acknowledge")]
    logs.call("update-order-properties", update_body(hold=True), "hold")
    logs.run()
    assert raised(logs)[1:] == [("unstuck", "acknowledge")]


@pytest.mark.parametrize("kind", [OutcomeKind.REFUSED, OutcomeKind.DELIVERED])
def test_an_answer_to_the_create_withdraws_submit(kind: OutcomeKind) -> None:
    logs = make_logs()
    create(logs)
    logs.tick(logs.now_ms + 10_000)
    answered(logs, kind)
    assert raised(logs) == [("stuck", "submit"), ("unstuck", "submit")]


def test_a_cancelled_order_withdraws_all_it_raised() -> None:
    logs = make_logs({"dispatch_near_s": 60})
    acknowledged(logs)
    logs.tick(logs.now_ms + DAY_MS)
    logs.call("seller-cancellation", cancel_body(i1=2, i2=1), "gone")
    logs.run()
    assert sorted(raised(logs)) == [
        ("stuck", "dispatch"),
        ("stuck", "pack"),
        ("unstuck", "dispatch"),
        ("unstuck", "pack"),
    ]


def test_zero_switches_a_step_off_and_a_channel_without_handover_waits_for_none() -> None:
    logs = make_logs(dict.fromkeys(SLA, 0))
    acknowledged(logs)
    logs.tick(logs.now_ms + 80 * DAY_MS)
    assert raised(logs) == []
    logs = make_logs({"dispatch_near_s": 60}, off=["handover-notification"])
    acknowledged(logs)
    packed(logs, sku_1=2, sku_2=1)
    logs.tick(logs.now_ms + 80 * DAY_MS)
    assert raised(logs) == []
    logs.tick(logs.now_ms + 10 * DAY_MS)
    assert logs.states_by_key() == {}, "packed is as far as such an order goes"


@pytest.mark.parametrize(
    "text",
    [
        "2025-06-15T15:06:40Z",
        "2025-06-15T15:06:40.000Z[UTC]",
        "2025-06-15T19:06:40+04:00[Asia/Dubai]",
        "2025-06-15T20:36:40.000+05:30[Asia/Kolkata]",
        "2025-06-15T15:06:40.000+00:00",
        "2025-06-15T19:06:40.000+04:00",
        "2025-06-15T15:06:40",
    ],
)
def test_the_time_of_dispatch_is_understood_in_every_spelling_of_the_contract(text: str) -> None:
    assert time_ms(text) == START_MS


def test_what_is_no_time_is_none() -> None:
    assert (time_ms(""), time_ms("soon")) == (0, 0)


def test_dispatch_is_near_and_the_order_is_still_here() -> None:
    by_ms = START_MS + 100_000
    logs = make_logs({**dict.fromkeys(SLA, 0), "dispatch_near_s": 30})
    submitted(logs, dispatchByTime=iso_time(by_ms))
    logs.tick(by_ms - 30_001)
    assert raised(logs) == []
    (effect,) = logs.tick(by_ms - 30_000)
    assert orjson.loads(effect.value)["dispatchByTime"] == iso_time(by_ms)
    later = update_body(hold=False, dispatchByTime=iso_time(by_ms + 60_000))
    logs.call("update-order-properties", later, "later")
    logs.run()
    assert raised(logs) == [("stuck", "dispatch"), ("unstuck", "dispatch")]
    logs.tick(by_ms + 30_000)
    assert raised(logs)[2:] == [("stuck", "dispatch")]


def test_an_order_that_comes_after_its_dispatch_is_stuck_since_it_came_and_not_before() -> None:
    logs = make_logs({**dict.fromkeys(SLA, 0), "dispatch_near_s": 30})
    submitted(logs, dispatchByTime=iso_time(START_MS - 100_000))
    (effect,) = logs.tick(START_MS + 1_000)
    assert orjson.loads(effect.value)["sinceMs"] >= START_MS


def test_an_order_that_comes_shortly_before_its_dispatch_is_not_raised_at_once() -> None:
    logs = make_logs({**dict.fromkeys(SLA, 0), "dispatch_near_s": 7_200})
    create(logs, dispatchByTime=iso_time(START_MS + 600_000))
    logs.tick(START_MS + 299_000)
    assert raised(logs) == []
    logs.tick(START_MS + 301_000)
    assert raised(logs) == [("stuck", "dispatch")]
