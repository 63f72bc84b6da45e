"""When each order will be packed, by how fast its own location packs. Pure.

A location packs its orders in the sequence in which they are due, at the rate of its last hour; where that hour has too
few shipments to say anything, as after a break, at the rate of the last hours together. An order that is overdue for
days is in no queue: nobody packs it any more, and it would hold up the forecast of all others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from journal.queries.due import InQueue, Packed

HOUR_MS: Final = 3_600_000
LOOK_BACK_MS: Final = 4 * HOUR_MS
"""Half a shift: a rate of yesterday says nothing of today."""
RECENT_MS: Final = HOUR_MS
"""A location that slows down shows it within an hour."""
RECENT_MIN: Final = 3
"""Shipments of the last hour that say how fast it packs now."""
GIVEN_UP_MS: Final = 3 * 24 * HOUR_MS
"""An order that is overdue for longer is in no queue."""

OrderId = tuple[str, int]
"""Key of an order, and when it was received."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast a location packs. `per_hour` 0: it has packed nothing lately. `queued`: orders that it has to pack."""

    per_hour: float
    queued: int
    is_recent: bool

    def done_ms(self, place: int, now_ms: int) -> int | None:
        """When the order at this place of the queue, from 1, will be packed; None: nobody can say."""
        return now_ms + round(place / self.per_hour * HOUR_MS) if self.per_hour else None


@dataclass(frozen=True, slots=True)
class Forecast:
    """`place`: of the order in its location's queue, from 1. `at_ms`: when it will be packed; None: nobody can say."""

    place: int
    at_ms: int | None


def rates(queue: Iterable[InQueue], packed: Iterable[Packed], began_ms: int, now_ms: int) -> dict[str, Rate]:
    """The rate of each location with a queue or with packed shipments. `began_ms`: since when these are counted."""
    queued = Counter(one.location for one in queue if one.location is not None)
    found = {one.location: one for one in packed if one.location is not None}
    return {
        name: _rate(found.get(name), queued[name], began_ms, now_ms) for name in sorted(found.keys() | queued.keys())
    }


def _rate(packed: Packed | None, queued: int, began_ms: int, now_ms: int) -> Rate:
    if packed is None:
        return Rate(0.0, queued, is_recent=False)
    looked_ms = max(now_ms - began_ms, 1)
    if packed.recently >= RECENT_MIN:
        return Rate(packed.recently / min(RECENT_MS, looked_ms) * HOUR_MS, queued, is_recent=True)
    return Rate(packed.count / looked_ms * HOUR_MS, queued, is_recent=False)


def forecasts(queue: Iterable[InQueue], known: Mapping[str, Rate], now_ms: int) -> dict[OrderId, Forecast]:
    """The forecast of each order of the queues. `queue`: in the sequence in which orders are due."""
    places: Counter[str] = Counter()
    found: dict[OrderId, Forecast] = {}
    for one in queue:
        if one.location is None:
            continue  # several locations pack it, and it is not known which lines
        places[one.location] += 1
        place = places[one.location]
        found[one.order_key, one.received_ms] = Forecast(place, known[one.location].done_ms(place, now_ms))
    return found
