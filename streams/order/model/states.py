"""The states of an order, a shipment, a return and a manifest, and the groups of them that rules speak of.

The docstring of a state is its meaning in docs/orders.md.
"""

from __future__ import annotations

from enum import StrEnum

from topics.values import quick_members


@quick_members
class OrderState(StrEnum):
    EXPECTED = "EXPECTED"
    """Not created yet. Events that came before its Create are kept."""
    RECEIVED = "RECEIVED"
    """Sluice has the order; Increff has not answered yet."""
    HELD = "HELD"
    """On hold by the marketplace, until it releases the order (contract 0.4, 5)."""
    SUBMITTED = "SUBMITTED"
    """Increff took the order."""
    REJECTED = "REJECTED"
    """Increff refused the order; another Create, or an operator, may begin a new attempt."""
    ACKNOWLEDGED = "ACKNOWLEDGED"
    """Increff allocated stock."""
    PACKED = "PACKED"
    """At least one shipment is packed."""
    LABELLED = "LABELLED"
    """At least one shipment has its label."""
    MANIFESTED = "MANIFESTED"
    """At least one shipment is on a manifest, or left while units of the order are open."""
    HANDED_OVER = "HANDED_OVER"
    """Every shipment left, and no unit is open."""
    DELIVERED = "DELIVERED"
    """The marketplace reported that the customer has the order."""
    CANCELLED = "CANCELLED"
    """Every unit is cancelled."""


TAKEN_BY_INCREFF = (OrderState.SUBMITTED, OrderState.ACKNOWLEDGED)
"""Increff works on the order, and nothing is packed."""
NOT_HELD = (OrderState.RECEIVED, *TAKEN_BY_INCREFF)
BEFORE_PACK = (OrderState.RECEIVED, OrderState.HELD, *TAKEN_BY_INCREFF)
IN_WAREHOUSE = (OrderState.PACKED, OrderState.LABELLED, OrderState.MANIFESTED)
"""Something is packed, and not everything left."""
ALIVE = (*BEFORE_PACK, *IN_WAREHOUSE, OrderState.HANDED_OVER)
FINISHED = (OrderState.HANDED_OVER, OrderState.DELIVERED, OrderState.CANCELLED)
ENDED = (*FINISHED, OrderState.REJECTED)
"""The order waits for nothing any more."""
CREATED = (*ALIVE, OrderState.DELIVERED, OrderState.CANCELLED)
"""Every state of an order that was created, but REJECTED."""


@quick_members
class ShipmentState(StrEnum):
    PACKING = "PACKING"
    """The marketplace was asked and has not answered."""
    PACKED = "PACKED"
    LABELLED = "LABELLED"
    MANIFESTED = "MANIFESTED"
    HANDED_OVER = "HANDED_OVER"


SHIPMENT_RANK: dict[str, int] = {state: rank for rank, state in enumerate(ShipmentState)}
"""How far a shipment is; it never goes back."""


@quick_members
class ReturnState(StrEnum):
    ASKED = "ASKED"
    """Its forward order was asked whether it has so many units to give back."""
    REFUSED = "REFUSED"
    """The forward order has not so many: nothing left for Increff, and every Create is a new attempt."""
    RECEIVED = "RECEIVED"
    """The forward order admitted the return; Increff has not answered yet."""
    SUBMITTED = "SUBMITTED"
    """Increff took the return."""
    REJECTED = "REJECTED"
    """Increff refused the return; another Create, or an operator, may begin a new attempt."""
    ACKNOWLEDGED = "ACKNOWLEDGED"
    """Increff reported the inspection of some units."""
    COMPLETED = "COMPLETED"
    """Every unit that was not cancelled is inspected."""
    CANCELLED = "CANCELLED"
    """Every unit was cancelled before it arrived."""


COMING = (ReturnState.RECEIVED, ReturnState.SUBMITTED)
"""Admitted, and nothing has arrived."""
ARRIVED = (ReturnState.ACKNOWLEDGED, ReturnState.COMPLETED)
NOT_ADMITTED = (ReturnState.ASKED, ReturnState.REFUSED, ReturnState.REJECTED)
"""The return holds no units of its order."""


@quick_members
class ManifestState(StrEnum):
    REQUESTED = "REQUESTED"
    """The marketplace was asked and has not answered."""
    MANIFESTED = "MANIFESTED"
    """The marketplace made the manifest."""
    REFUSED = "REFUSED"
    """The marketplace refused the manifest, or gave no answer in time; another call is a new attempt."""
