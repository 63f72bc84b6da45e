"""What an order is told by the entities around it."""

from __future__ import annotations

from streams.order import limits
from streams.order.model import Order
from streams.order.turn import APPLIED, DUPLICATE, Ruling, Turn


def return_opened(turn: Turn[Order]) -> Ruling:
    """A return of this order was created: listed, so that the order leads to it."""
    order, code = turn.entity, turn.event.body["returnOrderCode"]
    if code in order.returns:
        return DUPLICATE
    order.returns.append(code)
    del order.returns[: -limits.RETURNS_MAX]
    return APPLIED
