"""The steps of the warehouse: the call of each, and the changes of an order after a successful answer. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sluice.dev.sandbox.increff.orders import Line, Order, Shipment

LOCATION = "DXB-WH-01"
"""Location of an order that names none: Increff chooses one when it routes."""
SPLIT_LOCATIONS = (LOCATION, "AUH-ST-04")
"""Locations of the lines of a split order, in turn."""
WHOLE, SEVERAL, SINGLE = "BLOCK_COMPLETE", "MULTI_SHIPMENT_PARTIAL", "SINGLE_SHIPMENT_PARTIAL"
"""Fulfilment types (contract 0.5)."""
TRANSPORTER = "GULF_EXPRESS"
FROM = {"name": "Sandbox Warehouse", "city": "Dubai", "country": "UAE"}

Members = dict[str, Any]
Find = Callable[[str], Order | None]
"""Finds an order by its code: a call may name other orders, too."""


@dataclass(frozen=True, slots=True)
class StepCall:
    """A call of a step. `took` applies the body of a successful answer, and returns the changed orders."""

    touchpoint: str
    members: Members
    took: Callable[[Any], Iterable[Order]]


def acknowledge(order: Order, body: Members, find: Find) -> StepCall:
    entries = [{"orderCode": order.orderCode, "locationCode": place} for place in _places(order)]
    members = {"orders": entries, "consolidationType": "NONE", **body}

    def took(answer: Any) -> list[Order]:
        """Mark the accepted orders: those in successOrders (contract 2)."""
        taken = answer.get("successOrders", []) if isinstance(answer, dict) else []
        accepted = [found for item in taken if (found := find(item["orderCode"])) is not None]
        for one in accepted:
            one.acknowledged = True
        return accepted

    return StepCall("acknowledgement", members, took)


def pack(order: Order, body: Members, new_id: Callable[[], int]) -> StepCall:
    """Pack everything open as one shipment; of a split order, everything open at one of its locations.

    With nothing open, repeat the last shipment unchanged. A shipment that was refused keeps its id for the next
    try, with the quantities that are open by then.
    """
    shipment = _to_pack(order, body)
    if shipment is not None and shipment.packed:
        call = {**shipment.call, **body}
    else:
        call = _pack_call(order, body, shipment.shipmentId if shipment else body.get("shipmentId") or new_id())
        if shipment is not None:
            shipment.call = call
        elif isinstance(call["shipmentId"], int):
            shipment = Shipment(shipmentId=call["shipmentId"], call=call)
            order.shipments.append(shipment)

    def took(answer: Any) -> list[Order]:
        if shipment is not None and not shipment.packed:
            order.pack(call["shipmentItems"])
            shipment.packed = True
            if call["fulfillmentType"] == SINGLE and not order.split:
                order.cancel_rest()
        if shipment is not None and isinstance(answer, dict):
            shipment.shipmentCode = answer.get("shipmentCode", shipment.shipmentCode)
        return [order]

    return StepCall("pack-order", call, took)


def _to_pack(order: Order, body: Members) -> Shipment | None:
    if "shipmentId" in body:
        return next((s for s in order.shipments if s.shipmentId == body["shipmentId"]), None)
    begun = next((s for s in order.shipments if not s.packed), None)
    if begun is not None:
        return begun
    return order.shipments[-1] if order.shipments and not order.open else None


def _pack_call(order: Order, body: Members, shipment_id: int) -> Members:
    quantities: dict[str, int] = {}
    place = body.get("locationCode") or next((p for p in _places(order) if _open_at(order, p)), _places(order)[0])
    for line in _open_at(order, place):
        if line.open:
            quantities[line.channelSkuCode] = quantities.get(line.channelSkuCode, 0) + line.open
    items = [{"channelSkuCode": sku, "quantityToPack": quantity} for sku, quantity in quantities.items()]
    address = order.created.get("shippingAddress")
    invoice = {
        "fromAddress": FROM,
        "shippingAddress": address,
        "billingAddress": order.created.get("billingAddress", address),
        "orderTime": order.created.get("orderTime"),
        "channelName": "DEMO_MARKETPLACE",
        "invoiceItems": [
            {"channelSkuCode": item["channelSkuCode"], "quantity": item["quantityToPack"]} for item in items
        ],
    }
    return {
        "orderCode": order.orderCode,
        "locationCode": place,
        "shipmentId": shipment_id,
        "packageSku": "BOX-M-02",
        "weight": 1240.0,
        "fulfillmentType": WHOLE if "shipmentItems" not in body and not order.split else SEVERAL,
        "dimensions": {"length": 34.0, "breadth": 26.0, "height": 9.0},
        "invoice": invoice,
        "shipmentItems": items,
        **body,
    }


def label(order: Order, body: Members) -> StepCall:
    shipment = _chosen(order, body, lambda s: not s.labelled)
    members = {
        "orderCode": order.orderCode,
        "shipmentCode": shipment.shipmentCode if shipment else None,
        "shipmentId": shipment.shipmentId if shipment else None,
        "locationCode": _place(order, shipment),
        "arePackBoxLabelsRequired": False,
        **body,
    }

    def took(answer: Any) -> list[Order]:
        if shipment is not None and isinstance(answer, dict):
            shipment.labelled = True
            shipment.awbNumber = answer.get("awbNumber", shipment.awbNumber)
            shipment.transporter = answer.get("transporter", shipment.transporter)
        return [order]

    return StepCall("get-shipping-label", _present(members), took)


def invoice(order: Order, body: Members) -> StepCall:
    shipment = _chosen(order, body, lambda s: not s.invoiced)
    members = {"orderCode": order.orderCode, "shipmentCode": shipment.shipmentCode if shipment else None, **body}

    def took(answer: Any) -> list[Order]:
        if shipment is not None and isinstance(answer, dict):
            shipment.invoiced = True
            shipment.invoiceCode = answer.get("invoiceCode", shipment.invoiceCode)
        return [order]

    return StepCall("get-invoice", _present(members), took)


def manifest(order: Order, body: Members, find: Find, new_id: Callable[[], int]) -> StepCall:
    """Put all packed shipments without a manifest into one; with none left, repeat the last manifest."""
    packed = [shipment for shipment in order.shipments if shipment.packed]
    chosen = [shipment for shipment in packed if not shipment.manifested]
    if not chosen and packed:
        chosen = [shipment for shipment in packed if shipment.manifestId == packed[-1].manifestId]
    chosen = _together(order, chosen)
    known = next((shipment.manifestId for shipment in chosen if shipment.manifestId is not None), None)
    items = [
        {
            "orderCode": order.orderCode,
            "shipmentCode": shipment.shipmentCode,
            "awbNumber": shipment.awbNumber or f"{shipment.shipmentId}",
        }
        for shipment in chosen
    ]
    transporter = next((shipment.transporter for shipment in chosen if shipment.transporter), TRANSPORTER)
    members: Members = {
        "transporter": transporter,
        "locationCode": _place(order, chosen[0] if chosen else None),
        "manifestItems": items,
        **body,
    }
    if "manifestId" not in body:
        members["manifestId"] = known if known is not None else new_id()
        for shipment in chosen:
            shipment.manifestId = members["manifestId"]  # kept, so that a retry is the same manifest

    def took(answer: Any) -> list[Order]:
        changed = _named(members["manifestItems"], find)
        for _, shipment in changed:
            shipment.manifested = True
            shipment.manifestId = members["manifestId"]
            if isinstance(answer, dict):
                shipment.manifestCode = answer.get("manifestCode", shipment.manifestCode)
        return [one for one, _ in changed]

    return StepCall("create-manifest", members, took)


def handover(order: Order, body: Members, find: Find) -> StepCall:
    """Hand over all packed shipments; once all have left, repeat all of them."""
    packed = [shipment for shipment in order.shipments if shipment.packed]
    chosen = _together(order, [shipment for shipment in packed if not shipment.handedOver] or packed)
    items = [
        {
            "orderCode": order.orderCode,
            "shipmentCode": shipment.shipmentCode,
            "gatePassCode": f"GP-{shipment.shipmentId}",
        }
        for shipment in chosen
    ]
    members = {"locationCode": _place(order, chosen[0] if chosen else None), "handoverItems": items, **body}

    def took(_: Any) -> list[Order]:
        changed = _named(members["handoverItems"], find)
        for _order, shipment in changed:
            shipment.handedOver = True
        return [one for one, _shipment in changed]

    return StepCall("handover-notification", members, took)


def seller_cancel(order: Order, body: Members) -> StepCall:
    """Cancel the given items, by default everything open. Missing members of an item are taken from the order."""
    given = body.get("orderItems")
    items = (
        [_cancelled_item(order, item) for item in given if isinstance(item, dict)]
        if isinstance(given, list)
        else [
            _cancelled_item(
                order,
                {"orderItemCode": line.orderItemCode, "cancelledQuantity": line.quantity - line.packed},
            )
            for line in order.lines
            if line.quantity > line.packed
        ]
    )
    members = {
        "orderCode": order.orderCode,
        "locationCode": None if order.split else order.locationCode or LOCATION,
        **body,
        "orderItems": items if given is None or isinstance(given, list) else given,
    }

    def took(_: Any) -> list[Order]:
        for item in items:
            line = order.line(item.get("orderItemCode", ""))
            if line is not None:
                seller = item["cancelledQuantity"] - line.customerCancelled
                line.sellerCancelled = min(max(line.sellerCancelled, seller), line.sellerCancelled + line.open)
        return [order]

    return StepCall("seller-cancellation", members, took)


def _cancelled_item(order: Order, item: Members) -> Members:
    line = order.line(item.get("orderItemCode", ""))
    total = item.get("cancelledQuantity")
    if line is None or not isinstance(total, int):
        return item
    own = {
        "channelSkuCode": line.channelSkuCode,
        "customerCancelledQty": line.customerCancelled,
        "sellerCancelledQty": max(0, total - line.customerCancelled),
    }
    return {**own, **item}


def _places(order: Order) -> list[str]:
    """Return the locations of an order; a split one has several (contract 0.4, 8)."""
    if not order.split:
        return [order.locationCode or LOCATION]
    return list(SPLIT_LOCATIONS[: max(1, len(order.lines))])


def _open_at(order: Order, place: str) -> list[Line]:
    """Return the open lines that a location fulfils; a location that is not the order's own fulfils all."""
    places = _places(order)
    lines = order.lines[places.index(place) :: len(places)] if place in places else order.lines
    return [line for line in lines if line.open]


def _place(order: Order, shipment: Shipment | None) -> str:
    own = shipment.call.get("locationCode") if shipment is not None else None
    return own or order.locationCode or LOCATION


def _together(order: Order, shipments: list[Shipment]) -> list[Shipment]:
    """Return the shipments at the location of the first, as a call names one location."""
    return [shipment for shipment in shipments if _place(order, shipment) == _place(order, shipments[0])]


def _chosen(order: Order, body: Members, waits: Callable[[Shipment], bool]) -> Shipment | None:
    """Return the shipment that the body names, else the first packed one that needs this step, else the last."""
    packed = [shipment for shipment in order.shipments if shipment.packed]
    for name in ("shipmentCode", "shipmentId"):
        if name in body:
            return next((s for s in packed if getattr(s, name) == body[name]), None)
    return next((shipment for shipment in packed if waits(shipment)), packed[-1] if packed else None)


def _named(items: list[Members], find: Find) -> list[tuple[Order, Shipment]]:
    """Return the packed shipments that a manifest or handover names, with their orders."""
    return [
        (order, shipment)
        for item in items
        if (order := find(item["orderCode"])) is not None
        for shipment in order.shipments
        if shipment.packed and shipment.shipmentCode == item["shipmentCode"]
    ]


def _present(members: Members) -> Members:
    """Return the members without null, which a query string cannot have."""
    return {name: value for name, value in members.items() if value is not None}
