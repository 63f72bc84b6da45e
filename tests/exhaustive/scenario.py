"""A scenario: what may happen to one order. The explorer tries every order of it that the far sides allow.

A call is written as the far side's intention, with the numbers of lines and shipments:

    create  hold  release  delivered  cancel:1=2      from the marketplace; the customer cancels two units of line 1
    ack  pack:1  label:1  invoice:1  handover:1  seller:1=1      from Increff; the seller cancels one unit of line 1
    rest      from Increff: what it cancelled by itself of an order that ships once

A disturbance may happen once, wherever it can:

    again:CALL    the same record a second time (a producer's retry), under the same event id
    repeat:CALL   the caller asks again under a new event id, though nobody told it to
    mute:CALL     the answer to the caller gets lost: it asks again
    lost:TOUCHPOINT     the far side acted, its answer got lost: the request is sent again
    refuse:TOUCHPOINT   the far side answers with a refusal
    dead:TOUCHPOINT     a request is given up; where that holds the lane, an operator sends it again or skips it
    late          a minute passes: callers are gone, relays expire
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.support.orders import (
    acknowledgement_body,
    cancel_body,
    create_body,
    document_body,
    handover_body,
    pack_body,
    update_body,
)

TOUCHPOINT_OF = {
    "create": "create-outward-order",
    "hold": "update-order-properties",
    "release": "update-order-properties",
    "delivered": "update-order-properties",
    "cancel": "customer-cancellation",
    "ack": "acknowledgement",
    "pack": "pack-order",
    "label": "get-shipping-label",
    "invoice": "get-invoice",
    "handover": "handover-notification",
    "seller": "seller-cancellation",
    "rest": "seller-cancellation",
}
FROM_MARKETPLACE = frozenset({"create", "hold", "release", "delivered", "cancel"})
MINUTE_MS = 60_000


@dataclass(frozen=True)
class Call:
    """`units`: of a cancellation, absolute totals by line number."""

    name: str
    verb: str
    shipment: int = 0
    units: tuple[tuple[int, int], ...] = ()

    @property
    def touchpoint(self) -> str:
        return TOUCHPOINT_OF[self.verb]


@dataclass(frozen=True)
class Scenario:
    """`lines`: units ordered; `shipments`: number -> units by line.

    `cut_off`: Increff takes no cancellation of units it asks a Pack for; else it does until the Pack is answered.
    `eager`: calls may overtake the Create, and documents and handovers their Pack. `single`: one shipment, and Increff
    cancels what is not in it (SINGLE_SHIPMENT_PARTIAL). `split`: each shipment is packed at a location of its own.
    """

    calls: tuple[str, ...]
    disturbances: tuple[str, ...] = ()
    lines: tuple[int, ...] = (2,)
    shipments: dict[int, dict[int, int]] = field(default_factory=lambda: {1: {1: 1}, 2: {1: 1}})
    cut_off: bool = True
    eager: bool = False
    single: bool = False
    split: bool = False

    @property
    def events(self) -> int:
        return len(self.calls) + len(self.disturbances)

    def parsed(self) -> tuple[Call, ...]:
        return tuple(_parse(name) for name in self.calls)

    def __str__(self) -> str:
        traits = [name for name in ("cut_off", "eager", "single", "split") if getattr(self, name)]
        return " ".join([*self.calls, *self.disturbances, f"lines={self.lines}", *traits])


def _parse(name: str) -> Call:
    verb, _, rest = name.partition("#")[0].partition(":")
    if "=" in rest:
        units = tuple((int(line), int(count)) for line, count in (part.split("=") for part in rest.split(",")))
        return Call(name, verb, units=units)
    return Call(name, verb, shipment=int(rest) if rest else 0)


def body_of(call: Call, scenario: Scenario, knew: tuple[int, ...]) -> dict[str, Any]:
    """The members of a call. `knew`: cancelled units by line as Increff knew them, the customer's and then its own."""
    body = _body_of(call, scenario, knew)
    if scenario.split:
        # Each location is an order of its own at Increff; only the shipments' calls name one (contract 0.4, 8).
        place = f"WH-{call.shipment}" if call.shipment else None
        body["locationCode"] = place
        if call.verb == "create":
            body["isSplitRequired"] = True
    return body


def _body_of(call: Call, scenario: Scenario, knew: tuple[int, ...]) -> dict[str, Any]:
    if call.verb == "create":
        return create_body(quantities=scenario.lines)
    if call.verb in ("hold", "release"):
        return update_body(hold=call.verb == "hold")
    if call.verb == "delivered":
        return update_body(hold=False, orderStatus="DELIVERED", deliveredAt="2025-06-17")
    if call.verb == "ack":
        return acknowledgement_body()
    if call.verb == "pack":
        units = scenario.shipments[call.shipment]
        body = pack_body(call.shipment, **{f"sku_{line}": count for line, count in units.items()})  # type: ignore[arg-type]
        return {**body, "fulfillmentType": "SINGLE_SHIPMENT_PARTIAL"} if scenario.single else body
    if call.verb in ("label", "invoice"):
        return document_body(f"S-{call.shipment}")
    if call.verb == "handover":
        return handover_body(f"S-{call.shipment}")
    if call.verb == "cancel":
        return cancel_body(**{f"i{line}": count for line, count in call.units})  # type: ignore[arg-type] # `code` behind **
    lines = len(scenario.lines)
    customer, own = knew[:lines], knew[lines:]
    sellers = call.units or tuple((line, units) for line, units in enumerate(own, 1) if units)
    body = cancel_body(**{f"i{line}": customer[line - 1] + units for line, units in sellers})  # type: ignore[arg-type]
    for item, (line, own_units) in zip(body["orderItems"], sellers, strict=True):
        item |= {"customerCancelledQty": customer[line - 1], "sellerCancelledQty": own_units}
    return body
