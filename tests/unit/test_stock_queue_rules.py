"""The rules of a stock location's queue, one by one; tests/properties/test_stock_queue.py holds them together."""

from __future__ import annotations

import pytest

from streams.delivery.stock_queue import GATHER_MS, LATE_MS, REFUSALS_MAX, Policy, StockQueue
from topics.positions import encode_position


class Stock:
    """A queue with its two tables, and how calls end."""

    def __init__(self, batch_max: int = 200) -> None:
        self.wanted: dict[str, bytes] = {}
        self.sent: dict[str, bytes] = {}
        self.now_ms = 1_000_000
        self.queue = StockQueue(self.wanted.get, self.sent.get, Policy(batch_max=batch_max), lambda: 0.999)

    def change(self, **quantities: int) -> None:
        for sku, quantity in quantities.items():
            self.wanted[sku] = position(sku, quantity)
            self.queue.changed(sku, self.now_ms)

    def take(self) -> list[str]:
        batch = self.queue.take(self.now_ms)
        return list(batch.items) if batch else []

    def take_next(self) -> list[str]:
        """Moves to the time of the next call; what has become due may gather others first."""
        skus: list[str] = []
        while not skus and (next_ms := self.queue.next_ms()) is not None:
            self.now_ms = max(self.now_ms, next_ms)
            skus = self.take()
        return skus

    def acknowledge(self, *skus: str, failed: tuple[str, ...] = (), started_ms: int | None = None) -> None:
        self.sent.update({sku: self.wanted[sku] for sku in skus})
        self.queue.answered(failed, self.now_ms if started_ms is None else started_ms, self.now_ms)


def position(sku: str, quantity: int) -> bytes:
    return encode_position({"channelSkuCode": sku, "quantity": quantity})


def test_a_first_zero_is_sent_and_an_equal_value_is_not() -> None:
    stock = Stock()
    stock.change(a=0)
    assert stock.take_next() == ["a"]
    stock.acknowledge("a")
    stock.change(a=0)
    assert stock.queue.next_ms() is None


def test_a_burst_gathers_but_a_full_batch_does_not_wait() -> None:
    stock = Stock(batch_max=3)
    stock.change(a=1)
    assert stock.take() == []
    assert stock.queue.next_ms() == stock.now_ms + GATHER_MS
    stock.change(b=1, c=1)
    assert stock.take() == ["a", "b", "c"]


def test_out_of_stock_goes_first_then_the_longest_dirty() -> None:
    stock = Stock(batch_max=2)
    stock.change(a=1, b=1, c=0, d=1)
    assert stock.take() == ["c", "a"]
    stock.acknowledge("c", "a")
    assert stock.take() == ["b", "d"]


def test_a_sku_in_flight_is_locked_and_its_change_follows() -> None:
    stock = Stock()
    stock.change(a=1)
    assert stock.take_next() == ["a"]
    in_flight = stock.wanted["a"]
    stock.change(a=2)
    assert stock.take_next() == []
    stock.sent["a"] = in_flight
    stock.queue.answered((), stock.now_ms, stock.now_ms)
    assert stock.take_next() == ["a"]


def test_a_failed_sku_waits_longer_each_time_while_others_go_on() -> None:
    stock = Stock()
    stock.change(a=1)
    waits = []
    for _ in range(4):
        assert stock.take_next() == ["a"]
        stock.acknowledge(failed=("a",))
        next_ms = stock.queue.next_ms()
        assert next_ms is not None
        waits.append(next_ms - stock.now_ms)
        assert stock.queue.doubtful() == set(), "the channel said that it did not take it"
    assert waits == sorted(waits)
    assert waits[-1] >= 4 * waits[0]
    stock.change(b=1)
    assert stock.take_next() == ["b"]


def test_a_new_value_of_a_failed_sku_is_tried_soon() -> None:
    stock = Stock()
    stock.change(a=1)
    for _ in range(8):
        stock.take_next()
        stock.acknowledge(failed=("a",))
    stock.change(a=0)
    next_ms = stock.queue.next_ms()
    assert next_ms is not None
    assert next_ms - stock.now_ms <= 1_000


def test_a_lost_call_is_followed_at_once_and_again_when_it_can_no_longer_arrive() -> None:
    stock = Stock()
    stock.change(a=1)
    assert stock.take_next() == ["a"]
    left_ms = stock.now_ms
    stock.now_ms += 30_000
    stock.queue.failed(stock.now_ms, lost_since_ms=left_ms)
    assert stock.take_next() == ["a"]
    stock.acknowledge("a")
    assert stock.queue.doubtful() == {"a"}
    assert stock.take_next() == ["a"]
    assert left_ms + LATE_MS <= stock.now_ms <= left_ms + LATE_MS + GATHER_MS
    stock.acknowledge("a")
    assert stock.queue.doubtful() == set()
    assert len(stock.queue) == 0


def test_after_an_error_the_sku_is_sent_even_if_its_position_returned() -> None:
    stock = Stock()
    stock.change(a=1)
    stock.take_next()
    stock.acknowledge("a")
    stock.change(a=2)
    stock.take_next()
    stock.change(a=1)
    stock.queue.failed(stock.now_ms)
    assert stock.wanted == stock.sent
    assert stock.take_next() == ["a"]


def test_a_refused_batch_is_halved_until_the_bad_sku_is_alone() -> None:
    stock = Stock(batch_max=64)
    stock.change(**{f"s{number}": 1 for number in range(64)})
    calls, batch = 0, stock.take()
    while batch and set(stock.sent) != {f"s{number}" for number in range(64) if number != 37}:
        calls += 1
        if "s37" in batch:
            stock.queue.refused(stock.now_ms)
        else:
            stock.acknowledge(*batch)
        batch = stock.take_next()
    assert set(stock.sent) == {f"s{number}" for number in range(64) if number != 37}
    assert calls <= 30


def test_a_channel_that_refuses_everything_is_asked_less_and_less() -> None:
    stock = Stock()
    stock.change(**{f"s{number}": 1 for number in range(200)})
    began_ms = stock.now_ms
    for _ in range(REFUSALS_MAX + 6):
        assert stock.take_next()
        stock.queue.refused(stock.now_ms)
    assert stock.now_ms - began_ms > 10_000


def test_a_throttled_call_waits_as_long_as_it_was_told_and_leaves_no_doubt() -> None:
    stock = Stock()
    stock.change(a=1)
    stock.take_next()
    stock.queue.throttled(stock.now_ms, stock.now_ms + 5_000)
    assert stock.queue.doubtful() == set()
    assert stock.queue.next_ms() == stock.now_ms + 5_000


def test_what_was_in_flight_at_a_crash_is_sent_though_nothing_differs() -> None:
    stock = Stock()
    stock.wanted["a"] = stock.sent["a"] = position("a", 1)
    stock.queue.recover(["a", "gone"], stock.now_ms)
    assert stock.take_next() == ["a"]
    stock.acknowledge("a")
    assert stock.take_next() == ["a"], "the killed worker's call could arrive until now"
    stock.acknowledge("a")
    assert stock.queue.next_ms() is None


def test_memory_does_not_grow_with_the_changes_of_a_sku_that_waits() -> None:
    stock = Stock()
    stock.change(a=1)
    stock.take_next()
    stock.queue.throttled(stock.now_ms, stock.now_ms + 60_000)
    for number in range(10_000):
        stock.change(a=number % 2, b=number % 2)
    assert len(stock.queue) == 2
    assert len(stock.queue._ready.items) < 200


def test_an_answer_without_a_call_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="no call is in flight"):
        Stock().queue.refused(0)
