"""What happens to a packed shipment: invoice, label, manifest, handover."""

from __future__ import annotations

from typing import Any

from streams.order.forward.adopt import adopt_shipment
from streams.order.forward.deferred_calls import wait
from streams.order.forward.location import misplaced
from streams.order.forward.pack import PACK, ruling_of_failure, shipment_context
from streams.order.forward.progress import context, reach, settle
from streams.order.model.decision import APPLIED, DUPLICATE, Ruling, Turn, early
from streams.order.model.entities import Order
from streams.order.model.parts import Shipment
from streams.order.model.states import SHIPMENT_RANK, ShipmentState
from topics.contract.definition import Touchpoint
from topics.contract.touchpoints import BY_NAME
from topics.records.verdicts import Verdict

INVOICE = BY_NAME["get-invoice"]
LABEL = BY_NAME["get-shipping-label"]
HANDOVER = BY_NAME["handover-notification"]

NO_ANSWER = "the marketplace gave no answer in time; a repeat is safe"
_TRUE = (True, "true", "True", "1", 1)
"""How a flag of a query string may be written."""
_BOXES = ",boxes"
"""Ends the key of a label that comes with those of its boxes: another document."""


def get_invoice(turn: Turn[Order]) -> Ruling:
    return _get(turn, INVOICE)


def get_label(turn: Turn[Order]) -> Ruling:
    return _get(turn, LABEL)


def invoice_taken(turn: Turn[Order]) -> Ruling:
    """The marketplace's invoice is in."""
    shipment, body = _answered(turn, INVOICE)
    if shipment is None:
        return DUPLICATE
    code = body.get("invoiceCode")
    if code is not None and str(code) != shipment.invoice:
        shipment.invoice = str(code)
        data = {"invoiceCode": shipment.invoice}
        turn.fact("invoice-issued", _facts(turn.entity, shipment, data), _noted(shipment, data))
    return APPLIED


def label_taken(turn: Turn[Order]) -> Ruling:
    """The marketplace's label is in: the shipment has a courier and a tracking number."""
    order = turn.entity
    shipment, body = _answered(turn, LABEL)
    if shipment is None:
        return DUPLICATE
    awb, transporter = body.get("awbNumber"), body.get("transporter")
    known = (shipment.awb, shipment.transporter)
    shipment.awb = str(awb) if awb is not None else shipment.awb
    shipment.transporter = str(transporter) if transporter is not None else shipment.transporter
    advanced = _advance(shipment, ShipmentState.LABELLED)
    if not advanced and known == (shipment.awb, shipment.transporter):
        return APPLIED
    reach(order, "labelled", turn.now_ms)
    settle(turn)
    data = {"awbNumber": shipment.awb, "transporter": shipment.transporter}
    turn.fact("label-issued", _facts(order, shipment, data), _noted(shipment, data))
    return APPLIED


def document_failed(turn: Turn[Order]) -> Ruling:
    """No document this time; asking again asks the far side again."""
    outcome = turn.event.outcome
    relay = turn.entity.pop_relay(outcome) if outcome is not None else None
    if outcome is None or relay is None:
        return DUPLICATE
    turn.answer_waiters(relay, ruling_of_failure(outcome, NO_ANSWER))
    return APPLIED


def manifested(turn: Turn[Order]) -> Ruling:
    """The manifest that has this order's shipment was closed."""
    order, body = turn.entity, turn.event.body
    code = body.get("shipmentCode")
    shipment = find_shipment(order, code, None) or _met(turn, code, None)
    if shipment is None:
        return early(_no_shipment(order, body))
    manifest = body.get("manifestCode") or body.get("manifestId")
    # A handover may overtake this: the shipment is further then, and its manifest is still news.
    if not _advance(shipment, ShipmentState.MANIFESTED) and shipment.manifest == manifest:
        return DUPLICATE
    shipment.manifest = manifest
    shipment.awb = shipment.awb or body.get("awbNumber")
    shipment.transporter = shipment.transporter or body.get("transporter")
    reach(order, "manifested", turn.now_ms)
    settle(turn)
    data = {"manifestCode": shipment.manifest, "awbNumber": shipment.awb, "transporter": shipment.transporter}
    turn.fact("shipment-manifested", _facts(order, shipment, data), _noted(shipment, data))
    return APPLIED


def hand_over(turn: Turn[Order]) -> Ruling:
    """A shipment left the warehouse. Needs its pack, and an answered one."""
    order, body = turn.entity, turn.event.body
    wrong = misplaced(order, body.get("locationCode"))
    if wrong is not None:
        return wrong
    shipments: list[Shipment] = []
    for item in body["handoverItems"]:
        code = item.get("shipmentCode")
        shipment = find_shipment(order, code, None) or _met(turn, code, body["locationCode"])
        if shipment is None:
            return early(_no_shipment(order, item))
        if shipment.state != ShipmentState.HANDED_OVER and shipment not in shipments:
            shipments.append(shipment)
    if not shipments:
        return DUPLICATE
    for shipment in shipments:
        _advance(shipment, ShipmentState.HANDED_OVER)
    turn.deliver(HANDOVER, body)
    for shipment in shipments:
        turn.fact("shipment-handed-over", _facts(order, shipment, {}), _noted(shipment, {}))
    settle(turn)
    return APPLIED


def find_shipment(order: Order, code: Any, shipment_id: Any) -> Shipment | None:
    """A packed shipment by the marketplace's code, else by Increff's id.

    Pack's answer is not documented: when it brought no code, callers may give the id in the code's place, and if it is
    the only shipment without a code, any code must mean it.
    """
    packed = [shipment for shipment in order.shipments if shipment.state != ShipmentState.PACKING]
    for shipment in packed:
        if shipment.code is not None and shipment.code == str(code):
            return shipment
    for shipment in packed:
        if str(shipment.id) in (str(shipment_id), str(code)):
            return shipment
    nameless = [shipment for shipment in packed if shipment.code is None]
    return nameless[0] if len(nameless) == 1 and shipment_id is None else None


def _met(turn: Turn[Order], code: Any, location: str | None) -> Shipment | None:
    """A shipment that a call names and nobody packed here: an order that was met midway may have it."""
    return adopt_shipment(turn, code, None, location) if turn.entity.open_ended else None


def _get(turn: Turn[Order], touchpoint: Touchpoint) -> Ruling:
    """A document of a shipment: the recorded one, the one being asked for, or a new request beside the lane."""
    order, event = turn.entity, turn.event
    shipment = find_shipment(order, event.body.get("shipmentCode"), event.body.get("shipmentId"))
    if shipment is None and _is_packing(turn):
        return wait(turn, touchpoint.name)
    named = [event.body.get(name) for name in ("shipmentCode", "shipmentId", "locationCode")]
    if shipment is None and not (order.open_ended and named[0]):
        return early(_no_shipment(order, event.body))
    key = _document_key(shipment, event.body)
    recorded = turn.recorded(touchpoint.name, key)
    if recorded is not None:
        return recorded
    relay = order.relay(touchpoint.name, key)
    if relay is not None and not turn.overdue(relay):
        return turn.join(relay, event.id, event.reply_to, event.deadline_ms)
    return turn.ask(
        touchpoint,
        _enriched(touchpoint, shipment, event.body),
        key,
        event=event.id,
        reply_to=event.reply_to,
        deadline_ms=event.deadline_ms,
        # Whether an adopted order has a shipment of that code the marketplace's answer says.
        data=shipment.id if shipment is not None else named,
    )


def _document_key(shipment: Shipment | None, body: dict[str, Any]) -> str:
    boxes = _BOXES if body.get("arePackBoxLabelsRequired") in _TRUE else ""
    return f"{shipment.name}{boxes}" if shipment is not None else f"code {body['shipmentCode']}{boxes}"


def _enriched(touchpoint: Touchpoint, shipment: Shipment | None, body: dict[str, Any]) -> dict[str, Any]:
    """The label call knows two more members (contract 5), one of them required by the page's newest revision."""
    if touchpoint is not LABEL or shipment is None:
        return body
    known = {"shipmentId": shipment.number, "locationCode": shipment.location or None}
    return {**body, **{name: value for name, value in known.items() if value is not None and body.get(name) is None}}


def _answered(turn: Turn[Order], touchpoint: Touchpoint) -> tuple[Shipment | None, dict[str, Any]]:
    """Record a document's answer and give it to those who wait. None when that was done before."""
    order, outcome = turn.entity, turn.event.outcome
    relay = order.pop_relay(outcome) if outcome is not None else None
    if outcome is None or relay is None:
        return None, {}
    if isinstance(relay.data, list):
        code, number, location = relay.data
        shipment = find_shipment(order, code, number) or adopt_shipment(turn, code, number, location)
        settle(turn)
    else:
        shipment = order.shipment(relay.data)
    if shipment is not None:
        # By what names the shipment now: when it was asked for, its shipmentId may not have been known.
        relay.key = shipment.name + (_BOXES if relay.key.endswith(_BOXES) else "")
    turn.record(touchpoint.name, relay.key, outcome.status, outcome.body)
    turn.answer_waiters(relay, Ruling(Verdict.APPLIED, status=outcome.status, body=outcome.body))
    return shipment, outcome.body if isinstance(outcome.body, dict) else {}


def _advance(shipment: Shipment, state: ShipmentState) -> bool:
    """Shipments only go forward."""
    if SHIPMENT_RANK[shipment.state] >= SHIPMENT_RANK[state]:
        return False
    shipment.state = state
    return True


def _is_packing(turn: Turn[Order]) -> bool:
    """Whether a Pack is out whose answer may still name the shipment."""
    relays = turn.entity.relays
    return any(one.touchpoint == PACK.name and not one.dead and not turn.overdue(one) for one in relays)


def _no_shipment(order: Order, item: dict[str, Any]) -> str:
    code = item.get("shipmentCode")
    if any(shipment.state == ShipmentState.PACKING for shipment in order.shipments):
        return f"order {order.code} has no packed shipment {code} yet: a Pack is out for an answer"
    return f"order {order.code} has no shipment {code}: it was not packed"


def _facts(order: Order, shipment: Shipment, data: dict[str, Any]) -> dict[str, Any]:
    return {**context(order), **shipment_context(shipment), "shipmentState": shipment.state, **data}


def _noted(shipment: Shipment, data: dict[str, Any]) -> dict[str, Any]:
    return {"shipmentId": shipment.number, "shipmentCode": shipment.code, **data}
