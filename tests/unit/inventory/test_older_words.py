"""A word that was under way for long changes nothing that a newer one has said, and that is reported."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from streams.inventory.metrics import STALE
from streams.runtime.role import Effect
from tests.fakes.inventory import right_partition, role
from tests.fakes.inventory_log import Worker
from topics.records.envelope import COMMAND, Envelope
from topics.records.keys import split, stock_key
from topics.records.word import CLOCKS_APART_MS, PLAUSIBLE_MS
from topics.stock.positions import decode_position, is_position
from topics.stock.snapshots import SNAPSHOT_HEADER, decode_kept, snapshots_key

T0 = 1_700_000_000_000
APART = CLOCKS_APART_MS


class Stock:
    """What the role makes of records that a broker took at `taken` and that were said at `said`, in ms after T0."""

    def __init__(self) -> None:
        self.worker = Worker(random.Random(0), right_partition("L1"), role)

    def write(self, kind: str, body: dict[str, Any], taken: int, said: int | None) -> None:
        time_ms = 0 if said is None else T0 + said
        envelope = Envelope(
            id=f"e{len(self.worker.log)}", type=COMMAND + kind, source="test", channel="demo", time_ms=time_ms
        )
        self.worker.now_ms = T0 + taken
        headers = (*envelope.headers(), (SNAPSHOT_HEADER, b"s"))
        self.worker.write(stock_key("demo", "L1"), orjson.dumps({"locationCode": "L1", **body}), headers)
        self.worker.run(crash=False)

    def update(self, taken: int, said: int | None, **quantities: Any) -> None:
        items = [
            {"channelSkuCode": sku, **(given if isinstance(given, dict) else {"quantity": given})}
            for sku, given in quantities.items()
        ]
        self.write("location-wise-atp-inventory", {"inventories": items}, taken, said)

    def now(self) -> dict[str, int]:
        items = self.worker.table.items()
        return {split(key)[2]: decode_position(value)["quantity"] for key, value in items if is_position(key)}

    def reported(self) -> list[str]:
        return [reason_of(effect) for effect in self.worker.told if effect.topic == "commands.rejected"]


def reason_of(effect: Effect) -> str:
    headers = dict(effect.headers)
    assert headers["sluice-rejected-code"] == b"older_word"
    reason: bytes = headers["sluice-rejected-reason"]
    return reason.decode()


@pytest.fixture
def stock() -> Stock:
    return Stock()


def test_the_newer_word_stays_and_the_older_is_reported(stock: Stock) -> None:
    """Stock was 0; a gateway stood still with the 1, and the caller said 2 through another one."""
    before = STALE._value.get()
    stock.update(10, 0, A=0)
    stock.update(10_000, 9_990, A=2)
    stock.update(10_500, 2_000, A=1, B=7)
    assert stock.now() == {"A": 2, "B": 7}
    assert STALE._value.get() == before + 1
    [reason] = stock.reported()
    assert "1 SKUs not applied" in reason
    assert "2023-11-14T22:13:22.000Z" in reason
    assert reason.endswith("known of A")


@pytest.mark.parametrize("kind", [1, {"quantity": 1, "minExpiry": "2030-01-01T00:00:00Z"}])
def test_each_kind_of_position_remembers(stock: Stock, kind: Any) -> None:
    stock.update(10_000, 9_990, A={"quantity": 2, "minExpiry": "2031-01-01T00:00:00Z"})
    stock.update(10_500, 2_000, A=kind)
    assert stock.now() == {"A": 2}


def test_clocks_may_differ(stock: Stock) -> None:
    """The second call came 20 ms after the first was answered, by a gateway whose clock is behind."""
    stock.update(50, 45, A=1)
    stock.update(70 + APART, 45 - APART + 500, A=2)
    assert stock.now() == {"A": 2}
    assert stock.reported() == []


def test_a_word_is_compared_with_the_words_time_and_not_with_kafkas(stock: Stock) -> None:
    """Both were under way for long, and they come in order."""
    stock.update(60_000, 1_000, A=1)
    stock.update(60_100, 1_500, A=2)
    stock.update(60_200, 58_000, B=1)
    stock.update(60_300, 3_000, A=3)
    assert stock.now() == {"A": 3, "B": 1}
    stock.update(60_400, 1_500, A=4)
    assert stock.now() == {"A": 3, "B": 1}


@pytest.mark.parametrize("said", [None, 3_600_000, -PLAUSIBLE_MS - 1])
def test_without_a_plausible_time_kafkas_counts(stock: Stock, said: int | None) -> None:
    stock.update(5_000, said, A=1)
    stock.update(5_500, 5_490, A=2)
    assert stock.now() == {"A": 2}, "a clock that is ahead holds nothing up"
    stock.update(9_000, said, A=3)
    assert stock.now() == {"A": 3}


def test_the_times_survive_a_restart(stock: Stock) -> None:
    stock.update(0, -10, A=0)
    stock.update(10_000, 9_990, A=2)
    stock.update(60_000, 9_995, B=2)
    stock.worker.kill()
    stock.update(61_000, 2_000, A=1, B=1)
    assert stock.now() == {"A": 2, "B": 2}
    stock.update(61_100, 12_000, A=3, B=3)
    assert stock.now() == {"A": 3, "B": 3}


def test_what_is_decided_again_after_a_crash_is_not_older_than_what_came_behind_it(stock: Stock) -> None:
    """State was durable and the offset was not committed."""
    stock.update(0, -10, A=0)
    stock.update(10_000, 2_000, A=1)
    stock.update(20_000, 19_990, A=2)
    stock.worker.committed = 1
    stock.worker.kill()
    stock.worker.run(crash=False)
    assert stock.now() == {"A": 2}
    assert stock.reported() == [], "it was applied"


def test_an_update_that_comes_late_does_not_follow_a_snapshot(stock: Stock) -> None:
    stock.update(0, -10, A=1, B=1, C=1)
    stock.write("stock-snapshot-begin", {"complete": True}, 20_000, 19_990)
    stock.update(21_000, 5_000, A=8, B=8, C=8)
    assert stock.now() == {"A": 8, "B": 8, "C": 8}, "nothing is said of them yet"
    part = {"part": 0, "inventories": [{"channelSkuCode": "A", "quantity": 5}]}
    stock.write("stock-snapshot-part", part, 40_000, 39_990)
    stock.update(41_000, 6_000, A=9)
    assert stock.now()["A"] == 5
    stock.write("stock-snapshot-end", {"parts": 1, "complete": True}, 42_000, 41_990)
    stock.worker.run(crash=False)
    assert stock.now() == {"A": 5, "B": 0, "C": 0}
    stock.update(43_000, 7_000, B=9)
    stock.update(43_100, 25_000, C=9)
    assert stock.now() == {"A": 5, "B": 0, "C": 9}, "a snapshot's word is from its begin, also where it sets 0"


def test_a_snapshot_whose_begin_comes_late_is_given_up(stock: Stock) -> None:
    stock.update(10_000, 9_990, A=2)
    stock.write("stock-snapshot-begin", {"complete": True}, 10_500, 2_000)
    part = {"part": 0, "inventories": [{"channelSkuCode": "A", "quantity": 5}]}
    stock.write("stock-snapshot-part", part, 10_600, 2_000)
    assert stock.now() == {"A": 2}
    raw = stock.worker.table.get(snapshots_key("demo", "L1"))
    assert raw is not None
    assert [one.reason for one in decode_kept(raw).ended] == ["late"]
