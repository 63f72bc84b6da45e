"""The stock tables are the same however many records come at once, and a repeat counts once."""

import json
import runpy
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from tests.unit.docs.test_examples import EXAMPLES

EXAMPLE = runpy.run_path(str(EXAMPLES / "stock_analytics.py"))


def record(offset: int, key: str, value: Any, **more: str) -> Any:
    headers = {"sluice-made-by": "1/0", "ce_time": "2026-11-24T03:00:00Z", **more}
    body = None if value is None else json.dumps(value).encode()
    pairs = [(name, text.encode()) for name, text in headers.items()]
    return SimpleNamespace(offset=offset, key=key.encode(), value=body, headers=pairs)


def change(batch: str, before: int | None, after: int) -> Any:
    changes = [{"channelSkuCode": "A", "before": before, "after": after}]
    told = {"channel": "demo", "location": "L", "cause": "update", "changes": changes}
    return record(0, "demo|L", told, ce_id=batch)


def fact(name: str, at_ms: int) -> Any:
    data = {"channel": "demo", "location": "L", "atMs": at_ms, "channelSkuCode": "A"}
    return record(0, "demo|L", data, ce_id=f"{name}-{at_ms}", ce_type=f"sluice.fact.{name}")


RECORDS = {
    "positions": [
        record(0, "~owner", {"epoch": 1}),
        record(1, "demo|L|A", {"quantity": 3}),
        record(2, "demo|L|B%7C", {"quantity": 4}),
        record(3, "demo|~ALL|C", {"consolidatedQuantity": 5}),
        record(4, "demo|L|B%7C", None),
        record(5, "demo|L|A", {"quantity": 7}),
        record(6, "demo|L|D", None),
        record(7, "demo|L|D", {"quantity": 8}),
        record(8, "demo|L|A", {"quantity": 9}, **{"sluice-made-by": "0/1"}),  # by a former owner, too late
    ],
    "changes": [change("1", None, 3), change("2", 3, 0), change("1", None, 3)],
    "events": [fact("stock-refused", 1_000), fact("stock-refused", 1_000)],
}


POISON = [
    SimpleNamespace(topic="t", partition=0, offset=0, key=key, value=value, headers=headers)
    for key in (b"\xff", b"demo|L", b"demo|L|A|x")
    for value in (b"1", b"\xff", b"{}", b"[]")
    for headers in ([], [("sluice-made-by", None)], [("sluice-made-by", b"x")], [("sluice-made-by", b"1/0")])
]
"""What a stranger may write."""


@pytest.mark.parametrize("size", [1, 9, 100])
@pytest.mark.parametrize("poison", [[], POISON], ids=["clean", "among poison"])
def test_tables(size: int, poison: list[Any]) -> None:
    with duckdb.connect(":memory:") as db:
        db.execute(EXAMPLE["SCHEMA"])
        for topic, clean in RECORDS.items():
            records = [*poison, *(one for record in clean for one in (record, *poison[:7]))]
            for at in range(0, len(records), size):
                EXAMPLE["keep"](db, topic, 0, records[at : at + size])
        positions = db.execute("SELECT location, sku, quantity FROM positions ORDER BY ALL").fetchall()
        moves = db.execute("SELECT changes, went_out_of_stock, came_back FROM moves").fetchall()
        happened = db.execute("SELECT sku, last_fact, epoch_ms(happened) FROM refused").fetchall()
    assert positions == [("L", "A", 7), ("L", "D", 8), ("~ALL", "C", 5)]
    assert moves == [(2, 1, 0)]
    assert happened == [("A", "stock-refused", 1_000)]
