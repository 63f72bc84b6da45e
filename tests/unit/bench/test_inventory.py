"""What the benchmark of stock believes: its oracle, its channel that notices what goes back, and when a run is void."""

from __future__ import annotations

import tomllib

import orjson
import pytest

from bench.delivery.load import WARM_UP_S, WARM_UP_SHARE
from bench.inventory.benchmark import PARTS
from bench.inventory.intake import consolidated, location_wise
from bench.inventory.job import CHANGED, IN_STOCK, StockWork, different, expected, shelf, steady
from bench.inventory.peers import channels_toml
from bench.inventory.receiver import ReceivedStock
from bench.inventory.stock_calls import SLOW_PER_S, not_exhausted
from bench.processes import ROOT, late_load
from gateway.touchpoints.stock_batch import CONSOLIDATED, plain
from sluice.dev.benches import find
from sluice.errors import StartError
from topics.configuration.channels_file import parse_channels
from topics.contract.touchpoints import BY_NAME
from topics.schema_base import SKUS_MAX

WORK = StockWork(batches=20, locations=2, skus=60, batch=25, gone_every=4)


def call(location: str, *items: tuple[str, int]) -> bytes:
    told = [{"channelSkuCode": sku, "quantity": quantity} for sku, quantity in items]
    return orjson.dumps({"locationCode": location, "inventories": told})


def test_the_work_is_the_same_each_time_and_a_quantity_only_grows_until_its_sku_is_gone() -> None:
    days = list(WORK.day())
    assert days == list(WORK.day())
    assert [len(batch.quantities) for batch in days] == [WORK.batch] * WORK.batches
    known = shelf(WORK)
    for batch in days:
        for sku, quantity in batch.quantities.items():
            before = known[batch.location][sku]
            assert (before, quantity) == (IN_STOCK, 0) if sku == batch.gone else quantity in (before, before + 1)
            known[batch.location][sku] = quantity
    assert expected(WORK).quantities == known
    assert [batch.gone is not None for batch in days] == [number % 4 == 0 for number in range(WORK.batches)]


def test_the_share_of_changes_is_as_said_and_a_batch_that_changes_nothing_is_forwarded_by_nobody() -> None:
    found = expected(StockWork(batches=40, skus=500))
    assert found.positions == StockWork(40).positions
    assert abs(found.changed / found.positions - CHANGED) < 0.03
    assert found.naive == 40
    again = next(StockWork(batches=1).shelf())
    found.apply(again)
    found.apply(again)
    assert found.naive == 41


def test_a_channel_is_as_the_oracle_only_when_every_member_is() -> None:
    oracle = {"WH-00": {"A": 1, "B": 0}}
    right = {"WH-00": {sku: {"channelSkuCode": sku, "quantity": quantity} for sku, quantity in (("A", 1), ("B", 0))}}
    assert different(right, oracle) == 0
    assert different({"WH-00": {**right["WH-00"], "A": {"channelSkuCode": "A", "quantity": 2}}}, oracle) == 1
    assert different({"WH-00": {**right["WH-00"], "A": {**right["WH-00"]["A"], "minExpiry": None}}}, oracle) == 1
    assert different({"WH-00": {"A": right["WH-00"]["A"]}}, oracle) == 1
    assert different({**right, "WH-01": right["WH-00"]}, oracle) == 2


def test_the_channel_notices_what_goes_back_and_when_a_sku_was_first_gone() -> None:
    received = ReceivedStock()
    for number, items in enumerate(([("A", 1), ("GONE-1", 5)], [("A", 2), ("GONE-1", 0)], [("A", 2), ("GONE-1", 0)])):
        received.receive(call("WH-00", *items), float(number))
    assert (received.requests, received.positions, received.backwards, received.gone) == (3, 6, 0, {"GONE-1": 1.0})
    received.receive(call("WH-00", ("A", 1)), 3.0)
    received.receive(call("WH-00", ("GONE-1", 5)), 4.0)
    assert received.backwards == 2
    received.receive(call("WH-01", ("A", 1)), 5.0)
    assert received.backwards == 2, "another location's"


def test_what_came_in_the_warm_up_is_beside_the_seconds_asked_for() -> None:
    work = steady(10.0, 50_000, gone_every=2)
    assert work.batches == int(50_000 * (10 + WARM_UP_SHARE * WARM_UP_S) / work.batch)
    assert work.gone_every == 2


def test_a_load_that_was_late_itself_voids_its_run() -> None:
    assert late_load({"late": 5, "offered": 100}) is None
    assert late_load({"late": 6, "offered": 100}) is not None


def test_a_budget_that_was_not_spent_was_not_exhausted() -> None:
    assert not_exhausted(0.6 * SLOW_PER_S) is None
    assert not_exhausted(0.5 * SLOW_PER_S) is not None


def test_the_channel_of_the_benchmark_is_the_demo_channel_elsewhere() -> None:
    data = tomllib.loads(channels_toml("http://127.0.0.1:1", 10))
    marketplace = parse_channels(data, where="test").channels["demo"].marketplace
    assert marketplace.url == "http://127.0.0.1:1"
    assert [limit.size for limit in marketplace.limits] == [10]


@pytest.mark.parametrize(
    ("touchpoint", "bodies"), [("location-wise-atp-inventory", location_wise), (CONSOLIDATED, consolidated)]
)
def test_what_is_taken_in_is_batches_as_the_contract_prints_them(touchpoint: str, bodies: object) -> None:
    for body in bodies():  # type: ignore[operator]
        taken = plain(BY_NAME[touchpoint], body.encode())
        assert taken is not None
        assert len(orjson.loads(taken.answer)["successList"]) == SKUS_MAX


def test_a_part_is_found_by_its_name_and_described() -> None:
    page = (ROOT / "docs" / "benches.md").read_text(encoding="utf-8")
    assert [name for name in PARTS if f"| `{name}` |" not in page] == []
    assert callable(find("inventory", list(PARTS)))
    with pytest.raises(StartError, match="no part nonsense; it has: intake"):
        find("inventory", ["nonsense"])
    with pytest.raises(StartError, match="it has: none"):
        find("verdict", ["intake"])
