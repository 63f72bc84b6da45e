"""Entities that are over leave the state after their time, and not before; questions that got lost are asked again."""

from __future__ import annotations

import orjson
import pytest
from prometheus_client import REGISTRY

from sluice.demo_channels import demo_channels
from streams.order.model.limits import QUESTION_ASKS_MAX, QUESTION_LOST_MS
from streams.order.records.ticks import Until, tick_record
from streams.order.storage.changes import read
from streams.order.storage.encoding import encode_entity
from streams.order.storage.glance import AT_ONCE, due_of
from streams.runtime.rejected import TOO_LARGE
from streams.runtime.role import Record
from tests.support.orders import (
    CHANNEL,
    CODE,
    acknowledgement_body,
    cancel_body,
    manifest_body,
    pack_body,
    sample,
)
from tests.support.orders_log import Logs
from tests.unit.order.machine.watched import (
    DAY_MS,
    KEY,
    SLA,
    acknowledged,
    answered,
    create,
    make_logs,
    raised,
    state,
    submitted,
)
from topics.configuration.channels import Channels
from topics.configuration.channels_file import parse_channels
from topics.configuration.errors import ConfigurationError
from topics.records.deliveries import OutcomeKind
from topics.records.envelope import RETURN_CLAIMED
from topics.records.keys import manifest_key, partition_of, return_key


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
    assert due_of(raw) == read(raw).due_ms == logs.now_ms + 10_000
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
    value = table.get(KEY)
    assert value is not None
    good = encode_entity(read(value))
    table.set(KEY, None, -1)
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
