"""The order of stock: who is more urgent, and queues that any SKU may leave while the others keep their places."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.delivery.stock.queue.ordering import (
    BACK_IN_STOCK,
    CHUNK,
    FIRST_ZERO,
    OUT_OF_STOCK,
    RANKS,
    Fifo,
    Timers,
    rank_of,
)

quantities = st.integers(1, 10_000)
skus = st.integers(0, 30).map(str)


@given(quantities, quantities, quantities)
def test_what_cannot_be_sold_any_more_is_first_and_a_larger_change_is_never_behind_a_smaller(
    sent: int, one: int, other: int
) -> None:
    assert rank_of(0, sent) == OUT_OF_STOCK
    assert rank_of(0, None) == FIRST_ZERO
    assert rank_of(one, 0) == rank_of(one, None) == BACK_IN_STOCK
    less, more = sorted((one, other), key=lambda wanted: abs(wanted - sent) / max(wanted, sent))
    assert BACK_IN_STOCK < rank_of(more, sent) <= rank_of(less, sent) < RANKS
    assert rank_of(one, sent) == rank_of(sent, one), "a change counts as much as the way back"


@given(st.lists(st.tuples(skus, st.booleans()), max_size=80))
def test_a_queue_gives_what_came_back_first_and_then_what_came_first(steps: list[tuple[str, bool]]) -> None:
    """A SKU that is in there leaves, one that is not comes; what is `first` comes back."""
    queue, places = Fifo(), dict[str, int]()
    back: list[str] = []
    new: list[str] = []
    for sku, first in steps:
        if sku in places:
            queue.remove(sku, places.pop(sku))
            (back if sku in back else new).remove(sku)
        else:
            places[sku] = queue.add(sku, first=first)
            (back if first else new).append(sku)
        assert list(queue) == back + new
        assert len(queue) == len(places)


def test_a_queue_of_many_keeps_no_chunk_that_is_empty() -> None:
    queue = Fifo()
    places = {str(number): queue.add(str(number)) for number in range(10 * CHUNK)}
    for sku in list(places)[: 9 * CHUNK]:
        queue.remove(sku, places[sku])
    assert len(queue._chunks) == 1
    assert list(queue) == list(places)[9 * CHUNK :]


@given(st.lists(st.tuples(skus, st.integers(1, 20)), max_size=60), st.integers(0, 20), st.integers(1, 10))
def test_a_timer_is_due_at_its_time_once_and_not_when_it_was_taken_back(
    steps: list[tuple[str, int]], now_ms: int, most: int
) -> None:
    timers, known = Timers(), dict[str, int]()
    for sku, due_ms in steps:
        if sku in known:
            timers.remove(sku, known.pop(sku))
        else:
            timers.add(sku, due_ms)
            known[sku] = due_ms
        assert timers.next_ms() == min(known.values(), default=None)
    expected = {sku for sku, due_ms in known.items() if due_ms <= now_ms}
    due: list[str] = []
    while taken := timers.pop_due(now_ms, most):
        assert len(taken) <= most
        due += taken
    assert sorted(due) == sorted(expected)
    assert timers.next_ms() == min((due_ms for due_ms in known.values() if due_ms > now_ms), default=None)
