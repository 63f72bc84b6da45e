"""The rules of a stock location's queue, one by one; tests/properties/stock/test_queue.py holds them together."""

from __future__ import annotations

import pytest

from streams.delivery.stock.queue.backoff import LATE_MS, REFUSALS_MAX, QueuePolicy
from streams.delivery.stock.queue.dirty_queue import Batch, DirtyQueue, RefusalChanges, Refused
from streams.delivery.stock.queue.entries import ALONE_TURN
from tests.fakes.stock_tables import TwoTables
from topics.configuration.stock import GATHER_MS
from topics.stock.positions import encode_position


class Stock:
    """A queue with its two tables, and how calls end. `batch`: the last that was taken."""

    def __init__(self, batch_max: int = 200, refused_after: int = 8) -> None:
        self.wanted: dict[str, bytes] = {}
        self.sent: dict[str, bytes] = {}
        self.now_ms = 1_000_000
        policy = QueuePolicy(batch_max=batch_max, refused_after=refused_after)
        self.queue = DirtyQueue(TwoTables(self.wanted.get, self.sent.get), policy, lambda: 0.999)
        self.batch = Batch(0, {})

    def change(self, **quantities: int) -> None:
        for sku, quantity in quantities.items():
            self.wanted[sku] = position(sku, quantity)
            self.queue.compare(sku, self.now_ms)

    def take(self) -> list[str]:
        batch = self.queue.pop_batch(self.now_ms)
        self.batch = batch or self.batch
        return list(batch.items) if batch else []

    def take_next(self) -> list[str]:
        """Moves to the time of the next call; what has become due may gather others first."""
        skus: list[str] = []
        while not skus and (next_ms := self.queue.next_ms()) is not None:
            self.now_ms = max(self.now_ms, next_ms)
            skus = self.take()
        return skus

    def acknowledge(self, *skus: str, failed: tuple[str, ...] = (), started_ms: int | None = None) -> None:
        self.sent.update({sku: self.batch.items[sku] for sku in skus})
        self.queue.answered(self.batch, failed, self.now_ms if started_ms is None else started_ms, self.now_ms)


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


def test_out_of_stock_goes_first_then_what_is_back_then_the_largest_change() -> None:
    stock = Stock(batch_max=7)
    stock.change(small=100, large=100, gone=5, back=0)
    assert set(stock.take_next()) == {"small", "large", "gone", "back"}
    stock.acknowledge("small", "large", "gone", "back")
    stock.change(small=90, large=10, back=1, new=3, gone=0, zero=0, least=1)
    assert stock.take() == ["gone", "zero", "back", "new", "least", "large", "small"]


def test_an_eighth_of_what_goes_has_waited_longest() -> None:
    """One call in eight where a call has one SKU."""
    stock = Stock(batch_max=1)
    stock.change(old=100)
    assert stock.take_next() == ["old"]
    stock.acknowledge("old")
    stock.change(old=99)
    order = []
    for number in range(8):
        stock.change(**{f"new{number}": 1})
        [sku] = stock.take_next()
        order.append(sku)
        stock.acknowledge(sku)
    assert 0 < order.index("old") < 8


def test_calls_that_overlap_have_no_sku_in_common() -> None:
    stock = Stock(batch_max=2)
    stock.change(a=1, b=1, c=1)
    assert stock.take() == ["a", "b"]
    first = stock.batch
    stock.change(a=0)
    assert stock.take() == ["c"]
    stock.change(d=0)
    assert stock.take_next() == ["d"], "a hanging call holds up nothing else"
    stock.sent.update(first.items)
    stock.queue.answered(first, (), stock.now_ms, stock.now_ms)
    assert stock.take_next() == ["a"]


def test_a_sku_in_flight_is_locked_and_its_change_follows() -> None:
    stock = Stock()
    stock.change(a=1)
    assert stock.take_next() == ["a"]
    stock.change(a=2)
    assert stock.take_next() == []
    stock.acknowledge("a")
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
        assert not stock.queue.is_doubtful("a"), "the channel said that it did not take it"
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
    stock.queue.failed(stock.batch, stock.now_ms, lost_since_ms=left_ms)
    assert stock.take_next() == ["a"]
    stock.acknowledge("a")
    assert stock.queue.is_doubtful("a")
    assert stock.take_next() == ["a"]
    assert left_ms + LATE_MS <= stock.now_ms <= left_ms + LATE_MS + GATHER_MS
    stock.acknowledge("a")
    assert not stock.queue.is_doubtful("a")
    assert len(stock.queue) == 0


def test_after_an_error_the_sku_is_sent_even_if_its_position_returned() -> None:
    stock = Stock()
    stock.change(a=1)
    stock.take_next()
    stock.acknowledge("a")
    stock.change(a=2)
    stock.take_next()
    stock.change(a=1)
    stock.queue.failed(stock.batch, stock.now_ms)
    assert stock.wanted == stock.sent
    assert stock.take_next() == ["a"]


def test_a_refused_batch_is_halved_until_the_bad_sku_is_alone() -> None:
    stock = Stock(batch_max=64)
    stock.change(**{f"s{number}": 1 for number in range(64)})
    calls, batch = 0, stock.take()
    while batch and set(stock.sent) != {f"s{number}" for number in range(64) if number != 37}:
        calls += 1
        if "s37" in batch:
            stock.queue.refused(stock.batch, stock.now_ms)
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
        stock.queue.refused(stock.batch, stock.now_ms)
    assert stock.now_ms - began_ms > 10_000


def test_a_throttled_call_waits_as_long_as_it_was_told_and_leaves_no_doubt() -> None:
    stock = Stock()
    stock.change(a=1)
    stock.take_next()
    stock.queue.throttled(stock.batch, stock.now_ms, stock.now_ms + 5_000)
    assert not stock.queue.is_doubtful("a")
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


def test_others_go_in_full_calls_while_a_bad_sku_is_searched_and_when_it_is_known() -> None:
    stock = Stock(batch_max=8)
    stock.change(**{f"s{number}": 1 for number in range(8)})
    assert len(stock.take()) == 8
    stock.queue.refused(stock.batch, stock.now_ms)
    sizes, alone = [], 0
    for number in range(10 * ALONE_TURN):
        stock.change(**{f"t{number}-{each}": 1 for each in range(8)})
        batch = stock.take_next()
        alone += batch == ["s3"]
        sizes.append(len(batch))
        if "s3" in batch:
            stock.queue.refused(stock.batch, stock.now_ms)
        else:
            stock.acknowledge(*batch)
        stock.now_ms += 1_000
    assert sizes.count(8) >= len(sizes) // 2
    assert 1 < alone <= 10
    assert all(f"s{number}" in stock.sent for number in range(8) if number != 3)


def test_a_channel_that_refuses_many_takes_the_others_in_every_second_call() -> None:
    stock = Stock(batch_max=64)
    stock.change(**{f"bad{number}": 1 for number in range(64)})
    stock.take()
    stock.queue.refused(stock.batch, stock.now_ms)
    good = 0
    for number in range(20):
        stock.change(**{f"good{number}": 1})
        batch = stock.take_next()
        if all(sku.startswith("good") for sku in batch):
            good += 1
            stock.acknowledge(*batch)
        else:
            stock.queue.refused(stock.batch, stock.now_ms)
    assert good >= 10


def test_a_sku_that_is_refused_again_and_again_is_reported_once_and_again_when_it_is_taken() -> None:
    stock = Stock(refused_after=3)
    stock.change(a=1)
    began_ms, changes = stock.now_ms + GATHER_MS, []
    for _ in range(5):
        stock.take_next()
        stock.acknowledge(failed=("a",))
        changes.append(stock.queue.pop_refusal_changes())
    assert changes[2] == RefusalChanges(refused=[Refused("a", 3, began_ms)])
    assert not any(changes[:2] + changes[3:])
    assert stock.queue.refusals == 1
    stock.take_next()
    stock.acknowledge("a")
    assert stock.queue.pop_refusal_changes() == RefusalChanges(accepted=["a"])


def test_a_refusal_ends_when_the_position_is_what_the_channel_has() -> None:
    stock = Stock(refused_after=1)
    stock.change(a=1)
    stock.take_next()
    stock.acknowledge("a")
    stock.change(a=2)
    stock.take_next()
    stock.acknowledge(failed=("a",))
    assert stock.queue.refusals == 1
    stock.change(a=1)
    assert stock.queue.pop_refusal_changes().accepted == ["a"]
    stock.queue.count_as_refused(["a"])
    stock.change(a=1)
    assert stock.queue.pop_refusal_changes().accepted == ["a"], "as it is found when a location is taken over"


def test_an_outage_makes_no_sku_count_as_refused() -> None:
    """A SKU that is alone in the failing calls of a channel that takes nothing is not at fault."""
    stock = Stock(refused_after=2)
    stock.change(a=1)
    for _ in range(10):
        stock.take_next()
        stock.queue.failed(stock.batch, stock.now_ms)
    assert stock.queue.refusals == 0
    stock.change(b=1)
    while "b" not in stock.take_next():
        stock.queue.failed(stock.batch, stock.now_ms)
    stock.acknowledge("b")
    for _ in range(2):
        stock.take_next()
        stock.queue.failed(stock.batch, stock.now_ms)
    assert stock.queue.refusals == 1, "the channel takes others, and not this one"


def test_what_is_clean_is_sent_again_when_nothing_else_is() -> None:
    stock = Stock(batch_max=2)
    stock.change(a=1, b=1, c=1)
    while skus := stock.take_next():
        stock.acknowledge(*skus)
    stock.queue.send_again(["a", "b", "c", "unknown"])
    assert stock.queue.only_resends
    stock.change(d=1)
    assert stock.take_next() == ["d"]
    stock.acknowledge("d")
    assert stock.take_next() == ["a", "b"]
    assert stock.queue.resends("a")
    stock.acknowledge("a", "b")
    assert not stock.queue.resends("a")
    assert stock.take_next() == ["c"]
    stock.queue.failed(stock.batch, stock.now_ms)
    assert stock.take_next() == ["c"], "it is not known whether it was applied"
    stock.acknowledge("c")
    assert stock.queue.next_ms() is None
    assert stock.queue.resending == 0


def test_a_call_that_began_before_does_not_count_as_sending_again() -> None:
    stock = Stock()
    stock.change(a=1)
    stock.take_next()
    stock.queue.send_again(["a"])
    assert stock.take_next() == []
    stock.acknowledge("a")
    assert stock.queue.resends("a")
    assert stock.take_next() == ["a"]
    stock.acknowledge("a")
    assert not stock.queue.resends("a")


def test_what_is_sent_anyway_is_not_sent_again() -> None:
    stock = Stock()
    stock.change(a=1)
    stock.queue.send_again(["a"])
    assert stock.take_next() == ["a"]
    stock.acknowledge("a")
    assert stock.queue.next_ms() is None


def test_a_success_does_not_shorten_the_quiet_that_another_call_was_asked_for() -> None:
    stock = Stock(batch_max=1)
    stock.change(a=1, b=1, c=1)
    stock.take()
    first = stock.batch
    stock.take()
    stock.queue.throttled(first, stock.now_ms, stock.now_ms + 5_000)
    stock.acknowledge("b")
    assert stock.queue.next_ms() == stock.now_ms + 5_000


def test_work_and_memory_do_not_grow_with_the_changes_of_a_sku_that_waits() -> None:
    stock = Stock()
    stock.change(a=1)
    stock.take_next()
    stock.queue.throttled(stock.batch, stock.now_ms, stock.now_ms + 60_000)
    for number in range(10_000):
        stock.change(a=number % 2, b=number % 2)
    assert len(stock.queue) == 2
    waiting = stock.queue._waiting
    assert sum(len(queue) for queue in waiting._queues) == waiting.ready == 2
    assert sum(len(queue._chunks) for queue in (*waiting._queues, waiting._by_age)) < 100


def test_a_call_ends_once() -> None:
    stock = Stock()
    stock.change(a=1)
    stock.take_next()
    stock.queue.refused(stock.batch, stock.now_ms)
    with pytest.raises(RuntimeError, match="is not in flight"):
        stock.queue.refused(stock.batch, stock.now_ms)
