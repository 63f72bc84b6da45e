"""The location of an order: Increff identifies an order by it too (contract 0.3)."""

from __future__ import annotations

from streams.order.model.decision import Ruling, conflict
from streams.order.model.entities import Order


def misplaced(order: Order, location: str | None) -> Ruling | None:
    """The conflict of a call that names a second location of an order that is not split; None when there is none.

    A split order has no location: each of its sub-orders names its own (contract 0.4, 8).
    """
    if not location or order.split or order.location is None or location == order.location:
        return None
    return conflict(
        f"order {order.code} is at location {order.location} and was not created with isSplitRequired: it is not known "
        f"at {location}"
    )
