"""Revival: Increff names an order that counts as refused by it, so Increff has the order.

A Create may take effect although its answer is lost. A later refusal then says nothing about the order, and a user of
Increff may also bring back by hand what Increff refused. In both cases what Increff says about the order is the proof:
the order goes on as if the Create had been taken, and a fact withdraws `order-rejected`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streams.order.forward.progress import order_context, reach_milestone, settle_order
from streams.order.model.decision import Decision, Ruling
from streams.order.model.entities import Order
from streams.order.model.states import OrderState
from streams.order.storage.encoding import copy_entity
from topics.records.verdicts import Verdict

Handler = Callable[[Decision[Order]], Ruling]


def reviving(handler: Handler) -> Handler:
    """The handler of an event by which Increff names a rejected order: the order is revived, then the event decided.

    A call that names a second location is about another order (contract 0.3), and revives nothing.
    """

    def revive_and_handle(decision: Decision[Order]) -> Ruling:
        copy = copy_entity(decision.entity)
        trial: Decision[Any] = Decision(copy, decision.event, decision.now_ms, decision.lookup)
        revive_order(trial)
        if handler(trial).verdict is Verdict.CONFLICT:
            return handler(decision)
        revive_order(decision)
        return handler(decision)

    return revive_and_handle


def revive_order(decision: Decision[Order]) -> None:
    """The order counts as taken by Increff from now on."""
    order, by = decision.entity, decision.event.kind
    order.milestones.pop("rejected", None)
    order.state, order.reason = OrderState.RECEIVED, None
    reach_milestone(order, "submitted", decision.now_ms)
    settle_order(decision)
    decision.fact("order-revived", {**order_context(order), "by": by}, {"by": by})


def is_known_at_increff(order: Order) -> bool:
    """Whether Increff has named the order already, so that it cannot have refused it."""
    named = order.shipments or order.acknowledged or order.early or "submitted" in order.milestones
    return bool(named) or order.line_index.cancelled > 0
