"""Manifests: one call for shipments of many orders, so an entity of its own, which informs each of its orders."""

from __future__ import annotations

from typing import Any

from streams.order.model.decision import APPLIED, DUPLICATE, AnswerLookup, Decision, Ruling, first_decision
from streams.order.model.entities import Manifest
from streams.order.model.events import Event
from streams.order.model.states import ManifestState
from topics.contract.leniency import as_text
from topics.contract.touchpoints import BY_NAME
from topics.records.envelope import SHIPMENT_MANIFESTED
from topics.records.keys import order_key
from topics.records.verdicts import Verdict

MANIFEST = BY_NAME["create-manifest"]


def create_manifest(event: Event, now_ms: int, lookup: AnswerLookup) -> tuple[Decision[Manifest], Ruling]:
    """The first call for a manifest."""
    decision = first_decision(Manifest, ManifestState.REQUESTED, event, now_ms, lookup)
    return decision, _ask(decision)


def repeat_requested(decision: Decision[Manifest]) -> Ruling:
    """A repeat while the marketplace has not answered."""
    relay = decision.entity.relay(MANIFEST.name, "")
    differs = _differs(decision)
    if relay is None or (decision.is_overdue(relay) and not differs):
        return _ask(decision)
    return decision.join_relay(relay)


def repeat_manifest(decision: Decision[Manifest]) -> Ruling:
    """A repeat after success gets the recorded answer, rebuilt when it is no longer kept."""
    _differs(decision)
    recorded = decision.recorded_answer(MANIFEST.name, "")
    if recorded is not None:
        return recorded
    body = {"manifestCode": decision.entity.manifest_code, "manifestItems": _shipments(decision.entity)}
    return Ruling(Verdict.DUPLICATE, status=200, body=body)


def retry_manifest(decision: Decision[Manifest]) -> Ruling:
    """A call after the marketplace refused the manifest is a new attempt."""
    decision.entity.state = ManifestState.REQUESTED
    return _ask(decision)


def manifest_taken(decision: Decision[Manifest]) -> Ruling:
    """The marketplace made the manifest: its answer is recorded and passed on, each order is informed."""
    entity, outcome = decision.entity, decision.outcome
    relay = decision.pop_relay()
    if relay is None:
        return DUPLICATE
    body = outcome.body if isinstance(outcome.body, dict) else {}
    entity.manifest_code = as_text(body.get("manifestCode")) or None
    entity.items = _confirmed(entity, body)
    entity.state = ManifestState.MANIFESTED
    entity.reason = None
    decision.record_answer(relay)
    for index, (order, shipment, awb) in enumerate(entity.items):
        body_of_order = {
            "orderCode": order,
            "shipmentCode": shipment,
            "awbNumber": awb,
            "manifestCode": entity.manifest_code,
            "manifestId": entity.code,
            "transporter": entity.transporter,
        }
        key = order_key(entity.channel, order)
        decision.send_command(f"{decision.event.id}.m{index}", SHIPMENT_MANIFESTED, key, order, body_of_order)
    decision.pass_on(relay)
    decision.fact(
        "manifest-created",
        {
            "manifestId": entity.code,
            "manifestCode": entity.manifest_code,
            "locationCode": entity.location,
            "transporter": entity.transporter,
            "items": _shipments(entity),
        },
        {"manifestCode": entity.manifest_code},
    )
    return APPLIED


def manifest_failed(decision: Decision[Manifest]) -> Ruling:
    """The marketplace refused the manifest, or gave no answer in time."""
    entity, relay = decision.entity, decision.pop_relay()
    if relay is None:
        return DUPLICATE
    entity.state = ManifestState.REFUSED
    entity.reason = decision.pass_on_failure(relay).message
    status = {"status": decision.outcome.status}
    decision.fact("manifest-refused", {"manifestId": entity.code, **status}, status)
    return APPLIED


def _ask(decision: Decision[Manifest]) -> Ruling:
    entity, body = decision.entity, decision.event.body
    entity.location = body.get("locationCode")
    entity.transporter = body.get("transporter") or ""
    entity.digest = decision.event.payload_of(MANIFEST.request)
    entity.items = [
        (item["orderCode"], item["shipmentCode"], item.get("awbNumber") or "") for item in body["manifestItems"]
    ]
    return decision.ask_far_side(MANIFEST, body, "")


def _differs(decision: Decision[Manifest]) -> bool:
    """Whether a repeat has other content; a fact reports it once.

    The contract's key is the manifestId alone, so the answer is the same.
    """
    entity = decision.entity
    if decision.event.has_payload(entity.digest, MANIFEST.request):
        return False
    if not decision.is_remembered():
        decision.remember(DUPLICATE)
        decision.fact("manifest-differed", {"manifestId": entity.code, "locationCode": entity.location})
    return True


def _shipments(entity: Manifest) -> list[dict[str, str]]:
    return [{"orderCode": order, "shipmentCode": shipment} for order, shipment, _ in entity.items]


def _confirmed(entity: Manifest, body: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The shipments that the marketplace names in its answer; all of them when it names none."""
    named = body.get("manifestItems")
    if not isinstance(named, list) or not named:
        return entity.items
    pairs = {
        (as_text(item.get("orderCode")), as_text(item.get("shipmentCode"))) for item in named if isinstance(item, dict)
    }
    return [item for item in entity.items if (item[0], item[1]) in pairs]
