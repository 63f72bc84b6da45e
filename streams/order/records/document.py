"""The document that answers a query: everything Sluice knows about one order, return or manifest.

Refused calls are not of the entity's state; `streams.order.records.refused_calls` adds them."""

from __future__ import annotations

from typing import Any

from streams.order.model.entities import Manifest, Order, Return
from streams.order.model.entity import Entity
from streams.order.model.parts import Claim, Delivery, Line, Shipment
from streams.order.returns.items import quantities

_COURIER = ("trackingCode", "transporter", "returnOrderStatus", "expectedDate")


def document(entity: Entity) -> dict[str, Any]:
    if isinstance(entity, Order):
        own = _order(entity)
    elif isinstance(entity, Return):
        own = _return(entity)
    elif isinstance(entity, Manifest):
        own = _manifest(entity)
    else:
        raise TypeError(f"no document of {type(entity).__name__}")
    return {
        "channel": entity.channel,
        **own,
        "state": entity.state,
        "createdAtMs": entity.created_ms,
        "updatedAtMs": entity.updated_ms,
        "locationCode": entity.location,
        "reason": entity.reason,
        "facts": [
            {"sequence": fact.sequence, "name": fact.name, "atMs": fact.at_ms, **fact.data} for fact in entity.facts
        ],
        "deliveries": [_delivery(delivery, entity.channel) for delivery in entity.deliveries],
        "refusedCalls": [],
    }


def _order(order: Order) -> dict[str, Any]:
    return {
        "orderCode": order.code,
        "onHold": order.held,
        "adopted": order.adopted,
        "lines": [_line(line) for line in order.lines],
        "shipments": [_shipment(shipment) for shipment in order.shipments],
        "milestones": {f"{name}AtMs": at_ms for name, at_ms in order.milestones.items()},
        "returns": [_claim(claim) for claim in order.returns],
        "stuck": [{"step": step, "sinceMs": since_ms} for step, since_ms in order.stuck.items()],
        "parked": [{"event": kept.kind, "eventId": kept.event, "untilMs": kept.until_ms} for kept in order.early],
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "orderItemCode": line.code,
        "channelSkuCode": line.sku,
        "ordered": line.ordered,
        "open": line.open,
        "packed": line.packed,
        "cancelled": line.cancelled,
        "customerCancelled": line.customer,
        "sellerCancelled": line.seller,
    }


def _shipment(shipment: Shipment) -> dict[str, Any]:
    return {
        "shipmentId": shipment.number,
        "shipmentCode": shipment.code,
        "locationCode": shipment.location,
        "state": shipment.state,
        "items": [
            {"orderItemCode": code, "channelSkuCode": sku, "quantity": units} for code, sku, units in shipment.items
        ],
        "awbNumber": shipment.awb,
        "transporter": shipment.transporter,
        "invoiceCode": shipment.invoice,
        "manifestCode": shipment.manifest,
    }


def _delivery(delivery: Delivery, channel: str) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "touchpoint": delivery.touchpoint,
        "destination": delivery.destination(channel),
        "status": delivery.status,
        "createdMs": delivery.created_ms,
        "attempts": [
            {"number": number, "atMs": at_ms, "tookMs": took_ms, "status": status, "error": error}
            for number, at_ms, took_ms, status, error in delivery.attempts
        ],
        "nextAtMs": delivery.next_ms,
        "message": delivery.message,
    }


def _return(entity: Return) -> dict[str, Any]:
    return {
        "returnOrderCode": entity.code,
        "forwardOrderCode": entity.forward,
        "forwardKnown": entity.forward_known,
        **{name: entity.courier.get(name) for name in _COURIER},
        "quantities": quantities(entity),
        "items": [
            {"itemCode": code, "channelSkuCode": item.sku, "cancelled": bool(item.cancelled), "qcStatus": item.qc}
            for code, item in entity.items.items()
        ],
    }


def _claim(claim: Claim) -> dict[str, Any]:
    return {
        "returnOrderCode": claim.code,
        "items": [{"channelSkuCode": sku, "quantity": units} for sku, units in claim.units.items()],
        "reason": claim.reason or None,
    }


def _manifest(entity: Manifest) -> dict[str, Any]:
    return {
        "manifestId": entity.code,
        "manifestCode": entity.manifest_code,
        "transporter": entity.transporter,
        "items": [
            {"orderCode": order, "shipmentCode": shipment, "awbNumber": awb} for order, shipment, awb in entity.items
        ],
    }
