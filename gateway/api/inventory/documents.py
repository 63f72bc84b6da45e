"""PURE: the documents of /api/inventory, from what delivery wrote about stock and what operators asked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

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
"""Locations named in the document of one channel: some 100 KB. A marketplace has dozens, seldom hundreds."""


def channel_document(
    channel: str,
    locations: Mapping[str, LocationStatus],
    refused: Mapping[str, int],
    controls: ControlIndex,
    now_ms: int,
) -> ChannelStockDocument:
    """`refused`: how many SKUs are refused, by location."""
    longest_first = sorted(locations, key=lambda name: (locations[name].oldest_ms or now_ms, name))
    named = [_location_document(name, locations[name], now_ms) for name in longest_first[:LOCATIONS_MAX]]
    return ChannelStockDocument(
        channel=channel,
        paused=controls.of(Scope(channel)).paused,
        refused=sum(refused.values()),
        locations=named,
        left=len(longest_first) - len(named),
        **_numbers(locations.values(), now_ms),
    )


def control_document(
    scope: Scope, control: Control, *, channel_paused: bool = False, done: bool | None = None
) -> ControlDocument:
    """`channel_paused`: whether the whole channel of a location is."""
    return ControlDocument(
        channel=scope.channel,
        location=scope.location,
        paused=control.paused,
        channelPaused=channel_paused,
        resync=_ask(control.resync),
        reconcile=_ask(control.reconcile),
        done=done,
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
        refused=status.refused,
        atMs=status.at_ms,
        **_numbers([status], now_ms),
    )


def _numbers(known: Collection[LocationStatus], now_ms: int) -> dict[str, Any]:
    """The members that are summed over locations."""
    oldest_ms = min((status.oldest_ms for status in known if status.oldest_ms is not None), default=None)
    changes, sent = sum(status.changes for status in known), sum(status.sent for status in known)
    return {
        "dirty": sum(status.dirty for status in known),
        "oldestAgeMs": None if oldest_ms is None else max(0, now_ms - oldest_ms),
        "sentPerS": round(sum(status.sent_per_s for status in known), 1),
        "changes": changes,
        "sent": sent,
        "conflation": round(changes / sent, 2) if sent else None,
        "resync": _progress(known),
        "reconcile": _reconciled(known),
    }


def _progress(known: Iterable[LocationStatus]) -> ResyncProgress | None:
    """The sum over the locations with a resync; the id is that of the newest one."""
    going = [status.resync for status in known if status.resync is not None]
    if not going:
        return None
    newest = max(going, key=lambda resync: resync.started_ms)
    told, total = sum(resync.told for resync in going), sum(resync.total for resync in going)
    return ResyncProgress(id=newest.id, told=told, total=total)


def _reconciled(known: Iterable[LocationStatus]) -> ReconcileResult | None:
    """The sum over the locations that the newest reconciliation was of."""
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


def _ask(ask: Ask | None) -> AskDocument | None:
    return None if ask is None else AskDocument(id=ask.id, atMs=ask.at_ms)
