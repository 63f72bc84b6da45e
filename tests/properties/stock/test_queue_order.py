"""What a location with more dirty SKUs than its calls carry sends first, and that nothing waits for ever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.delivery.stock.queue.backoff import QueuePolicy
from streams.delivery.stock.queue.dirty_queue import DirtyQueue
from tests.fakes.stock_tables import TwoTables
from topics.stock.positions import encode_position


def position(sku: str, quantity: int) -> bytes:
    return encode_position({"channelSkuCode": sku, "quantity": quantity})


@dataclass
class Saturated:
    """A location whose channel takes one call in the time in which more becomes dirty."""

    batch_max: int
    quantities: dict[str, int] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    queue: DirtyQueue = field(init=False)

    def __post_init__(self) -> None:
        wanted, sent = self._of(self.quantities), self._of(self.told)
        policy = QueuePolicy(batch_max=self.batch_max, gather_ms=0)
        self.queue = DirtyQueue(TwoTables(wanted, sent), policy, lambda: 0.5)

    def _of(self, quantities: dict[str, int]) -> Callable[[str], bytes | None]:
        return lambda sku: position(sku, quantities[sku]) if sku in quantities else None

    def change(self, sku: str, quantity: int) -> None:
        self.quantities[sku] = quantity
        self.queue.compare(sku, 0)

    def call(self) -> list[str]:
        batch = self.queue.pop_batch(0)
        if batch is None:
            return []
        self.told.update({sku: self.quantities[sku] for sku in batch.items})
        self.queue.answered(batch, (), 0, 0)
        return list(batch.items)


many_changes = st.lists(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), min_size=1, max_size=12), min_size=1, max_size=60
)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 12), many_changes)
def test_nothing_waits_longer_than_what_was_dirty_before_it_takes(
    batch_max: int, rounds: list[list[tuple[int, int]]]
) -> None:
    """However urgent what comes later is, each SKU is sent in a bounded number of calls."""
    stock = Saturated(batch_max)
    latest: dict[str, int] = {}
    for number, changes in enumerate(rounds):
        for sku_number, quantity in changes:
            sku = f"s{sku_number}"
            stock.change(sku, quantity)
            if stock.quantities[sku] == stock.told.get(sku):
                latest.pop(sku, None)
            elif sku not in latest:
                latest[sku] = number + -(-8 * len(stock.queue) // batch_max) + 1
        for sku in stock.call():
            latest.pop(sku, None)
        assert all(number <= limit for limit in latest.values())


@settings(max_examples=200, deadline=None)
@given(st.integers(8, 40), many_changes, st.integers(1, 6))
def test_what_goes_out_of_stock_is_in_the_next_call_though_all_else_changes(
    batch_max: int, rounds: list[list[tuple[int, int]]], emptied: int
) -> None:
    stock = Saturated(batch_max)
    for number in range(emptied):
        stock.change(f"gone{number}", 1)
        stock.call()
    for changes in rounds:
        for sku, quantity in changes:
            stock.change(f"s{sku}", quantity + 1)
    for number in range(emptied):
        stock.change(f"gone{number}", 0)
    called = stock.call()
    assert {f"gone{number}" for number in range(emptied)} <= set(called)
    assert all(sku.startswith("gone") for sku in called[:emptied])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3)), min_size=1, max_size=300))
def test_out_of_stock_goes_first_then_what_is_back_then_the_largest_change(changes: list[tuple[int, int]]) -> None:
    """Seven eighths of a call; the rest has waited longest."""
    stock = Saturated(16)
    for number, quantity in changes:
        stock.change(f"s{number}", quantity)
    while called := stock.call():
        urgent = [stock.quantities[sku] > 0 for sku in called[: 16 - 2]]
        assert urgent == sorted(urgent)
    assert stock.told == stock.quantities
