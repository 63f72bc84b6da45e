"""Stock records become positions: each SKU on its own merit, never old after new, nothing lost without a reason."""

from __future__ import annotations

from typing import Any

import pytest

from streams.runtime.role import Poison
from tests.fakes.inventory import OriginTable, batch, decide, record, right_partition, role
from topics.records.keys import join, position_key, stock_key
from topics.stock.positions import decode_position, is_position


def quantities(table: OriginTable, location: str = "L1") -> dict[str, Any]:
    prefix = join("demo", location, "")
    return {
        key.removeprefix(prefix).decode(): decode_position(value)["quantity"]
        for key, value in table.items()
        if is_position(key) and key.startswith(prefix)
    }


def test_a_first_quantity_of_zero_is_a_position() -> None:
    table = OriginTable()
    decide(role(), table, record(batch("L1", {"A": 0, "B": 2})))
    assert quantities(table) == {"A": 0, "B": 2}


def test_an_equal_position_is_no_change_and_another_expiry_is_one() -> None:
    table, inventory = OriginTable(), role()
    item = {"channelSkuCode": "A", "quantity": 1, "minExpiry": "2027-01-01"}
    body = {"locationCode": "L1", "inventories": [item]}
    changes: list[dict[str, Any]] = [{}, {"channelSerialNo": None}, {"minExpiry": "2027-02-01"}]
    for offset, change in enumerate(changes):
        decide(inventory, table, record({**body, "inventories": [{**item, **change}]}, offset=offset))
    assert table.puts == [position_key("demo", "L1", "A")] * 2


def test_a_sku_that_comes_twice_counts_with_its_last_value() -> None:
    table = OriginTable()
    items = [{"channelSkuCode": "A", "quantity": 1}, {"channelSkuCode": "A", "quantity": 5}]
    decide(role(), table, record({"locationCode": "L1", "inventories": items}, source="/gateway"))
    assert quantities(table) == {"A": 5}
    assert len(table.puts) == 1


def test_consolidated_stock_has_a_place_of_its_own() -> None:
    table = OriginTable()
    item = {"channelSkuCode": "A", "listingId": 7, "consolidatedQuantity": 9, "quantity": 4, "locationCode": "L1"}
    body = {"consolidationType": "ALL", "inventories": [item]}
    given = record(body, touchpoint="consolidated-atp-inventory", partition=right_partition("~ALL"))
    decide(role(), table, given)
    key = position_key("demo", "~ALL", "A")
    assert table.puts == [key]
    assert decode_position(table.values[key][0]) == item


def test_a_batch_of_a_location_may_print_that_it_has_no_consolidation_type() -> None:
    """Serialisers of producers print every member; over HTTP the path says which form it is."""
    table = OriginTable()
    decide(role(), table, record({**batch("L1", {"A": 3}), "consolidationType": None}))
    assert quantities(table) == {"A": 3}
    with pytest.raises(Poison, match="locationCode: may not be null"):
        decide(role(), OriginTable(), record({"consolidationType": None, "inventories": []}))


def test_a_redelivered_record_changes_only_what_nothing_newer_has_changed() -> None:
    table, inventory = OriginTable(), role()
    first, second = record(batch("L1", {"A": 1, "B": 1}), offset=5), record(batch("L1", {"A": 2}), offset=6)
    decide(inventory, table, first)
    decide(inventory, table, second)
    del table.values[position_key("demo", "L1", "B")]  # it was not durable yet when the worker was killed
    decide(inventory, table, first)
    assert quantities(table) == {"A": 2, "B": 1}


def test_bad_skus_are_set_aside_with_their_reasons_and_the_good_ones_applied() -> None:
    table = OriginTable()
    given = record(batch("L1", {"A": 1, "B": -1, "C": "many"}), offset=9)
    [_, effect] = decide(role(), table, given)
    assert quantities(table) == {"A": 1}
    headers = dict(effect.headers)
    assert (effect.topic, effect.key, effect.value) == ("commands.rejected", given.key, given.value)
    assert effect.headers[: len(given.headers)] == given.headers
    assert headers["sluice-rejected-code"] == b"bad_skus"
    assert headers["sluice-rejected-reason"].startswith(b"2 SKUs not applied, the others were: B, C: inventories[1]")
    assert b"inventories[1].quantity" in headers["sluice-rejected-reason"]
    assert b"inventories[2].quantity" in headers["sluice-rejected-reason"]
    assert headers["sluice-rejected-topic"] == b"sluice.inventory.updates.v1"
    assert headers["sluice-rejected-offset"] == b"9"
    assert headers["sluice-rejected-role"] == b"inventory"


@pytest.mark.parametrize(
    ("body", "code", "named"),
    [
        (b"{", "bad_json", "JSON"),
        (b"[" + b"[]," * 120_000 + b"[]]", "too_many_values", "at most 120000"),
        ([1], "bad_data", "must be an object"),
        ([], "bad_data", "locationCode: may not be null"),
        ({}, "bad_data", "locationCode: may not be null"),
        ({"locationCode": "L1"}, "bad_data", "inventories: may not be null"),
        ({"locationCode": "L1", "inventories": [{"quantity": 1}]}, "bad_data", "inventories[0].channelSkuCode"),
        ({"locationCode": "~ALL", "inventories": []}, "bad_data", "locationCode"),
        ({"locationCode": "x" * 256, "inventories": []}, "bad_data", "locationCode"),
        (batch("L1", {f"S{number}": 1 for number in range(201)}), "bad_data", "at most 200"),
        (batch("L1", {"A": -1}), "bad_data", "inventories[0].quantity"),
        ({"consolidationType": "SHOP", "inventories": []}, "bad_data", "consolidationType"),
    ],
)
def test_an_unusable_record_is_poison_with_the_field_named(body: Any, code: str, named: str) -> None:
    table = OriginTable()
    with pytest.raises(Poison) as error:
        decide(role(), table, record(body))
    assert error.value.code == code
    assert named in error.value.reason
    assert len(table) == 0


def test_an_unknown_channel_or_type_is_poison() -> None:
    with pytest.raises(Poison) as error:
        decide(role(), OriginTable(), record(batch("L1", {"A": 1}), channel="other"))
    assert error.value.code == "unknown_channel"
    with pytest.raises(Poison) as error:
        decide(role(), OriginTable(), record(batch("L1", {"A": 1}), touchpoint="pack-order"))
    assert error.value.code == "unknown_type"


def test_a_record_in_the_wrong_partition_is_sent_on_unchanged_with_its_origin() -> None:
    table = OriginTable()
    wrong = (right_partition("L1") + 1) % 4
    given = record(batch("L1", {"A": 1}), partition=wrong, offset=7)
    [effect] = decide(role(), table, given)
    assert len(table) == 0
    assert (effect.topic, effect.key, effect.partition) == (
        "inventory.updates",
        stock_key("demo", "L1"),
        right_partition("L1"),
    )
    assert effect.value == given.value
    origin, said = effect.headers[-2:]
    assert effect.headers[:-2] == given.headers
    assert origin == ("sluice-origin", b"%d/7" % wrong)
    assert said == ("ce_time", b"2023-11-14T22:13:20.000Z"), "its producer gave none, and it is older than it looks now"


def test_a_record_that_was_sent_on_is_not_sent_on_again() -> None:
    wrong = (right_partition("L1") + 1) % 4
    given = record(batch("L1", {"A": 1}), partition=wrong, more=(("sluice-origin", b"0/7"),))
    with pytest.raises(Poison) as error:
        decide(role(), OriginTable(), given)
    assert error.value.code == "misrouted"


def test_a_record_sent_on_twice_does_not_put_old_after_new() -> None:
    table, inventory = OriginTable(), role()
    for offset, (origin, quantity) in enumerate(((7, 1), (8, 2), (7, 1), (8, 2))):
        more = (("sluice-origin", b"0/%d" % origin),)
        decide(inventory, table, record(batch("L1", {"A": quantity}), offset=offset, more=more))
    assert quantities(table) == {"A": 2}
    assert table.puts.count(position_key("demo", "L1", "A")) == 2


def test_a_broken_origin_is_poison() -> None:
    with pytest.raises(Poison) as error:
        decide(role(), OriginTable(), record(batch("L1", {"A": 1}), more=(("sluice-origin", b"here"),)))
    assert error.value.code == "bad_envelope"


def test_what_nests_deeper_than_it_can_be_written_is_set_aside() -> None:
    raw = b'{"locationCode":"L1","inventories":[{"channelSkuCode":"A","quantity":1,"x":%s}]}'
    with pytest.raises(Poison) as error:
        decide(role(), OriginTable(), record(raw % (b"[" * 300 + b"]" * 300)))
    assert "64 levels" in error.value.reason
