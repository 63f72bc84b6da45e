"""inventory.changes tells what each batch of stock changed, once for a batch, with quantities before and after."""

from __future__ import annotations

from typing import Any

from streams.inventory.batches import read_quantities
from streams.runtime.role import Effect
from tests.fakes.inventory import OriginTable, batch, decide, record, right_partition, role
from topics.contract.models.inventory import StockChanged
from topics.records.envelope import parse
from topics.records.keys import stock_key
from topics.stock.packed_positions import PackedPositions, SkuNumbers


def told(effects: list[Effect]) -> StockChanged:
    [effect] = effects
    assert effect.topic == "inventory.changes"
    return StockChanged.model_validate_json(effect.value)


def quantities(said: StockChanged) -> dict[str, tuple[int | None, int]]:
    return {change.channelSkuCode: (change.before, change.after) for change in said.changes}


def test_it_says_before_and_after_of_what_changed_and_nothing_of_the_rest() -> None:
    table, inventory = OriginTable(), role()
    first = told(decide(inventory, table, record(batch("L1", {"A": 1, "B": 0}))))
    assert quantities(first) == {"A": (None, 1), "B": (None, 0)}
    given = record(batch("L1", {"A": 5, "B": 0}), offset=7)
    [effect] = decide(inventory, table, given)
    second = told([effect])
    assert (second.channel, second.location, second.cause) == ("demo", "L1", "update")
    assert quantities(second) == {"A": (1, 5)}
    assert (effect.key, effect.partition) == (stock_key("demo", "L1"), given.partition)
    envelope = parse(effect.headers)
    assert (envelope.type, envelope.channel, envelope.subject) == ("sluice.inventory.changed", "demo", "L1")
    assert envelope.id == f"inventory.updates/{given.partition}/7"
    assert decide(inventory, table, record(batch("L1", {"A": 5, "B": 0}), offset=8)) == []


def test_a_redelivery_tells_what_was_lost_under_the_same_id() -> None:
    table, inventory = OriginTable(), role()
    given = record(batch("L1", {"A": 1, "B": 2}), offset=3)
    [whole] = decide(inventory, table, given)
    table.values = {key: made for key, made in table.values.items() if not key.endswith(b"B")}
    [rest] = decide(inventory, table, given)
    assert quantities(told([rest])) == {"B": (None, 2)}
    assert parse(rest.headers).id == parse(whole.headers).id


def test_a_position_that_is_more_than_a_quantity_is_told_by_its_quantity() -> None:
    table, inventory = OriginTable(), role()
    item: dict[str, Any] = {"channelSkuCode": "A", "quantity": 4, "minExpiry": "2027-01-01"}
    decide(inventory, table, record({"locationCode": "L1", "inventories": [item]}))
    later = {**item, "minExpiry": "2027-06-01"}
    said = told(decide(inventory, table, record({"locationCode": "L1", "inventories": [later]}, offset=1)))
    assert quantities(said) == {"A": (4, 4)}
    consolidated = {"consolidationType": "ALL", "inventories": [{"channelSkuCode": "A", "listingId": 7}]}
    consolidated["inventories"][0]["consolidatedQuantity"] = 9  # type: ignore[index]
    given = record(consolidated, touchpoint="consolidated-atp-inventory", partition=right_partition("~ALL"))
    assert quantities(told(decide(inventory, table, given))) == {"A": (None, 9)}


def test_what_is_read_in_one_pass_is_what_the_models_would_take() -> None:
    """Anything else goes the long way, where it is judged as ever."""
    item = b'{"channelSkuCode":"A","quantity":1%s}'
    body = b'{"locationCode":"L1","inventories":[%s]%s}'
    assert read_quantities(body % (item % b"", b"")) is not None
    assert read_quantities(body % (item % b',"minExpiry":null,"channelSerialNo":null', b"")) is not None
    for odd in (
        body % (item % b',"minExpiry":"2027-01-01"', b""),
        body % (item % b',"more":1', b""),
        body % (item % b"", b',"more":1'),
        body % (item % b".0", b""),
        body % (item % b"0000000000", b""),
        body % (b'{"channelSkuCode":"","quantity":1}', b""),
        body % (b'{"channelSkuCode":"A","quantity":-1}', b""),
        body % (b'{"channelSkuCode":"A","quantity":true}', b""),
        body % (b'{"channelSkuCode":"\xff","quantity":1}', b""),
        body % (b",".join([item % b""] * 201), b""),
        b'{"locationCode":"~ALL","inventories":[]}',
        b'{"locationCode":"","inventories":[]}',
        b"[]",
        b"{",
        b"",
    ):
        assert read_quantities(odd) is None, odd


def test_a_sku_that_comes_twice_and_ends_as_it_was_is_no_change() -> None:
    plain = read_quantities(
        b'{"locationCode":"L1","inventories":[%s]}'
        % b",".join(
            b'{"channelSkuCode":"%s","quantity":%d}' % each for each in ((b"A", 2), (b"B", 3), (b"A", 1), (b"B", 4))
        )
    )
    assert plain is not None
    known = PackedPositions(SkuNumbers())
    known.put_plain({"A": 1, "B": 1}, 5)
    assert known.differing(plain.inventories) == {"B": 4}
