"""Records of snapshots, a rule at a time: what is no use is set aside or counted, what is not known stays as it is."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import orjson
import pytest

import streams.inventory.snapshots.snapshots
from streams.inventory.snapshots.metrics import IGNORED
from streams.inventory.snapshots.snapshots import NoteTable, recall
from streams.runtime.invariants import InvariantError
from streams.runtime.role import Poison
from tests.fakes.inventory import OriginTable, decide, record, right_partition, role
from tests.fakes.inventory_log import Row, Worker
from topics.records.envelope import COMMAND, Envelope, parse
from topics.records.keys import split, stock_key
from topics.stock.positions import decode_position, is_position
from topics.stock.snapshots import (
    SNAPSHOT_HEADER,
    SNAPSHOT_OPEN_MAX_S,
    SNAPSHOT_STEP,
    decode_kept,
    note_key,
    snapshots_key,
)

L1 = {"locationCode": "L1"}
KEPT = snapshots_key("demo", "L1")


class Log:
    """A worker that reads what is written, at once."""

    def __init__(self) -> None:
        self.worker = Worker(random.Random(0), right_partition("L1"), role)
        self.worker.now_ms = 1_700_000_000_000

    def write(self, kind: str, body: dict[str, Any], snapshot: str = "s", *, read: bool = True) -> None:
        type_ = COMMAND + (f"stock-snapshot-{kind}" if kind != "update" else "location-wise-atp-inventory")
        envelope = Envelope(id=f"e{len(self.worker.log)}", type=type_, source="test", channel="demo")
        headers = (*envelope.headers(), (SNAPSHOT_HEADER, snapshot.encode()))
        self.worker.write(stock_key("demo", "L1"), orjson.dumps({**L1, **body}), headers)
        if read:
            self.worker.run(crash=False)

    def part(self, number: int, *items: dict[str, Any], snapshot: str = "s", **more: Any) -> None:
        self.write("part", {"part": number, "inventories": list(items), **more}, snapshot)

    def stock(self) -> dict[str, dict[str, Any]]:
        found = {split(key)[2]: decode_position(value) for key, value in self.worker.table.items() if is_position(key)}
        return {sku: {name: item[name] for name in item if name != "channelSkuCode"} for sku, item in found.items()}

    def kept(self) -> Any:
        raw = self.worker.table.get(KEPT)
        assert raw is not None
        return decode_kept(raw)


def item(sku: str, quantity: Any, **more: Any) -> dict[str, Any]:
    return {"channelSkuCode": sku, "quantity": quantity, **more}


def ignored(reason: str) -> float:
    return float(IGNORED.labels(reason)._value.get())


def test_records_may_print_that_they_have_no_consolidation_type() -> None:
    log = Log()
    none: dict[str, Any] = {"consolidationType": None}
    log.write("update", {"inventories": [item("A", 1), item("B", 1)]})
    log.write("begin", {"complete": True, **none})
    log.part(0, item("A", 5), **none)
    log.write("end", {"parts": 1, "complete": True, **none})
    assert log.stock() == {"A": {"quantity": 5}, "B": {"quantity": 0}}


@pytest.mark.parametrize(
    ("kind", "body", "snapshot", "code", "named"),
    [
        ("begin", {**L1, "complete": "yes"}, "s", "bad_data", "complete: must be true or false"),
        ("begin", {"complete": True}, "s", "bad_data", "locationCode: may not be null"),
        ("begin", {**L1, "complete": True}, "", "bad_envelope", "sluice-snapshot must be"),
        ("begin", {**L1, "complete": True}, "x" * 65, "bad_envelope", "of 1 to 64 characters"),
        ("part", {**L1, "inventories": []}, "s", "bad_data", "part: may not be null"),
        ("part", {**L1, "part": -1, "inventories": []}, "s", "bad_data", "part: must be at least 0"),
        ("part", {**L1, "part": 0, "inventories": [item("A", 1)] * 201}, "s", "bad_data", "at most 200"),
        ("part", {**L1, "part": 0, "inventories": [item("A", -1)]}, "s", "bad_data", "inventories[0].quantity"),
        ("end", {**L1, "complete": True}, "s", "bad_data", "parts: may not be null"),
        ("abort", b"{", "s", "bad_json", "JSON"),
    ],
)
def test_a_record_that_cannot_be_read_is_poison(kind: str, body: Any, snapshot: str, code: str, named: str) -> None:
    more = ((SNAPSHOT_HEADER, snapshot.encode()),)
    with pytest.raises(Poison) as error:
        decide(role(), OriginTable(), record(body, touchpoint=f"stock-snapshot-{kind}", more=more))
    assert (error.value.code, named in error.value.reason) == (code, True), error.value.reason


def test_a_part_in_the_wrong_partition_is_sent_on() -> None:
    wrong = (right_partition("L1") + 1) % 4
    more = ((SNAPSHOT_HEADER, b"s"),)
    given = record({**L1, "part": 0, "inventories": []}, partition=wrong, touchpoint="stock-snapshot-part", more=more)
    [effect] = decide(role(), OriginTable(), given)
    assert (effect.topic, effect.partition, effect.value) == ("inventory.updates", right_partition("L1"), given.value)


def test_skus_that_a_part_names_without_a_usable_value_stay_as_they_are() -> None:
    log = Log()
    log.write("update", {"inventories": [item("A", 1), item("B", 2), item("C", 3), item("D", 4)]})
    log.write("begin", {"complete": True})
    log.part(0, item("A", 5), item("B", "many"), refused=["C"])
    log.write("end", {"parts": 1, "complete": True})
    assert {sku: one["quantity"] for sku, one in log.stock().items()} == {"A": 5, "B": 2, "C": 3, "D": 0}
    (rejected,) = [effect for effect in log.worker.told if effect.topic == "commands.rejected"]
    assert b"inventories[1].quantity" in dict(rejected.headers)["sluice-rejected-reason"]


def test_nothing_left_of_a_position_keeps_what_it_is_and_not_when_it_expires() -> None:
    log = Log()
    log.write("update", {"inventories": [item("A", 1, channelSerialNo="s1", minExpiry="2027-01-31"), item("B", 1)]})
    log.write("begin", {"complete": True})
    log.part(0, item("B", 1))
    log.write("end", {"parts": 1, "complete": True})
    assert log.stock() == {"A": {"quantity": 0, "channelSerialNo": "s1"}, "B": {"quantity": 1}}
    changes = [orjson.loads(effect.value) for effect in log.worker.told if effect.topic == "inventory.changes"]
    assert changes[-1]["cause"] == "snapshot"
    assert changes[-1]["changes"] == [{"channelSkuCode": "A", "before": 1, "after": 0}]


def test_records_of_no_snapshot_of_one_that_is_over_or_that_come_twice_are_counted() -> None:
    log = Log()
    before = {reason: ignored(reason) for reason in ("unknown", "over", "repeated")}
    log.part(0, item("A", 1), snapshot="none")
    log.write("begin", {"complete": False})
    log.write("begin", {"complete": False})
    log.part(0, item("B", 1))
    log.part(0, item("B", 2))
    log.write("abort", {})
    log.part(1, item("C", 1))
    assert log.stock() == {"B": {"quantity": 1}}
    assert {reason: ignored(reason) - count for reason, count in before.items()} == {
        "unknown": 1,
        "over": 1,
        "repeated": 2,
    }


def test_more_than_a_few_at_once_that_still_zero_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams.inventory.snapshots.snapshots, "ENDING_MAX", 1)
    log = Log()
    for name in ("s1", "s2"):
        log.write("begin", {"complete": True}, name, read=False)
        body = {"part": 0, "inventories": [item(name, 1)]}
        log.write("part", body, name, read=False)
        log.write("end", {"parts": 1, "complete": True}, name, read=False)
    for _ in range(3):
        log.worker.run(crash=False)
    assert [(one.id, one.reason or one.state) for one in log.kept().ended] == [("s2", "too-many"), ("s1", "applied")]
    assert log.stock() == {"s1": {"quantity": 1}}


def test_a_step_that_went_with_its_log_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    log.write("update", {"inventories": [item("A", 1)]})
    log.write("begin", {"complete": True})
    log.part(0, item("B", 1))
    worker = log.worker
    log.write("end", {"parts": 1, "complete": True}, read=False)
    with monkeypatch.context() as patched:
        patched.setattr(worker, "_publish", lambda _effect: None)  # its log is gone before it is read
        worker.run(crash=False)
    assert [run.state for run in log.kept().runs] == ["ending"]
    worker.now_ms += (SNAPSHOT_OPEN_MAX_S + 1) * 1_000
    log.write("update", {"inventories": [item("B", 2)]})
    assert log.kept().runs == []
    assert log.stock() == {"A": {"quantity": 0}, "B": {"quantity": 2}}
    assert SNAPSHOT_STEP in {parse(one.headers).type for one in worker.log}


def test_a_snapshot_that_was_over_before_a_crash_took_that_back_puts_and_zeroes_nothing() -> None:
    """Its notes are being deleted, the first one is gone, and what is kept of it still says that it is open."""
    log = Log()
    log.write("update", {"inventories": [item("A", 1), item("B", 2)]})
    log.write("begin", {"complete": True})
    log.write("update", {"inventories": [item("A", 9)]})
    worker = log.worker
    worker.changelog.append(Row(note_key("demo", "L1", 1, 0), None, worker.changelog[-1].headers))
    worker.kill()
    log.part(0, item("A", 7), item("C", 3))
    log.write("end", {"parts": 1, "complete": True})
    assert {sku: one["quantity"] for sku, one in log.stock().items()} == {"A": 9, "B": 2}
    assert [(one.state, one.received) for one in log.kept().ended] == [("applied", 2)]
    assert not [key for key, _ in worker.table.items() if key.startswith(note_key("demo", "L1", 1, 0)[:-1])]


def test_a_state_with_two_open_snapshots_is_a_violation_when_it_is_read() -> None:
    log = Log()
    log.write("begin", {"complete": True})
    kept = log.kept()
    kept.runs.append(replace(kept.runs[0], begin=kept.runs[0].begin + 1))
    with pytest.raises(InvariantError, match="snapshots_open"):
        recall(kept.encode(), NoteTable(OriginTable(), "demo", "L1"))
