"""Documents of the orders that must be handed over soon."""

from __future__ import annotations

from topics.schema_base import Body


class DueOrder(Body):
    """An open order with its `dispatchByTime`. `group`: overdue, 2h, 4h, today or later. `unitsOpen` 0: it is packed
    and waits to be handed over. `place`: in the queue of its location, from 1; `packedMs`: when it will be packed, by
    the rate of its location; both null: nothing is left to pack, several locations pack it, or nobody can say.
    `isLate`: it will be packed after it is due."""

    channel: str
    code: str
    state: str
    stateSinceMs: int
    location: str | None
    dueMs: int
    group: str
    units: int | None
    unitsOpen: int | None
    place: int | None
    packedMs: int | None
    isLate: bool


class LocationRate(Body):
    """How fast a location packs. `perHour`: shipments an hour, of the last hour or, where that says too little, of the
    last four. `queued`: orders that it has to pack; `doneMs`: when it will have packed these, null: nobody can say.
    `late`: those of them that will be packed after they are due."""

    location: str
    perHour: float
    queued: int
    doneMs: int | None
    late: int


class DueCounts(Body):
    """Open orders that are overdue, due within two hours, within four, and until the end of the day, each without those
    before. `more`: there are more than these."""

    overdue: int
    within2h: int
    within4h: int
    today: int
    more: bool


class DueList(Body):
    """Open orders, those due first before others, and the rates of the locations of this page. `dayEndsMs`: the end of
    today. `next`: as in DeliveryList."""

    nowMs: int
    dayEndsMs: int
    counts: DueCounts
    locations: list[LocationRate]
    orders: list[DueOrder]
    next: str | None
