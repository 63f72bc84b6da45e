"""The states of an order, a shipment, a return and a manifest."""

from __future__ import annotations

from enum import StrEnum


class OrderState(StrEnum):
    EXPECTED = "EXPECTED"
    """Not created yet; events that came before its Create are parked."""
    RECEIVED = "RECEIVED"
    """Sluice has it, Increff has not answered yet."""
    HELD = "HELD"
    """EarlyEvent by the marketplace until it releases the order (contract 0.4, 5)."""
    SUBMITTED = "SUBMITTED"
    """Increff took it."""
    REJECTED = "REJECTED"
    """Increff refused it; a corrected Create is a new attempt."""
    ACKNOWLEDGED = "ACKNOWLEDGED"
    PACKED = "PACKED"
    """At least one shipment is packed."""
    LABELLED = "LABELLED"
    MANIFESTED = "MANIFESTED"
    HANDED_OVER = "HANDED_OVER"
    """Every shipment left, and no unit is open."""
    DELIVERED = "DELIVERED"
    CANCELLED = "CANCELLED"
    """Every unit is cancelled."""


class ShipmentState(StrEnum):
    PACKING = "PACKING"
    """The marketplace was asked and has not answered."""
    PACKED = "PACKED"
    LABELLED = "LABELLED"
    MANIFESTED = "MANIFESTED"
    HANDED_OVER = "HANDED_OVER"


SHIPMENT_RANK: dict[str, int] = {state: rank for rank, state in enumerate(ShipmentState)}
"""How far a shipment is; it never goes back."""


class ReturnState(StrEnum):
    ASKED = "ASKED"
    """Its forward order was asked whether it has so many units to give back."""
    REFUSED = "REFUSED"
    """The forward order has not: nothing left for Increff, and every Create is a new attempt."""
    RECEIVED = "RECEIVED"
    """Admitted; Increff has not answered yet."""
    SUBMITTED = "SUBMITTED"
    """Increff took it."""
    REJECTED = "REJECTED"
    """Increff refused it; a corrected Create is a new attempt."""
    ACKNOWLEDGED = "ACKNOWLEDGED"
    """Increff reported the inspection of some units."""
    COMPLETED = "COMPLETED"
    """Every unit that was not cancelled is inspected."""
    CANCELLED = "CANCELLED"
    """Every unit was taken off before it arrived."""


class ManifestState(StrEnum):
    REQUESTED = "REQUESTED"
    """The marketplace was asked and has not answered."""
    MANIFESTED = "MANIFESTED"
    REFUSED = "REFUSED"
    """The marketplace refused it, or gave no answer in time; asking again is a new attempt."""
