"""Stock is always validated, and what the table of positions holds and this version cannot read stops no update."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streams.inventory.reroute import Origin
from streams.runtime.role import Poison
from tests.fakes.inventory import OriginTable, batch, decide, record, role
from tests.unit.inventory.snapshots.test_snapshots import KEPT, Log, item
from topics.records.keys import position_key, stock_key
from topics.records.unreadable import UNREADABLE, UnreadableError
from topics.stock.position_map import Location, check_position
from topics.stock.positions import encode_position
from topics.stock.snapshots import note_key

BAD_ITEMS: tuple[dict[str, Any], ...] = (
    {"channelSkuCode": "A", "quantity": "seven"},
    {"channelSkuCode": "A", "quantity": -1},
    {"channelSkuCode": "A", "quantity": 2**31},
    {"channelSkuCode": "A", "quantity": True},
    {"channelSkuCode": "A", "quantity": 1.5, "minExpiry": "2027-01-01"},
    {"channelSkuCode": "A", "quantity": 5, "consolidatedQuantity": "x"},
    {"channelSkuCode": "A", "quantity": 5, "consolidatedQuantity": -1},
)


@pytest.mark.parametrize("bad", BAD_ITEMS)
def test_stock_from_anybody_is_validated_whoever_it_says_to_be(bad: dict[str, Any]) -> None:
    table = OriginTable()
    with pytest.raises(Poison) as caught:
        decide(role(), table, record({"locationCode": "L1", "inventories": [bad]}, source="/gateway"))
    assert (caught.value.code, table.values) == ("bad_data", {})


@pytest.mark.parametrize("bad", BAD_ITEMS)
def test_one_bad_item_costs_itself_alone(bad: dict[str, Any]) -> None:
    table = OriginTable()
    good = {"channelSkuCode": "B", "quantity": 3, "minExpiry": "2027-01-01"}
    decide(role(), table, record({"locationCode": "L1", "inventories": [bad, good]}, source="/gateway"))
    assert list(table.values) == [position_key("demo", "L1", "B")]


VALUES = (
    b"1", b"null", b"[]", b"{}", b"", b"{", b"\xff\xfe", b'{"channelSkuCode":"A","quantity":"7"}',
    b'{"channelSkuCode":"A"}', b'{"channelSkuCode":"B","quantity":7}', b'{"channelSkuCode":"A","quantity":1e999}',
    b'{"channelSkuCode":"A","consolidatedQuantity":"9"}', b"[" * 3_000,
)  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
def test_a_position_that_cannot_be_read_gives_way_to_the_next_update(value: bytes) -> None:
    table = OriginTable()
    table.offset = 0
    table.put(position_key("demo", "L1", "A"), value)
    decide(role(), table, record(batch("L1", {"A": 4, "B": 1}), offset=5))
    assert table.get(position_key("demo", "L1", "A")) == encode_position({"channelSkuCode": "A", "quantity": 4})


@pytest.mark.parametrize("value", VALUES)
def test_a_view_that_checks_keeps_what_it_had(value: bytes) -> None:
    location = Location("demo|L1")
    location.put("A", encode_position({"channelSkuCode": "A", "quantity": 4}), 1)
    with pytest.raises(UnreadableError):
        location.put("A", value, 2, checked=True)
    assert location.quantity("A") == 4
    location.put("A", value, 2)  # a table keeps whatever is there, and counts it as nothing
    assert location.get("A") == value


def test_a_whole_position_of_a_newer_version_can_be_read() -> None:
    check_position("A", orjson.dumps({"channelSkuCode": "A", "quantity": 4, "ofANewerVersion": {"a": 1}}))
    check_position("A", orjson.dumps({"channelSkuCode": "A", "consolidatedQuantity": 4, "listingId": 7}))


@pytest.mark.parametrize("value", [b"1", b"{}", b"{", b'{"runs": 1, "ended": [], "sweeps": [], "step": 0}', b"\xff"])
def test_a_state_of_snapshots_that_cannot_be_read_is_given_up_and_updates_go_on(value: bytes) -> None:
    log = Log()
    log.write("update", {"inventories": [item("A", 5)]})
    log.worker.table.set(KEPT, value, -1)
    log.write("update", {"inventories": [item("A", 6)]})
    log.write("begin", {"complete": True}, "next")
    log.part(0, item("B", 1), snapshot="next")
    log.write("end", {"parts": 1, "complete": True}, "next")
    log.worker.run(crash=False)
    assert log.stock() == {"A": {"quantity": 0}, "B": {"quantity": 1}}
    assert UNREADABLE.counted("inventory.positions") == 1


@pytest.mark.parametrize("value", [b"1", b"{}x", b'{"named": "A"}', b'{"touched":[1]}', b"\xff"])
def test_with_a_note_that_cannot_be_read_nothing_is_set_to_0(value: bytes) -> None:
    log = Log()
    log.write("update", {"inventories": [item("A", 5), item("B", 5)]})
    log.write("begin", {"complete": True})
    log.part(0, item("B", 1))
    begin = log.kept().runs[0].begin
    log.worker.table.set(note_key("demo", "L1", begin, 0), value, -1)
    log.write("end", {"parts": 1, "complete": True})
    log.worker.run(crash=False)
    assert log.stock() == {"A": {"quantity": 5}, "B": {"quantity": 1}}


@pytest.mark.parametrize("value", VALUES)
def test_a_position_that_cannot_be_read_is_set_to_0_by_a_snapshot_without_it(value: bytes) -> None:
    log = Log()
    log.write("update", {"inventories": [item("B", 1)]})
    log.worker.table.set(position_key("demo", "L1", "A"), value, -1)
    log.write("begin", {"complete": True})
    log.part(0, item("B", 1))
    log.write("end", {"parts": 1, "complete": True})
    log.worker.run(crash=False)
    assert log.stock()["A"] == {"quantity": 0}


@pytest.mark.parametrize("value", [b"1", b"{}", b'{"offset": "x", "skipped": []}', b"\xff"])
def test_how_far_an_origin_was_applied_cannot_be_read_so_old_stock_is_not_put_after_new(value: bytes) -> None:
    table, origin = OriginTable(), Origin(3, 7)
    table.offset = 0
    table.put(origin.key(stock_key("demo", "L1")), value)
    table.offset = 5
    with pytest.raises(Poison) as caught:
        decide(role(), table, record(batch("L1", {"A": 4}), offset=5, more=(origin.header(),)))
    assert caught.value.code == "unreadable_state"
    assert table.get(position_key("demo", "L1", "A")) is None
    assert UNREADABLE.counted("inventory.positions") == 1
