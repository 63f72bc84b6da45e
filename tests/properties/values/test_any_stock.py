"""JSON of any type in any member of a stock batch or a search: never a 500 nor an exception, and the positions are the
same over HTTP and over Kafka."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sluice.cli.dry_run import TAKEN, DryRun
from streams.runtime.role import Poison
from tests.fakes.gateway import NOW_MS
from tests.fakes.inventory import OriginTable, decide, record, role
from tests.properties.values.json_values import JSON, TRIED
from tests.properties.values.world import CHANNELS, SETTINGS, Path, Sluice, paths, text_with, with_mark
from topics.contract.sample_files import sample
from topics.records.json_text import read

STOCK = ("location-wise-atp-inventory", "consolidated-atp-inventory")
SEARCHES = ("search-inventory", "search-inventory-marketplace")
CASES = [(name, path) for name in (*STOCK, *SEARCHES) for path in paths(sample(name).members)]


@settings(max_examples=TRIED // 2, deadline=None)
@given(case=st.sampled_from(CASES), text=JSON)
@example(case=("location-wise-atp-inventory", ("inventories", 0, "quantity")), text="2.0")
@example(case=("location-wise-atp-inventory", ("inventories", 0, "channelSkuCode")), text="4711")
@example(case=("consolidated-atp-inventory", ("inventories", 0, "listingId")), text="true")
def test_any_value_in_any_member(sluice: Sluice, case: tuple[str, Path], text: str) -> None:
    name, path = case
    raw = text_with(with_mark(sample(name).members, path), text)
    told = sluice.ask(name, raw)
    assert told.status in (200, 400), told.body
    if name in SEARCHES:
        return
    records = [one.value for one in sluice.kafka.records if one.topic == "inventory.updates"]
    assert _positions(name, records) == _positions(name, [raw])
    finding = DryRun(SETTINGS, CHANNELS, NOW_MS, touchpoint=name).check(1, read(raw))
    is_good = told.status == 200 and not told.body["failureList"]
    assert (finding.verdict == TAKEN) is is_good, finding


def _positions(name: str, values: list[bytes]) -> dict[bytes, Any]:
    """What the inventory role makes of these records, whatever partition they are in."""
    table, inventory = OriginTable(), role()
    for offset, value in enumerate(values):
        given = record(value, offset=offset, touchpoint=name)
        for effect in _decided(inventory, table, given):
            if effect.topic == "inventory.updates":
                again = record(value, offset=offset, touchpoint=name, partition=effect.partition)
                _decided(inventory, table, again)
    return {key: value for key, value in table.items() if not key.startswith(b"~")}


def _decided(inventory: Any, table: OriginTable, given: Any) -> list[Any]:
    try:
        return decide(inventory, table, given)
    except Poison:
        return []
