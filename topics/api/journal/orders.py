"""Documents of the lists of orders."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from topics.schema_base import Body


class ListedWait(Body):
    """A wait in short; the story of the order has its proof and what to do about it. `untilMs` null: nobody knows."""

    cause: str
    sentence: str
    sinceMs: int
    untilMs: int | None
    destination: str
    touchpoint: str


class ListedOrder(Body):
    """An order, return or manifest in a list. `dueMs`: its `dispatchByTime`. `wait`: what it waits for; with `cause`
    asked for, the wait of that cause; null: it waits for nothing."""

    channel: str
    kind: str
    code: str
    state: str
    stateSinceMs: int
    receivedMs: int
    isOpen: bool
    location: str | None
    dueMs: int | None
    units: int | None
    unitsOpen: int | None
    stuckStep: str | None
    wait: ListedWait | None


class OrderList(Body):
    """A page of orders, the newest first. With a cause of requests, those that wait longest first; with `dueWithin`,
    those that are due first. `next`: the path of the next page; null: this is the last. A page with a cause may be
    short, or empty, and still have a `next`."""

    orders: list[ListedOrder]
    next: str | None = Field(default=None)


class FoundId(Body):
    """An id, and the order, return or manifest that it leads to. `idKind`: `order`, `return`, `manifest`, `shipment`,
    `awb`, `invoice`, `manifest-code`; `forward`: the forward order of a return; `event`: of a command; `delivery`: of
    a request to a subscriber. `state` null: no fact of it is known."""

    id: str
    idKind: str
    channel: str
    kind: str
    code: str
    state: str | None
    receivedMs: int


class SearchDocument(Body):
    """All that an id leads to: first where it is the whole id, then where an id begins with it. `more`: there are more
    than are shown."""

    found: list[FoundId]
    more: bool


class TimelineBody(Body):
    """A body, by reference: `/api/deliveries` of the order has it with `bodies`, as far as it is kept.
    `form`: `plain`, `encrypted`, or `reduced` to members that name nobody."""

    kind: str
    id: str
    form: str
    bytes: int


class TimelineEntry(Body):
    """A record that has to do with an order. `topic`: its name in the catalogue. `kind`: fact, request, attempt,
    waiting, dead-letter, refused-call or action. `data`: what the journal keeps of it."""

    atMs: int
    kind: str
    name: str
    topic: str
    partition: int
    offset: int
    data: dict[str, Any]
    body: TimelineBody | None


class TimelineDocument(Body):
    """Everything about an order, the oldest first. `next`: the path of the next page; null: this is the last."""

    key: str
    entries: list[TimelineEntry]
    next: str | None = Field(default=None)
