"""Documents of the list of destinations."""

from __future__ import annotations

from topics.schema_base import Body


class LimitDocument(Body):
    """A limit of a budget. `limit` requests, or points, in `windowS` seconds; of a bucket, so many at once, and
    `perSecond` come back. `used`: requests whose attempts were made within the window, as far as the journal knows
    them; null: of a bucket, or of one that is counted in points. `left`: what that leaves at most."""

    name: str
    limit: int
    windowS: float | None
    perSecond: float | None
    used: int | None
    left: int | None


class QueueDocument(Body):
    """Requests of one class that wait. `priority`: cancel, hold, create, update, return, stock or background, in the
    sequence in which they leave. `held`: those that were given up and hold their lane; they take no turn."""

    priority: str
    count: int
    held: int
    oldestMs: int


class LastAttempt(Body):
    atMs: int
    touchpoint: str
    result: str
    status: int | None
    error: str | None
    tookMs: float


class PauseDocument(Body):
    """A pause that an operator began. `untilMs` null: until an operator ends it."""

    sinceMs: int
    untilMs: int | None
    by: str
    reason: str


class DestinationDocument(Body):
    """A destination. `health`: paused, quiet (it asked for that), down (its last attempts failed, those of several
    orders), failing (those of a few), working, or unknown (nothing was sent). It is judged by attempts: the breaker
    itself is in the memory of each delivery worker, whose metric `sluice_delivery_breaker_state` has it. `quietUntilMs`
    null: it may be sent to. `waiting`: all that waits, `atLeast`: there is more than was counted."""

    name: str
    kind: str
    url: str | None
    health: str
    sinceMs: int | None
    error: str | None
    quietUntilMs: int | None
    pause: PauseDocument | None
    waiting: int
    atLeast: bool
    oldestMs: int | None
    queue: list[QueueDocument]
    limits: list[LimitDocument]
    shards: int
    concurrency: int
    lastAttempt: LastAttempt | None


class DestinationList(Body):
    """Destinations, Increff first, then channels, then subscriptions. `next`: the path of the next page; null: this is
    the last."""

    destinations: list[DestinationDocument]
    next: str | None
