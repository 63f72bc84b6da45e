"""Records that cannot be read are counted by topic, named in the log, and warned of until they are gone."""

from __future__ import annotations

import logging

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from gateway.http.metrics import Metrics as GatewayMetrics
from streams.runtime.metrics import Metrics as RoleMetrics
from topics.records import unreadable
from topics.records.unreadable import UNREADABLE, UnreadableRecords, reason_of
from topics.stock.controls import Control


class Minute:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_each_record_counts_and_a_minute_has_few_lines_a_topic(caplog: pytest.LogCaptureFixture) -> None:
    clock = Minute()
    records = UnreadableRecords(clock)
    with caplog.at_level(logging.WARNING):
        for offset in range(unreadable.LINES_MAX + 4):
            records.note("subscriptions", b"sub_\xff", ValueError("no JSON"), partition=0, offset=offset)
        records.note("orders.state", b"demo|O-1", "no state")
        clock.now_s += unreadable.LOG_EVERY_S
        records.note("subscriptions", b"b", "why not", partition=3, offset=9)
    assert (records.counted("subscriptions"), records.counted("orders.state")) == (unreadable.LINES_MAX + 5, 1)
    first, *more, other, later = (record.getMessage() for record in caplog.records)
    assert len(more) == unreadable.LINES_MAX - 1
    assert "topic=subscriptions partition 0 offset 0 key=sub_\\xff: ValueError: no JSON" in first
    assert "topic=orders.state" in other
    assert later.endswith("partition 3 offset 9 key=b: why not (4 more since the last line)")


def test_a_value_of_a_table_counts_once_however_often_it_is_met() -> None:
    records = UnreadableRecords()
    for _ in range(3):
        records.note("orders.state", b"demo|O-1", "no state", partition=1)
    assert records.counted("orders.state") == 1


def test_a_warning_names_the_place_and_no_key_and_ends_with_the_key() -> None:
    records = UnreadableRecords()
    records.note("orders.state", b"demo|secret-order", "no state", partition=2, offset=7)
    (warning,) = records.warnings()
    assert warning.startswith("orders.state: 1 records cannot be read, the last found in partition 2 offset 7")
    assert "secret-order" not in warning, "anybody may ask /ready"
    records.read_again("orders.state", b"demo|secret-order")
    assert records.warnings() == []
    assert records.counted("orders.state") == 1


def test_memory_is_bounded_however_many_keys_there_are() -> None:
    records = UnreadableRecords()
    for number in range(unreadable.KEYS_MAX + 500):
        records.note("subscriptions", b"%d" % number, "no", partition=0, offset=number)
    assert records.counted("subscriptions") == unreadable.KEYS_MAX + 500
    assert records.warnings()[0].startswith(f"subscriptions: {unreadable.KEYS_MAX} records")


def test_memory_is_bounded_however_long_keys_are() -> None:
    records = UnreadableRecords()
    long = b"k" * (1 << 20)
    records.note("subscriptions", long, "no", partition=0, offset=1)
    records.note("subscriptions", long + b"2", "no", partition=0, offset=2)
    assert not records.is_noted("subscriptions", long), "so no view keeps it either"
    assert sum(len(key) for key in records._topics["subscriptions"].where) == unreadable.KEY_BYTES_MAX
    assert records.counted("subscriptions") == 2
    assert len(records.warnings()) == 1


def test_a_reason_never_quotes_the_value() -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - pydantic's, which quotes what it was given
        Control.model_validate_json(b'{"paused": "hunter2"}')
    assert "hunter2" not in reason_of(caught.value)
    assert "paused" in reason_of(caught.value)


def test_gateway_and_roles_show_the_same_counter() -> None:
    UNREADABLE.note("subscriptions", b"a", "no", partition=0, offset=1)
    wanted = b'sluice_unreadable_records_total{topic="subscriptions"} 1.0'
    assert wanted in GatewayMetrics().text()
    assert wanted in generate_latest(RoleMetrics("orders").registry)
    registry = CollectorRegistry()
    registry.register(UNREADABLE)
    assert wanted in generate_latest(registry)
