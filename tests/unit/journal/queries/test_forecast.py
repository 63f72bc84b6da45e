"""The forecast warns of the orders that a slower warehouse will miss, hours before, and of few others."""

from __future__ import annotations

from collections import deque
from random import Random

from journal.queries.due import InQueue, Packed
from journal.queries.forecast import HOUR_MS, LOOK_BACK_MS, RECENT_MS, Rate, forecasts, rates

NOW_MS = 1_750_000_000_000
MINUTE_MS = 60_000


def queued(count: int, location: str | None = "L") -> list[InQueue]:
    return [InQueue(f"o{number}", 1, location, NOW_MS + number) for number in range(count)]


def test_a_place_in_the_queue_becomes_a_time_by_the_rate_of_the_last_hour() -> None:
    known = rates(queued(4), [Packed("L", 100, 20)], NOW_MS - LOOK_BACK_MS, NOW_MS)
    assert known == {"L": Rate(20.0, 4, is_recent=True)}
    found = forecasts(queued(4), known, NOW_MS)
    assert [one.place for one in found.values()] == [1, 2, 3, 4]
    assert [one.at_ms for one in found.values()] == [NOW_MS + place * 3 * MINUTE_MS for place in (1, 2, 3, 4)]


def test_an_hour_with_too_little_counts_together_with_those_before() -> None:
    (rate,) = rates(queued(1), [Packed("L", 8, 2)], NOW_MS - LOOK_BACK_MS, NOW_MS).values()
    assert (round(rate.per_hour, 6), rate.is_recent) == (2.0, False)


def test_of_many_shipments_the_time_of_the_newest_counts() -> None:
    (rate,) = rates([], [Packed("L", 50, 50)], NOW_MS - 30 * MINUTE_MS, NOW_MS).values()
    assert rate.per_hour == 100


def test_nobody_can_say_when_nothing_is_packed_or_several_locations_pack() -> None:
    queue = [*queued(1), *queued(1, None)]
    known = rates(queue, [Packed(None, 9, 9)], NOW_MS - LOOK_BACK_MS, NOW_MS)
    assert known == {"L": Rate(0.0, 1, is_recent=False)}
    (only,) = forecasts(queue, known, NOW_MS).values()
    assert (only.place, only.at_ms) == (1, None)


def test_a_warehouse_that_slows_down_is_noticed_two_hours_before_its_orders_are_late() -> None:
    """It packs 60 an hour as fast as orders come, and 20 an hour after ten hours. Orders are due six hours after they
    came. Of those that are late later nine in ten are listed two hours before; of those listed one in five is not."""
    random = Random(7)
    received = sorted(random.uniform(0, 30 * HOUR_MS) for _ in range(30 * 60))
    orders = [(at, at + 6 * HOUR_MS) for at in received]
    waiting: deque[int] = deque()
    packed_at: dict[int, float] = {}
    listed_at: dict[int, float] = {}
    newest: list[float] = []
    coming, next_pack = 0, 0.0
    for now in range(0, 30 * HOUR_MS, 5 * MINUTE_MS):
        while next_pack <= now:
            while coming < len(orders) and orders[coming][0] <= next_pack:
                waiting.append(coming)
                coming += 1
            per_hour = 60 if next_pack < 10 * HOUR_MS else 20
            if waiting:
                packed_at[waiting.popleft()] = next_pack
                newest.append(next_pack)
            next_pack += HOUR_MS / per_hour * random.uniform(0.7, 1.3)
        since = [at for at in newest if at >= now - LOOK_BACK_MS]
        recently = sum(at >= now - RECENT_MS for at in since)
        queue = [InQueue(str(number), 0, "L", int(orders[number][1])) for number in waiting]
        if not queue:
            continue
        known = rates(queue, [Packed("L", len(since), recently)], max(now - LOOK_BACK_MS, 0), now)
        for (name, _), one in forecasts(queue, known, now).items():
            if one.at_ms is not None and one.at_ms > orders[int(name)][1]:
                listed_at.setdefault(int(name), now)
    ended = [number for number, (_, due) in enumerate(orders) if due < 30 * HOUR_MS]
    late = {number for number in ended if packed_at.get(number, 31 * HOUR_MS) > orders[number][1]}
    in_time = {number for number in late if listed_at.get(number, 31 * HOUR_MS) <= orders[number][1] - 2 * HOUR_MS}
    listed = {number for number in ended if number in listed_at}
    assert len(late) > 300
    assert len(in_time) >= 0.9 * len(late)
    assert len(listed - late) <= 0.2 * len(listed)
