"""Bodies of calls in the golden stories."""

from __future__ import annotations

from typing import Any

from tests.support.orders import (
    acknowledgement_body,
    cancel_body,
    create_body,
    document_body,
    pack_body,
    update_body,
)

PLACE = "DXB-WH-01"


def create(code: str, quantities: tuple[int, ...] = (2, 1, 2), **changes: Any) -> dict[str, Any]:
    return create_body(code, quantities, **changes)


def update(code: str, *, held: bool, **changes: Any) -> dict[str, Any]:
    return update_body(hold=held, code=code, **changes)


def acknowledgement(code: str, place: str | None = PLACE) -> dict[str, Any]:
    return acknowledgement_body(code, place)


def pack(code: str, shipment: int, place: str = PLACE, kind: str | None = None, **units: int) -> dict[str, Any]:
    body = {**pack_body(shipment, code, **units), "locationCode": place, "weight": 1240.0}
    return body if kind is None else {**body, "fulfillmentType": kind}


def document(code: str, shipment: str, **more: Any) -> dict[str, Any]:
    return document_body(shipment, code, **more)


def manifest(shipments: dict[str, str], number: int | None = 7) -> dict[str, Any]:
    """A manifest of orders with one shipment each."""
    items = [{"orderCode": code, "shipmentCode": name, "awbNumber": f"AWB-{name}"} for code, name in shipments.items()]
    body = {"transporter": "GX", "locationCode": PLACE, "manifestItems": items}
    return body if number is None else {**body, "manifestId": number}


def handover(code: str, *shipments: str) -> dict[str, Any]:
    items = [{"orderCode": code, "shipmentCode": name, "gatePassCode": "GP-1"} for name in shipments]
    return {"locationCode": PLACE, "handoverItems": items}


def cancels(code: str, **units: int) -> dict[str, Any]:
    return cancel_body(code, **units)


def return_body(code: str, *units: int) -> dict[str, Any]:
    items = [
        {"itemCode": f"{n}", "channelSkuCode": f"SKU-{1 + n % 2}", "reason": "SIZE", "price": 89.25} for n in units
    ]
    return {
        "forwardOrderCode": code,
        "returnOrderCode": f"R-{code}",
        "locationCode": PLACE,
        "orderType": "CUSTOMER_RETURN",
        "orderItems": items,
    }


def added_items(code: str, *units: int) -> dict[str, Any]:
    lines = [{"channelReturnItemCode": f"{n}", "channelSkuCode": "SKU-1"} for n in units]
    return {"orderCode": code, "returnOrderCode": f"R-{code}", "locationCode": PLACE, "returnLineItems": lines}


def cancelled_items(code: str, *units: int) -> dict[str, Any]:
    lines = [{"returnOrderItemCode": f"{n}", "channelSkuCode": f"SKU-{1 + n % 2}"} for n in units]
    return {"orderCode": code, "returnOrderCode": f"R-{code}", "locationCode": PLACE, "returnOrderItems": lines}


def update_return(code: str, tracking: str) -> dict[str, Any]:
    return {"returnOrderCode": f"R-{code}", "locationCode": PLACE, "trackingCode": tracking, "transporter": "GX"}


def inspection(code: str, status: str, *units: int) -> dict[str, Any]:
    items = [{"itemCode": f"{n}", "channelSkuCode": f"SKU-{1 + n % 2}", "qcStatus": status} for n in units]
    return {"returnOrderCode": f"R-{code}", "forwardOrderCode": code, "locationCode": PLACE, "orderItems": items}


def other_forms(value: Any) -> Any:
    """The same call in forms that callers use, too: flags as text, whole numbers with a fraction of 0."""
    if isinstance(value, dict):
        return {name: other_forms(member) for name, member in value.items()}
    if isinstance(value, list):
        return [other_forms(member) for member in value]
    if isinstance(value, bool):
        return "true" if value else "False"
    return float(value) if isinstance(value, int) else value
