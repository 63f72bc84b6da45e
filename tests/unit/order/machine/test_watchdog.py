"""Orders that wait too long, and entities that are over.

Property: a step that lasts longer than its channel allows is raised at the next tick, once, and withdrawn when the
order moves; nothing else is ever raised; what is over leaves the state after its time, and not before.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from prometheus_client import REGISTRY

from sluice.demo_channels import demo_channels
from streams.order.machine.watchdog import time_ms
from streams.order.model.entities import AT_ONCE, decode_entity, due_of
from streams.order.model.limits import QUESTION_ASKS_MAX, QUESTION_LOST_MS
from streams.order.records.ticks import Until, tick_record
from streams.runtime.rejected import TOO_LARGE
from streams.runtime.role import Record
from tests.support.orders import (
    CHANNEL,
    CODE,
    START_MS,
    acknowledgement_body,
    cancel_body,
    create_body,
    handover_body,
    manifest_body,
    pack_body,
    sample,
    update_body,
)
from tests.support.orders_log import Logs, make_channels
from topics.configuration.channels import Channels
from topics.configuration.channels_file import parse_channels
from topics.configuration.errors import ConfigurationError
from topics.records.deliveries import OutcomeKind
from topics.records.envelope import RETURN_CLAIMED, iso_time
from topics.records.keys import manifest_key, order_key, partition_of, return_key

KEY = order_key(CHANNEL, CODE)
SLA = {"submit_s": 10, "acknowledge_s": 20, "pack_s": 30, "handover_s": 40, "dispatch_near_s": 0}
DAY_MS = 86_400_000
STUCK = ("order-stuck", "order-unstuck")


def make_logs(sla: dict[str, Any] | None = None, **channel: Any) -> Logs:
    return Logs(channels=make_channels(sla={**SLA, **(sla or {})}, **channel))


def create(logs: Logs, **changes: Any) -> None:
    logs.call("create-outward-order", create_body(**changes), "create")
    logs.run()


def answered(logs: Logs, kind: OutcomeKind = OutcomeKind.DELIVERED, **body: Any) -> None:
    logs.answer(logs.requests()[-1], kind, body=body or None)
    logs.run()


def submitted(logs: Logs, **changes: Any) -> None:
    create(logs, **changes)
    answered(logs)


def acknowledged(logs: Logs) -> None:
    submitted(logs)
    logs.call("acknowledgement", acknowledgement_body(), "acknowledged")
    logs.run()


def packed(logs: Logs, shipment: int = 1, **units: int) -> None:
    logs.call("pack-order", pack_body(shipment, CODE, **units), f"pack-{shipment}")
    logs.run()
    answered(logs, shipmentCode=f"S-{shipment}")


def raised(logs: Logs) -> list[tuple[str, str]]:
    """(fact, step) of everything that was raised or withdrawn, each fact once."""
    found = {}
    for effect in logs.effects:
        headers = dict(effect.headers)
        name = headers["ce_type"].decode().removeprefix("sluice.fact.") if effect.topic == "orders.events" else ""
        if name in STUCK:
            found[headers["ce_id"]] = (name.removeprefix("order-"), orjson.loads(effect.value)["step"])
    return list(found.values())


def state(logs: Logs) -> dict[str, Any]:
    found: dict[str, Any] = logs.states_by_key()[KEY]
    return found


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


def test_an_order_that_is_over_is_forgotten_after_its_time_and_its_last_fact_says_so() -> None:
    logs = make_logs({"forget_after_s": 3 * 86_400})
    create(logs)
    answered(logs, OutcomeKind.REFUSED)
    over_ms = logs.now_ms
    logs.tick(over_ms + 3 * DAY_MS - 1)
    assert set(logs.states_by_key()) == {KEY}
    sequence = state(logs)["factSequence"]
    (effect,) = logs.tick(over_ms + 3 * DAY_MS)
    assert logs.states_by_key() == {}
    assert dict(effect.headers)["ce_type"] == b"sluice.fact.order-forgotten"
    assert orjson.loads(effect.value)["sequence"] == sequence + 1
    create(logs)
    assert state(logs)["factSequence"] == 1, "a code that was forgotten is new"


def test_an_order_with_an_open_request_is_kept_longer_and_one_that_is_not_over_for_ever() -> None:
    logs = make_logs({**dict.fromkeys(SLA, 0), "forget_after_s": 3 * 86_400})
    submitted(logs)
    logs.tick(logs.now_ms + 1_000 * DAY_MS)
    logs.call("seller-cancellation", cancel_body(i1=2, i2=1), "gone")
    logs.run()
    logs.tick(logs.now_ms + 29 * DAY_MS)
    assert set(logs.states_by_key()) == {KEY}, "the seller's cancellation is not delivered yet"
    logs.tick(logs.now_ms + DAY_MS)
    assert logs.states_by_key() == {}


def test_manifests_are_forgotten_by_a_time_of_their_own() -> None:
    logs = make_logs({"forget_manifests_after_s": 3 * 86_400})
    logs.call("create-manifest", manifest_body(), "manifest")
    logs.run()
    answered(logs, OutcomeKind.REFUSED)
    key = manifest_key(CHANNEL, "7")
    assert key in logs.states_by_key()
    logs.tick(logs.now_ms + 3 * DAY_MS)
    assert key not in logs.states_by_key()


def test_what_is_parked_ends_at_a_tick_and_an_order_that_was_only_expected_with_it() -> None:
    logs = make_logs()
    logs.call("acknowledgement", acknowledgement_body(), "early")
    logs.run()
    assert state(logs)["state"] == "EXPECTED"
    logs.tick(logs.now_ms + DAY_MS)
    names = [dict(effect.headers)["ce_type"] for effect in logs.effects if effect.topic == "orders.events"]
    assert names == [b"sluice.fact.event-parked", b"sluice.fact.event-expired", b"sluice.fact.order-forgotten"]
    assert logs.states_by_key() == {}


def test_a_caller_that_waits_is_answered_at_its_deadline_by_a_tick() -> None:
    logs = make_logs()
    acknowledged(logs)
    logs.call("pack-order", pack_body(sku_1=1), "pack")
    logs.call("customer-cancellation", cancel_body(i2=1), "cancel")
    logs.run()
    assert state(logs)["waiting"]
    effects = logs.tick(logs.now_ms + 40_000)
    replies = [orjson.loads(effect.value) for effect in effects if effect.topic == "replies"]
    assert [(reply["event"], reply["verdict"]) for reply in replies] == [("cancel", "FAILED")]


def test_the_due_time_is_read_without_decoding() -> None:
    logs = make_logs()
    create(logs)
    table = logs.states[partition_of(KEY, len(logs.states))].all[0]
    raw = table.get(KEY)
    assert raw is not None
    assert due_of(raw) == decode_entity(raw).due_ms == logs.now_ms + 10_000
    assert due_of(b'{"kind":"order","channel":"demo"}') == AT_ONCE


def test_a_state_without_a_due_time_is_looked_at_once_and_then_when_it_is_due() -> None:
    logs = make_logs()
    create(logs)
    table = logs.states[partition_of(KEY, len(logs.states))].all[0]
    old = {name: value for name, value in state(logs).items() if name not in ("due", "waits")}
    table.set(KEY, orjson.dumps(old), 0)
    logs.restart()
    logs.tick(logs.now_ms + 5_000)
    assert state(logs)["waits"] == {"submit": logs.now_ms}
    logs.tick(logs.now_ms + 10_000)
    assert raised(logs) == [("stuck", "submit")]


def test_forgetting_sooner_than_delivery_forgets_a_lane_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="forget_after_s"):
        make_logs({"forget_after_s": 3_600})


def test_a_return_is_forgotten_once_it_is_over() -> None:
    logs = make_logs({**dict.fromkeys(SLA, 0), "forget_after_s": 3 * 86_400})
    body = sample("create-return-order")
    logs.call("create-return-order", body, "return")
    logs.run()
    logs.tick(logs.now_ms + 1_000 * DAY_MS)
    key = return_key(CHANNEL, body["returnOrderCode"])
    assert key in logs.states_by_key(), "not over"
    logs.answer(next(one for one in logs.requests() if one.touchpoint == "create-return-order"), OutcomeKind.REFUSED)
    logs.run()
    logs.tick(logs.now_ms + 3 * DAY_MS - 1)
    assert key in logs.states_by_key()
    logs.tick(logs.now_ms + 1)
    assert key not in logs.states_by_key()


def gauge(logs: Logs, step: str) -> float:
    labels = {"partition": str(partition_of(KEY, len(logs.states))), "step": step}
    return REGISTRY.get_sample_value("sluice_orders_stuck", labels) or 0.0


def test_a_return_whose_question_got_lost_is_asked_about_again_by_ticks() -> None:
    logs = make_logs()
    submitted(logs)
    body = {**sample("create-return-order"), "forwardOrderCode": CODE}
    key = return_key(CHANNEL, body["returnOrderCode"])
    table = logs.states[partition_of(KEY, len(logs.states))].all[0]
    good = table.get(KEY)
    assert good is not None
    table.set(KEY, b'{"due":0,"kind":"order"}', -1)  # as after a defect: nothing can be decided of it
    logs.call("create-return-order", body, "return")
    logs.run()
    claims = claimed(logs)
    logs.tick(logs.now_ms + QUESTION_LOST_MS - 5_000)
    assert (claimed(logs), logs.states_by_key()[key]["state"]) == (claims, "ASKED")
    table.set(KEY, good, -1)
    logs.tick(logs.now_ms + 5_000)
    assert claimed(logs) == claims + 1
    assert logs.states_by_key()[key]["state"] == "REFUSED", "nothing was shipped"
    logs.tick(logs.now_ms + DAY_MS)
    assert claimed(logs) == claims + 1


def test_a_return_that_gets_no_answer_is_asked_about_some_times_then_a_fact_says_so_and_a_repeat_asks_on() -> None:
    logs = make_logs()
    submitted(logs)
    body = {**sample("create-return-order"), "forwardOrderCode": CODE}
    table = logs.states[partition_of(KEY, len(logs.states))].all[0]
    table.set(KEY, b'{"due":0,"kind":"order"}', -1)
    logs.call("create-return-order", body, "return")
    logs.run()
    for asked in range(QUESTION_ASKS_MAX):
        logs.tick(logs.now_ms + (QUESTION_LOST_MS << asked))
        assert (claimed(logs), facts(logs).count("return-unanswered")) == (asked + 2, 0)
    for _ in range(3):
        logs.tick(logs.now_ms + DAY_MS)
        assert (claimed(logs), facts(logs).count("return-unanswered")) == (QUESTION_ASKS_MAX + 1, 1)
    (reply,) = [value for value in logs.values("replies") if value["event"] == "return"]
    assert reply["verdict"] == "FAILED"
    logs.call("create-return-order", body, "repeat")
    logs.run()
    logs.tick(logs.now_ms + QUESTION_LOST_MS)
    assert claimed(logs) == QUESTION_ASKS_MAX + 3


def claimed(logs: Logs) -> int:
    """How often a return asked its forward order."""
    return sum(dict(headers)["ce_type"] == RETURN_CLAIMED.encode() for log in logs.records for _, _, headers, _ in log)


def facts(logs: Logs) -> list[str]:
    return [
        dict(effect.headers)["ce_type"].decode().removeprefix("sluice.fact.")
        for effect in logs.effects
        if effect.topic == "orders.events"
    ]


def test_what_is_kept_of_a_channel_that_is_gone_ends_by_the_default_policy_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logs = make_logs({"forget_after_s": 3 * 86_400})
    create(logs)
    answered(logs, OutcomeKind.REFUSED)
    logs.call("acknowledgement", acknowledgement_body("EXPECTED"), "early")
    logs.run()
    logs.channels = without_channel()
    logs.restart()
    for _ in range(89):
        logs.tick(logs.now_ms + DAY_MS)
    assert set(logs.states_by_key()) == {KEY}, "what was parked is over"
    logs.tick(logs.now_ms + 2 * DAY_MS)
    assert logs.states_by_key() == {}
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "channel demo is not configured any more" in caplog.text


def test_nobody_is_told_of_a_channel_that_is_gone() -> None:
    logs = make_logs()
    acknowledged(logs)
    logs.call("pack-order", pack_body(sku_1=1), "pack")
    logs.call("customer-cancellation", cancel_body(i2=1), "cancel")
    logs.run()
    logs.channels = without_channel()
    logs.restart()
    assert {effect.topic for effect in logs.tick(logs.now_ms + DAY_MS)} == {"orders.events"}
    assert "waiting" not in state(logs)


def without_channel() -> Channels:
    data = demo_channels()
    data["channels"]["other"] = data["channels"].pop(CHANNEL)
    return parse_channels(data, where="test")


def test_the_gauge_does_not_count_what_was_set_aside() -> None:
    logs = make_logs()
    submitted(logs)
    home = partition_of(KEY, len(logs.states))
    logs.now_ms += 20_000
    effect = tick_record(home, Until(logs.now_ms), "large", logs.now_ms)
    state_ = logs.states[home]
    state_.offset = len(logs.records[home])
    record = Record(home, state_.offset, logs.now_ms, effect.key, effect.value, effect.headers)
    list(logs.role.decide(record, state_.tables))
    assert gauge(logs, "acknowledge") == 1
    state_.undo()
    logs.role.set_aside(record, TOO_LARGE, "too large")
    assert gauge(logs, "acknowledge") == 0
    logs.tick(logs.now_ms)
    assert gauge(logs, "acknowledge") == 1


def test_the_gauge_counts_what_is_stuck_over_a_restart() -> None:
    logs = make_logs()
    submitted(logs)
    logs.tick(logs.now_ms + 20_000)
    assert gauge(logs, "acknowledge") == 1
    logs.restart()
    assert gauge(logs, "acknowledge") == 1
    logs.call("acknowledgement", acknowledgement_body(), "moves")
    logs.run()
    assert gauge(logs, "acknowledge") == 0
