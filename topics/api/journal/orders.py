"""Documents of the lists of orders."""

from __future__ import annotations

from pydantic import Field

from topics.schema_base import Body


class ListedOrder(Body):
    """An order, return or manifest in a list. `dueMs`: its `dispatchByTime`."""

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


class OrderList(Body):
    """A page of orders, the newest first. `next`: the path of the next page; null: this is the last."""

    orders: list[ListedOrder]
    next: str | None = Field(default=None)
