"""Pack: units of an order become a shipment once the marketplace agreed. Its identity is Increff's shipmentId."""

from __future__ import annotations

from typing import Final

from streams.order.forward.adopt import learn_sku, unite
from streams.order.forward.cancel import Contended
from streams.order.forward.fulfilment_type import SINGLE, leaves_open, one_too_many
from streams.order.forward.location import misplaced
from streams.order.forward.progress import order_context, reach_milestone, settle_order, shipment_context, shipment_name
from streams.order.model import limits
from streams.order.model.decision import APPLIED, DUPLICATE, Decision, Ruling, failed, refused
from streams.order.model.entities import Order
from streams.order.model.line_index import SkuLines
from streams.order.model.parts import Line, Relay, Shipment
from streams.order.model.states import ShipmentState
from topics.contract.leniency import as_text
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import OutcomeKind
from topics.records.verdicts import Verdict

PACK: Final = BY_NAME["pack-order"]


def pack_order(decision: Decision[Order]) -> Ruling:
    """Ask for a new shipment. A known one gets its recorded answer; a Pack in flight is joined."""
    order, body = decision.entity, decision.event.body
    shipment_id = body["shipmentId"]
    known = order.shipment(shipment_id)
    if known is not None:
        return _repeat_pack(decision, known)
    if len(order.shipments) >= limits.SHIPMENTS_MAX:
        return refused(f"order {order.code} has {limits.SHIPMENTS_MAX} shipments, which is the most")
    wrong = misplaced(order, body["locationCode"]) or one_too_many(order, body)
    if wrong is not None:
        return wrong
    allotted = _allot(decision)
    if isinstance(allotted, Ruling):
        return allotted
    ruling = leaves_open(decision, allotted) or _ask(decision, shipment_id)
    if ruling.verdict is not None:
        return ruling
    order.ask_units(allotted)
    lines = [(order.lines[position], units) for position, units in allotted]
    order.add_shipment(
        Shipment(
            shipment_id,
            body["locationCode"],
            [(line.code, line.sku, units) for line, units in lines],
            decision.event.payload_of(PACK.request),
            single=body.get("fulfillmentType") == SINGLE,
        )
    )
    settle_order(decision)
    return ruling


def pack_taken(decision: Decision[Order]) -> Ruling:
    """The marketplace packed: its answer is recorded, then given to every caller that waits."""
    order, outcome = decision.entity, decision.outcome
    found = _pop_packing(decision)
    if found is None:
        return DUPLICATE
    relay, shipment = found
    body = outcome.body if isinstance(outcome.body, dict) else {}
    # Without a code of the marketplace's own, later calls find the shipment by its id (see shipments.find_shipment).
    order.change_shipment(shipment, state=ShipmentState.PACKED, code=as_text(body.get("shipmentCode")) or None)
    unite(order, shipment)
    order.pack_units(shipment)
    reach_milestone(order, "packed", decision.now_ms)
    decision.record_answer(relay)
    decision.pass_on(relay)
    settle_order(decision)
    decision.fact("shipment-packed", {**order_context(order), **shipment_context(shipment)}, shipment_name(shipment))
    return APPLIED


def pack_failed(decision: Decision[Order]) -> Ruling:
    """Refused, withdrawn or given up: the units are free again, and the callers learn why."""
    order, outcome = decision.entity, decision.outcome
    found = _pop_packing(decision)
    if found is None:
        return DUPLICATE
    relay, shipment = found
    order.remove_shipment(shipment)
    order.release_units(shipment)
    decision.pass_on_failure(relay)
    status = {"status": outcome.status}
    decision.fact(
        "pack-refused" if outcome.kind is OutcomeKind.REFUSED else "pack-unanswered",
        {**order_context(order), **shipment_context(shipment), **status},
        {**shipment_name(shipment), **status},
    )
    return APPLIED


def _pop_packing(decision: Decision[Order]) -> tuple[Relay, Shipment] | None:
    """The relay that the outcome ends, and the shipment it is about; None when that was decided before."""
    relay = decision.pop_relay()
    shipment = decision.entity.shipment(relay.data) if relay is not None else None
    if relay is None or shipment is None or shipment.state != ShipmentState.PACKING:
        return None
    return relay, shipment


def _ask(decision: Decision[Order], shipment_id: int) -> Ruling:
    return decision.ask_far_side(PACK, decision.event.body, str(shipment_id), data=shipment_id)


def _repeat_pack(decision: Decision[Order], shipment: Shipment) -> Ruling:
    order = decision.entity
    key = str(shipment.id)
    differs = bool(shipment.digest) and not decision.event.has_payload(shipment.digest, PACK.request)
    if differs and not decision.is_remembered():
        # The contract's key is the shipmentId alone, so the answer is the same. Operators must see, once, that the
        # content differs.
        decision.remember(DUPLICATE)
        context = {**order_context(order), **shipment_context(shipment)}
        decision.fact("pack-differed", context, shipment_name(shipment))
    relay = order.relay(PACK.name, key)
    if relay is not None:
        overdue = decision.is_overdue(relay) and not differs
        return _ask(decision, shipment.id) if overdue else decision.join_relay(relay)
    recorded = decision.recorded_answer(PACK.name, key)
    if recorded is not None:
        return recorded
    body = {"shipmentCode": shipment.code} if shipment.code is not None else None
    return Ruling(Verdict.DUPLICATE, status=200, body=body)


def _allot(decision: Decision[Order]) -> list[tuple[int, int]] | Ruling:
    """Allot the units of a Pack to the order's lines: a Pack names SKUs, and two lines may have one SKU. Returns units
    by the place of their line."""
    order = decision.entity
    contended = Contended(decision)
    unknown = _learn_skus(decision, contended) if order.open_ended else None
    if unknown is not None:
        return unknown
    allotted: dict[int, int] = {}
    several: dict[str, _Allotment] = {}
    lines, index = order.lines, order.line_index
    first_of, several_of = index.by_sku, index.several
    for item in decision.event.body["shipmentItems"]:
        sku, wanted = item["channelSkuCode"], item["quantityToPack"]
        position = first_of.get(sku)
        if position is None:
            return refused(f"order {order.code} has no item with channelSkuCode {sku}")
        if sku in several_of:
            allotment = several.get(sku)
            if allotment is None:
                allotment = several[sku] = _Allotment(lines, several_of[sku], contended, allotted)
            open_units, is_enough = allotment.open_units, allotment.take(wanted)
        else:
            line, taken = lines[position], allotted.get(position, 0)
            open_units = line.ordered - line.packed - line.packing - line.customer - line.seller - taken
            is_enough = wanted <= open_units - contended.units(line)
            allotted[position] = taken + wanted
        if wanted > open_units:
            return refused(f"{wanted} of {sku} cannot be packed: {open_units} open in order {order.code}")
        if not is_enough:
            return _contended(sku)
    return sorted(allotted.items())


class _Allotment:
    """Units of one SKU that has several lines, taken from them in their order."""

    __slots__ = ("_allotted", "_at", "_contended", "_lines", "_positions", "open_units")

    def __init__(self, lines: list[Line], same: SkuLines, contended: Contended, allotted: dict[int, int]) -> None:
        self._lines, self._positions, self._contended, self._allotted = lines, same.positions, contended, allotted
        self._at = same.skip_taken(lines)
        """Index in the SKU's lines before which nothing is left to take."""
        self.open_units = same.free

    def take(self, wanted: int) -> bool:
        """Take units. False when too few are left, as customers cancel some: then nothing of it counts."""
        self.open_units -= wanted
        while wanted > 0 and self._at < len(self._positions):
            position = self._positions[self._at]
            line, taken = self._lines[position], self._allotted.get(position, 0)
            units = min(wanted, line.free - self._contended.units(line) - taken)
            if units > 0:
                wanted -= units
                self._allotted[position] = taken + units
            if wanted > 0:
                self._at += 1
        return wanted <= 0


def _learn_skus(decision: Decision[Order], contended: Contended) -> Ruling | None:
    """An adopted order has the units that are packed of it; units that a customer is cancelling add none."""
    order = decision.entity
    wanted: dict[str, int] = {}
    for item in decision.event.body["shipmentItems"]:
        wanted[item["channelSkuCode"]] = wanted.get(item["channelSkuCode"], 0) + item["quantityToPack"]
    index = order.line_index
    for sku, units in wanted.items():
        more = units - index.free_of(sku)
        if more > 0:
            if any(contended.units(order.lines[position]) for position in index.of_sku(sku)):
                return _contended(sku)
            unknown = learn_sku(order, sku, more)
            if unknown is not None:
                return unknown
    return None


def _contended(sku: str) -> Ruling:
    return failed(f"a customer cancellation of {sku} is out for Increff's answer; repeat later")
