"""Manifests: one call for shipments of many orders, so an entity of its own that tells each order."""

from __future__ import annotations

from typing import Any

from streams.order.forward.pack import ruling_of_failure
from streams.order.model.canonical import digest
from streams.order.model.decision import APPLIED, DUPLICATE, AnswerLookup, Decision, Ruling
from streams.order.model.entities import Manifest
from streams.order.model.events import Event
from streams.order.model.states import ManifestState
from topics.contract.touchpoints import BY_NAME
from topics.records.envelope import SHIPMENT_MANIFESTED
from topics.records.keys import order_key
from topics.records.verdicts import Verdict

MANIFEST = BY_NAME["create-manifest"]
NO_ANSWER = "the marketplace gave no answer in time; a repeat is safe"


def create_manifest(event: Event, now_ms: int, lookup: AnswerLookup) -> tuple[Decision[Manifest], Ruling]:
    """The first call for a manifest."""
    entity = Manifest(
        channel=event.channel, code=event.code, state=ManifestState.REQUESTED, created_ms=now_ms, updated_ms=now_ms
    )
    decision = Decision(entity, event, now_ms, lookup)
    return decision, _ask(decision)


def repeat_requested(decision: Decision[Manifest]) -> Ruling:
    """A repeat while the marketplace has not answered."""
    event, relay = decision.event, decision.entity.relay(MANIFEST.name, "")
    differs = _differs(decision)
    if relay is None or (decision.overdue(relay) and not differs):
        return _ask(decision)
    return decision.join(relay, event.id, event.reply_to, event.deadline_ms)


def repeat_manifest(decision: Decision[Manifest]) -> Ruling:
    """A repeat after success gets the recorded answer, rebuilt when it is no longer kept."""
    _differs(decision)
    recorded = decision.recorded(MANIFEST.name, "")
    if recorded is not None:
        return recorded
    entity = decision.entity
    items = [{"orderCode": order, "shipmentCode": shipment} for order, shipment, _ in entity.items]
    body = {"manifestCode": entity.manifest_code, "manifestItems": items}
    return Ruling(Verdict.DUPLICATE, status=200, body=body)


def retry_manifest(decision: Decision[Manifest]) -> Ruling:
    decision.entity.state = ManifestState.REQUESTED
    return _ask(decision)


def manifest_taken(decision: Decision[Manifest]) -> Ruling:
    """The marketplace made the manifest: recorded, told to each order, answered."""
    entity, outcome = decision.entity, decision.event.outcome
    relay = entity.pop_relay(outcome) if outcome is not None else None
    if outcome is None or relay is None:
        return DUPLICATE
    body = outcome.body if isinstance(outcome.body, dict) else {}
    code = body.get("manifestCode")
    entity.manifest_code = str(code) if code is not None else None
    entity.items = _confirmed(entity, body)
    entity.state = ManifestState.MANIFESTED
    entity.reason = None
    decision.record(MANIFEST.name, relay.key, outcome.status, outcome.body)
    for index, (order, shipment, awb) in enumerate(entity.items):
        told = {
            "orderCode": order,
            "shipmentCode": shipment,
            "awbNumber": awb,
            "manifestCode": entity.manifest_code,
            "manifestId": entity.code,
            "transporter": entity.transporter,
        }
        key = order_key(entity.channel, order)
        decision.command(f"{decision.event.id}.m{index}", SHIPMENT_MANIFESTED, key, order, told)
    decision.answer_waiters(relay, Ruling(Verdict.APPLIED, status=outcome.status, body=outcome.body))
    decision.fact(
        "manifest-created",
        {
            "manifestId": entity.code,
            "manifestCode": entity.manifest_code,
            "locationCode": entity.location,
            "transporter": entity.transporter,
            "items": [{"orderCode": order, "shipmentCode": shipment} for order, shipment, _ in entity.items],
        },
        {"manifestCode": entity.manifest_code},
    )
    return APPLIED


def manifest_failed(decision: Decision[Manifest]) -> Ruling:
    entity, outcome = decision.entity, decision.event.outcome
    relay = entity.pop_relay(outcome) if outcome is not None else None
    if outcome is None or relay is None:
        return DUPLICATE
    entity.state = ManifestState.REFUSED
    ruling = ruling_of_failure(outcome, NO_ANSWER)
    entity.reason = ruling.message
    decision.answer_waiters(relay, ruling)
    decision.fact("manifest-refused", {"manifestId": entity.code, "status": outcome.status}, {"status": outcome.status})
    return APPLIED


def _ask(decision: Decision[Manifest]) -> Ruling:
    entity, event = decision.entity, decision.event
    entity.location = event.body.get("locationCode")
    entity.transporter = event.body.get("transporter") or ""
    entity.digest = digest(MANIFEST.request, event.body)
    entity.items = [
        (item["orderCode"], item["shipmentCode"], item.get("awbNumber") or "") for item in event.body["manifestItems"]
    ]
    return decision.ask(
        MANIFEST,
        event.body,
        "",
        event=event.id,
        reply_to=event.reply_to,
        deadline_ms=event.deadline_ms,
    )


def _differs(decision: Decision[Manifest]) -> bool:
    """The contract's key is the manifestId alone, so the answer is the same; that it differs must be seen, once."""
    entity = decision.entity
    if digest(MANIFEST.request, decision.event.body) == entity.digest:
        return False
    if not decision.is_known():
        decision.remember(DUPLICATE)
        decision.fact("manifest-differed", {"manifestId": entity.code, "locationCode": entity.location})
    return True


def _confirmed(entity: Manifest, body: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The shipments the marketplace names in its answer; all of them when it names none."""
    named = body.get("manifestItems")
    if not isinstance(named, list) or not named:
        return entity.items
    pairs = {(item.get("orderCode"), item.get("shipmentCode")) for item in named if isinstance(item, dict)}
    return [item for item in entity.items if (item[0], item[1]) in pairs]
