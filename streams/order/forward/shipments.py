"""A packed shipment on its way out: invoice, label, manifest, handover."""

from __future__ import annotations

from typing import Any, Final

from streams.order.forward.adopt import adopt_shipment
from streams.order.forward.deferred_calls import defer
from streams.order.forward.location import misplaced
from streams.order.forward.pack import PACK
from streams.order.forward.progress import order_context, reach_milestone, settle_order, shipment_context, shipment_name
from streams.order.model.decision import APPLIED, DUPLICATE, Decision, Ruling, early
from streams.order.model.entities import Order
from streams.order.model.parts import Shipment
from streams.order.model.states import SHIPMENT_RANK, ShipmentState
from topics.contract.definition import Touchpoint
from topics.contract.leniency import as_text
from topics.contract.touchpoints import BY_NAME

INVOICE: Final[Touchpoint] = BY_NAME["get-invoice"]
LABEL: Final[Touchpoint] = BY_NAME["get-shipping-label"]
HANDOVER: Final[Touchpoint] = BY_NAME["handover-notification"]

_BOXES = ",boxes"
"""Ends the key of a label that comes with labels of its boxes: another document."""


def get_invoice(decision: Decision[Order]) -> Ruling:
    return _get(decision, INVOICE)


def get_label(decision: Decision[Order]) -> Ruling:
    return _get(decision, LABEL)


def invoice_taken(decision: Decision[Order]) -> Ruling:
    """The marketplace's invoice is in."""
    order = decision.entity
    shipment, body = _answered(decision)
    if shipment is None:
        return DUPLICATE
    code = as_text(body.get("invoiceCode")) or None
    if code is not None and code != shipment.invoice:
        order.change_shipment(shipment, invoice=code)
        data = {"invoiceCode": code}
        decision.fact("invoice-issued", *_about(order, shipment, data))
    return APPLIED


def label_taken(decision: Decision[Order]) -> Ruling:
    """The marketplace's label is in: the shipment has a courier and a tracking number."""
    order = decision.entity
    shipment, body = _answered(decision)
    if shipment is None:
        return DUPLICATE
    known = (shipment.awb, shipment.transporter)
    awb, transporter = as_text(body.get("awbNumber")), as_text(body.get("transporter"))
    order.change_shipment(shipment, awb=awb or None, transporter=transporter or None)
    advanced = _advance(order, shipment, ShipmentState.LABELLED)
    if not advanced and known == (shipment.awb, shipment.transporter):
        return APPLIED
    reach_milestone(order, "labelled", decision.now_ms)
    settle_order(decision)
    data = {"awbNumber": shipment.awb, "transporter": shipment.transporter}
    decision.fact("label-issued", *_about(order, shipment, data))
    return APPLIED


def document_failed(decision: Decision[Order]) -> Ruling:
    """No document this time; a repeat asks the far side again."""
    relay = decision.pop_relay()
    if relay is None:
        return DUPLICATE
    decision.pass_on_failure(relay)
    return APPLIED


def shipment_manifested(decision: Decision[Order]) -> Ruling:
    """The manifest that has this order's shipment was closed."""
    order, body = decision.entity, decision.event.body
    code = body.get("shipmentCode")
    shipment = find_shipment(order, code, None) or _adopted(decision, code, None)
    if shipment is None:
        return early(_no_shipment(order, body))
    manifest = body.get("manifestCode") or body.get("manifestId")
    # A handover may overtake this: the shipment is further then, and its manifest is still news.
    if not _advance(order, shipment, ShipmentState.MANIFESTED) and shipment.manifest == manifest:
        return DUPLICATE
    awb, transporter = shipment.awb or body.get("awbNumber"), shipment.transporter or body.get("transporter")
    order.change_shipment(shipment, awb=awb, transporter=transporter, manifest=manifest)
    reach_milestone(order, "manifested", decision.now_ms)
    settle_order(decision)
    data = {"manifestCode": shipment.manifest, "awbNumber": shipment.awb, "transporter": shipment.transporter}
    decision.fact("shipment-manifested", *_about(order, shipment, data))
    return APPLIED


def hand_over(decision: Decision[Order]) -> Ruling:
    """A shipment left the warehouse. Its Pack must have come, and been answered."""
    order, body = decision.entity, decision.event.body
    wrong = misplaced(order, body.get("locationCode"))
    if wrong is not None:
        return wrong
    shipments: dict[int, Shipment] = {}
    for item in body["handoverItems"]:
        code = item.get("shipmentCode")
        shipment = find_shipment(order, code, None) or _adopted(decision, code, body["locationCode"])
        if shipment is None:
            return early(_no_shipment(order, item))
        if shipment.state != ShipmentState.HANDED_OVER:
            shipments[shipment.id] = shipment
    if not shipments:
        return DUPLICATE
    for shipment in shipments.values():
        _advance(order, shipment, ShipmentState.HANDED_OVER)
    decision.deliver(HANDOVER, body)
    for shipment in shipments.values():
        decision.fact("shipment-handed-over", *_about(order, shipment, {}))
    settle_order(decision)
    return APPLIED


def is_handed_over(decision: Decision[Order]) -> bool:
    """Whether every shipment that a handover names left before."""
    order = decision.entity
    found = [find_shipment(order, item.get("shipmentCode"), None) for item in decision.event.body["handoverItems"]]
    return all(shipment is not None and shipment.state == ShipmentState.HANDED_OVER for shipment in found)


def find_shipment(order: Order, code: Any, shipment_id: Any) -> Shipment | None:
    """A packed shipment by the marketplace's code, else by Increff's id.

    The contract does not document Pack's answer. When it brought no code, callers may give the id in the code's place;
    and if only one shipment has no code, any unknown code must mean that one.
    """
    index = order.shipment_index
    same = index.by_code.get(str(code))
    if same is not None:
        return same[0]
    named = index.first(index.packed_by_id(str(shipment_id)), index.packed_by_id(str(code)))
    if named is not None:
        return named
    return next(iter(index.nameless.values())) if len(index.nameless) == 1 and shipment_id is None else None


def _adopted(decision: Decision[Order], code: Any, location: str | None) -> Shipment | None:
    """A shipment that a call names and that was not packed here: an order that was met midway may have it."""
    return adopt_shipment(decision, code, None, location) if decision.entity.open_ended else None


def _get(decision: Decision[Order], touchpoint: Touchpoint) -> Ruling:
    """Get a document of a shipment: the recorded one, the one being asked for, or by a new request beside the lane."""
    order, event = decision.entity, decision.event
    shipment = find_shipment(order, event.body.get("shipmentCode"), event.body.get("shipmentId"))
    if shipment is None and _is_packing(decision):
        return defer(decision, touchpoint.name)
    named = [event.body.get(name) for name in ("shipmentCode", "shipmentId", "locationCode")]
    if shipment is None and not (order.open_ended and named[0]):
        return early(_no_shipment(order, event.body))
    key = _document_key(shipment, event.body)
    recorded = decision.recorded_answer(touchpoint.name, key)
    if recorded is not None:
        return recorded
    # It may have been asked for before the shipment was known.
    relay = order.relay(touchpoint.name, key) or order.relay(touchpoint.name, _document_key(None, event.body))
    if relay is not None and not decision.is_overdue(relay):
        return decision.join_relay(relay)
    # The marketplace's answer shows whether an adopted order has a shipment of that code.
    data = shipment.id if shipment is not None else named
    return decision.ask_far_side(touchpoint, _enriched(touchpoint, shipment, event.body), key, data)


def _document_key(shipment: Shipment | None, body: dict[str, Any]) -> str:
    boxes = _BOXES if body.get("arePackBoxLabelsRequired") is True else ""
    return f"{shipment.name}{boxes}" if shipment is not None else f"code {body.get('shipmentCode')}{boxes}"


def _enriched(touchpoint: Touchpoint, shipment: Shipment | None, body: dict[str, Any]) -> dict[str, Any]:
    """The label call knows two more members (contract 5), one of them required by the page's newest revision."""
    if touchpoint is not LABEL or shipment is None:
        return body
    known = {"shipmentId": shipment.number, "locationCode": shipment.location or None}
    return {**body, **{name: value for name, value in known.items() if value is not None and body.get(name) is None}}


def _answered(decision: Decision[Order]) -> tuple[Shipment | None, dict[str, Any]]:
    """Record a document's answer and give it to the callers that wait. None when that was done before."""
    order, outcome = decision.entity, decision.outcome
    relay = decision.pop_relay()
    if relay is None:
        return None, {}
    if isinstance(relay.data, list):
        code, number, location = relay.data
        shipment = find_shipment(order, code, number) or adopt_shipment(decision, code, number, location)
        settle_order(decision)
    else:
        shipment = order.shipment(relay.data)
    if shipment is not None:
        # By the shipment's present name: when the document was asked for, its shipmentId may not have been known.
        relay.key = shipment.name + (_BOXES if relay.key.endswith(_BOXES) else "")
    decision.record_answer(relay)
    decision.pass_on(relay)
    return shipment, outcome.body if isinstance(outcome.body, dict) else {}


def _advance(order: Order, shipment: Shipment, state: ShipmentState) -> bool:
    """Shipments only go forward."""
    if SHIPMENT_RANK[shipment.state] >= SHIPMENT_RANK[state]:
        return False
    order.change_shipment(shipment, state=state)
    return True


def _is_packing(decision: Decision[Order]) -> bool:
    """Whether a Pack is out whose answer may still name the shipment."""
    return any(relay.touchpoint == PACK.name for relay in decision.awaited())


def _no_shipment(order: Order, item: dict[str, Any]) -> str:
    code = item.get("shipmentCode")
    if order.shipment_index.has_packing:
        return f"order {order.code} has no packed shipment {code} yet: a Pack is out for an answer"
    return f"order {order.code} has no shipment {code}: it was not packed"


def _about(order: Order, shipment: Shipment, data: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The members of a shipment's fact, and the part of them that the order's own list keeps."""
    state = {"shipmentState": shipment.state}
    fact = {**order_context(order), **shipment_context(shipment), **state, **data}
    return fact, {**shipment_name(shipment), **data}
