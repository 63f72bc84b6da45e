"""What is told of stock to operators, from what delivery wrote and what operators asked. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from topics.api.stock_operations import (
    AskDocument,
    ChannelStockDocument,
    ControlDocument,
    LocationDocument,
    ReconcileResult,
    RefusedSkuDocument,
)
from topics.records.facts.stock import ReconcileCounts
from topics.stock.controls import Ask, Control, ControlIndex, Scope
from topics.stock.status import LocationStatus, RefusedSku, ResyncProgress

LOCATIONS_MAX = 500
"""Locations that one channel's document names: some 100 KB. A marketplace has dozens, seldom hundreds."""


def channel_document(
    channel: str,
    locations: Mapping[str, LocationStatus],
    refused: Mapping[str, int],
    controls: ControlIndex,
    now_ms: int,
) -> ChannelStockDocument:
    """`refused`: how many SKUs are, by location."""
    known = locations.values()
    oldest = [status.oldest_ms for status in known if status.oldest_ms is not None]
    changes, sent = sum(status.changes for status in known), sum(status.sent for status in known)
    longest_first = sorted(locations, key=lambda name: (locations[name].oldest_ms or now_ms, name))
    told = [_location_document(name, locations[name], now_ms) for name in longest_first[:LOCATIONS_MAX]]
    return ChannelStockDocument(
        channel=channel,
        paused=controls.of(Scope(channel)).paused,
        dirty=sum(status.dirty for status in known),
        oldestAgeMs=max(0, now_ms - min(oldest)) if oldest else None,
        sentPerS=round(sum(status.sent_per_s for status in known), 1),
        changes=changes,
        sent=sent,
        conflation=_ratio(changes, sent),
        refused=sum(refused.values()),
        resync=_progress(known),
        reconcile=_reconciled(known),
        locations=told,
        left=len(longest_first) - len(told),
    )


def control_document(scope: Scope, control: Control) -> ControlDocument:
    return ControlDocument(
        channel=scope.channel,
        location=scope.location,
        paused=control.paused,
        resync=_ask(control.resync),
        reconcile=_ask(control.reconcile),
    )


def refused_document(location: str, sku: str, why: RefusedSku) -> RefusedSkuDocument:
    return RefusedSkuDocument(
        location=location,
        channelSkuCode=sku,
        reason=why.reason,
        status=why.status,
        sinceMs=why.since_ms,
        failures=why.failures,
    )


def _location_document(name: str, status: LocationStatus, now_ms: int) -> LocationDocument:
    return LocationDocument(
        location=name,
        paused=status.paused,
        dirty=status.dirty,
        oldestAgeMs=None if status.oldest_ms is None else max(0, now_ms - status.oldest_ms),
        sentPerS=round(status.sent_per_s, 1),
        changes=status.changes,
        sent=status.sent,
        conflation=_ratio(status.changes, status.sent),
        refused=status.refused,
        resync=_progress([status]),
        reconcile=_reconciled([status]),
        atMs=status.at_ms,
    )


def _progress(known: Iterable[LocationStatus]) -> ResyncProgress | None:
    """Of those that are at a resync; the newest one's id stands for them."""
    at_it = [status.resync for status in known if status.resync is not None]
    if not at_it:
        return None
    newest = max(at_it, key=lambda resync: resync.started_ms)
    told, total = sum(resync.told for resync in at_it), sum(resync.total for resync in at_it)
    return ResyncProgress(id=newest.id, told=told, total=total)


def _reconciled(known: Iterable[LocationStatus]) -> ReconcileResult | None:
    """Of the locations that the newest reconciliation was of."""
    last = [status.reconcile for status in known if status.reconcile is not None]
    if not last:
        return None
    newest = max(last, key=lambda one: one.started_ms).id
    same = [one for one in last if one.id == newest]
    return ReconcileResult(
        id=newest,
        failed=any(one.failed for one in same),
        startedMs=min(one.started_ms for one in same),
        endedMs=max(one.ended_ms for one in same) if all(one.ended_ms for one in same) else None,
        **{name: sum(getattr(one, name) for one in same) for name in ReconcileCounts.model_fields},
    )


def _ratio(changes: int, sent: int) -> float | None:
    return round(changes / sent, 2) if sent else None


def _ask(ask: Ask | None) -> AskDocument | None:
    return None if ask is None else AskDocument(id=ask.id, atMs=ask.at_ms)
