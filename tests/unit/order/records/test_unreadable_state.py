"""A state that this version cannot read: the role starts, names it, sets commands for that order aside, and never takes
it for a new order; an answer that it cannot read counts as none."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streams.order.records.answer_table import AnswerTable, stored_answer
from streams.order.storage.glance import due_of
from streams.runtime.tables.partition_table import PartitionState
from tests.support.orders import CHANNEL, create_body
from tests.support.orders_log import PARTITIONS, Logs, parts_of
from topics.records.keys import order_key, partition_of
from topics.records.unreadable import UNREADABLE

STATE = "orders.state"
KEY = order_key(CHANNEL, create_body()["orderCode"])
HOME = partition_of(KEY, PARTITIONS)
VALUES = (
    b"1", b"null", b"[]", b"{}", b"", b"{", b"\xff\xfe", b'{"kind":"order","due":', b'{"kind":"order","due":x,"a":1}',
    b'{"kind":"order","due":-5,"stuck":1}', b'{"kind":"order","due":99999999999999999999999,"stuck":{}}',
    b'{"kind":"of a newer version","due":0}', b'{"kind":"order","due":0,"stuck":{"x":1},"channel":7}', b"[" * 3_000,
)  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
def test_the_role_starts_ticks_and_decides_all_but_that_order(value: bytes) -> None:
    logs = Logs()
    table = logs.states[HOME].by_name(STATE)
    table.set(KEY, value, -1)
    table.set(b"\xff\xfe", value, -1)
    logs.restart()
    logs.tick(logs.now_ms + 60_000)
    other = {**create_body(), "orderCode": "ANOTHER"}
    logs.call("create-outward-order", create_body(), "held")
    logs.call("create-outward-order", other, "good")
    logs.run()
    logs.tick(logs.now_ms + 60_000)
    assert [code for code, _ in logs.rejected] == ["BAD_STATE"]
    assert parts_of(table, KEY) == [value], "it stays as it is"
    assert order_key(CHANNEL, "ANOTHER") in {key for state in logs.states for key, _ in state.all[0].items()}
    assert UNREADABLE.counted(STATE) >= 1
    (warning,) = UNREADABLE.warnings()
    assert warning.startswith("orders.state: ")


def test_as_many_garbage_keys_as_there_may_be_ticks_do_not_go_on_for_ever() -> None:
    logs = Logs()
    table = logs.states[HOME].by_name(STATE)
    for number in range(5_000):
        table.set(b"\xff" + number.to_bytes(2, "big"), b"x", -1)
    logs.restart()
    logs.tick(logs.now_ms + 60_000)
    assert logs.ticks < 100


@pytest.mark.parametrize("value", VALUES)
def test_a_due_time_is_found_in_whatever_there_is(value: bytes) -> None:
    assert due_of(value) >= 0


ANSWERS: tuple[Any, ...] = (
    b"1", b"{}", b"[]", b"", b"\xff", b'{"atMs":"x","status":200,"body":1}', b'{"atMs":1,"status":"200","body":1}',
    b'{"atMs":1,"status":200}', b'{"atMs":1e300,"status":200,"body":{}}',
)  # fmt: skip


def test_answers_that_cannot_be_read_count_as_none_and_are_left_alone() -> None:
    state = PartitionState(0, (STATE, "relay.answers"))
    table = state.tables["relay.answers"]
    for number, value in enumerate(ANSWERS):
        table.put(b"bad %d" % number, value)
    table.put(b"good", orjson.dumps({"atMs": 1, "status": 200, "body": {"a": 1}, "ofANewerVersion": 1}))
    answers = AnswerTable(table, 0, 2, 10_000)
    assert [stored_answer(table, b"bad %d" % number) for number in range(len(ANSWERS))] == [None] * len(ANSWERS)
    assert stored_answer(table, b"good") == (200, {"a": 1})
    for number in range(3):
        answers.store_answer(table, b"new %d" % number, 200, {}, number + 10)
    kept = {key for key, _ in table.items()}
    assert {b"new 1", b"new 2"} < kept
    assert b"good" not in kept
    assert {b"bad %d" % number for number in range(len(ANSWERS))} < kept
    assert UNREADABLE.counted("relay.answers") == len(ANSWERS)
