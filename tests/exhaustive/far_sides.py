"""What Increff and the marketplace know and do, as far as one order goes. Pure: each step gives a new value.

Increff is the authority on what can still be cancelled, and the one that ships. The marketplace takes what it is told,
unless it knows better.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tests.exhaustive.scenario import Call, Scenario

ASKING, PACKED, HANDED, DROPPED = "asking", "packed", "handed", "dropped"
REFUSED: tuple[int, Any] = (400, None)
TAKEN: tuple[int, Any] = (200, None)

Answer = tuple[int, Any]
"""Status and body."""


@dataclass(frozen=True, slots=True)
class View:
    """What one side believes. `customer` and `seller`: cancelled units by line; `shipments`: (number, state)."""

    known: bool = False
    held: bool = False
    customer: tuple[int, ...] = ()
    seller: tuple[int, ...] = ()
    shipments: tuple[tuple[int, str], ...] = ()
    delivered: bool = False
    acknowledged: bool = False

    def row(self) -> tuple[Any, ...]:
        return (self.known, self.held, self.customer, self.seller, self.shipments, self.delivered, self.acknowledged)

    def shipment(self, number: int) -> str:
        return next((state for known, state in self.shipments if known == number), "")

    def with_shipment(self, number: int, state: str) -> View:
        others = [(known, was) for known, was in self.shipments if known != number]
        return replace(self, shipments=tuple(sorted([*others, (number, state)])))

    def units(self, scenario: Scenario, line: int, *states: str) -> int:
        """Units of a line in shipments of these states."""
        return sum(scenario.shipments[n].get(line, 0) for n, state in self.shipments if state in states)

    def cancelled(self, line: int) -> int:
        return self.customer[line - 1] + self.seller[line - 1]


def unknowing(scenario: Scenario) -> View:
    none = (0,) * len(scenario.lines)
    return View(customer=none, seller=none)


# Increff.


def increff_may(view: View, scenario: Scenario, call: Call) -> bool:
    """Whether Increff would make this call now."""
    if not view.known:
        return False
    if call.verb == "ack":
        return not view.held
    if call.verb == "pack":
        units = scenario.shipments[call.shipment].items()
        new = view.shipment(call.shipment) in ("", DROPPED)
        return new and all(_free(view, scenario, line) >= n for line, n in units)
    if call.verb == "seller":
        return all(_cancellable(view, scenario, line) >= n for line, n in call.units)
    if call.verb == "rest":
        return scenario.single and any(view.seller)
    state = view.shipment(call.shipment)
    return state in (PACKED, HANDED) or (scenario.eager and state == ASKING)


def increff_makes(view: View, call: Call) -> View:
    """What a call means to Increff itself, before anybody answers."""
    if call.verb == "pack":
        return view.with_shipment(call.shipment, ASKING)
    if call.verb == "handover":
        return view.with_shipment(call.shipment, HANDED)
    if call.verb == "seller":
        return replace(view, seller=_raised(view.seller, call))
    return view


def increff_hears(view: View, scenario: Scenario, call: Call, *, taken: bool) -> View:
    """The answer to Increff's call. A Pack that is refused is not made."""
    if call.verb == "pack" and view.shipment(call.shipment) == ASKING:
        view = view.with_shipment(call.shipment, PACKED if taken else DROPPED)
    return _closed(view, scenario)


def _closed(view: View, scenario: Scenario) -> View:
    """Of an order that ships once, what is not in its shipment is cancelled."""
    if not scenario.single or not any(state in (PACKED, HANDED) for _, state in view.shipments):
        return view
    free = [max(0, _free(view, scenario, line)) for line in range(1, len(scenario.lines) + 1)]
    return replace(view, seller=tuple(own + rest for own, rest in zip(view.seller, free, strict=True)))


def increff_takes(view: View, scenario: Scenario, call: Call) -> tuple[View, Answer]:
    """A request of the marketplace's, through Sluice."""
    if call.verb == "create":
        return replace(view, known=True), TAKEN
    if not view.known:
        return view, REFUSED
    if call.verb == "delivered":
        return replace(view, delivered=True, held=False), TAKEN
    if call.verb in ("hold", "release"):
        return replace(view, held=call.verb == "hold"), TAKEN
    for line, total in call.units:
        known = view.customer[line - 1]
        if total > known and total - known > _cancellable(view, scenario, line):
            return view, REFUSED
    return replace(view, customer=_raised(view.customer, call)), TAKEN


def _free(view: View, scenario: Scenario, line: int) -> int:
    packed = view.units(scenario, line, ASKING, PACKED, HANDED)
    return scenario.lines[line - 1] - view.cancelled(line) - packed


def _cancellable(view: View, scenario: Scenario, line: int) -> int:
    if scenario.cut_off:
        return _free(view, scenario, line)
    return scenario.lines[line - 1] - view.cancelled(line) - view.units(scenario, line, PACKED, HANDED)


# The marketplace.


def market_may(view: View, scenario: Scenario, call: Call) -> bool:
    """Whether the marketplace would make this call now."""
    if call.verb == "create":
        return True
    if call.verb == "delivered":
        return any(state == HANDED for _, state in view.shipments)
    return view.known or scenario.eager


def market_hears(view: View, call: Call, *, taken: bool) -> View:
    if not taken:
        return view
    if call.verb == "create":
        return replace(view, known=True)
    if call.verb == "delivered":
        return replace(view, delivered=True, held=False)
    if call.verb in ("hold", "release"):
        return replace(view, held=call.verb == "hold")
    if call.verb == "cancel":
        return replace(view, customer=_raised(view.customer, call))
    return view


def market_takes(view: View, scenario: Scenario, call: Call) -> tuple[View, Answer]:
    """A request of Increff's, through Sluice."""
    if call.verb == "pack":
        code = (200, {"shipmentCode": f"S-{call.shipment}"})
        if view.shipment(call.shipment):
            return view, code
        for line, units in scenario.shipments[call.shipment].items():
            packed = view.units(scenario, line, PACKED, HANDED)
            if units > scenario.lines[line - 1] - view.cancelled(line) - packed:
                return view, REFUSED
        return view.with_shipment(call.shipment, PACKED), code
    if call.verb == "seller":
        return replace(view, seller=_raised(view.seller, call)), TAKEN
    if call.verb == "handover":
        return view.with_shipment(call.shipment, HANDED), TAKEN
    if call.verb == "ack":
        return replace(view, acknowledged=True), TAKEN
    if call.verb == "label":
        return view, (200, {"awbNumber": f"AWB-{call.shipment}", "transporter": "T"})
    return view, (200, {"invoiceCode": f"INV-{call.shipment}"})


def _raised(units: tuple[int, ...], call: Call) -> tuple[int, ...]:
    totals = dict(call.units)
    return tuple(max(known, totals.get(line, 0)) for line, known in enumerate(units, 1))
