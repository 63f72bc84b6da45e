"""PURE: what a reconciliation of a location finds, counts, reports, repairs and remembers, so that it ends.

A SKU drifted when the channel has another quantity than it is offered, and nothing in flight explains it. A SKU that is
out of stock and one that is not there are the same: neither can be sold.

Drift is repaired once: what the channel acknowledged of the SKU is forgotten, so the SKU differs from what is true and
is sent as any other. That is remembered under `~drift|channel|location|sku` on inventory.sent until a reconciliation
finds the SKU as it should be. Drift found again is reported, not repaired again; so a channel that ignores repairs
causes no loop.

One commit makes durable what was found, what is repaired and how far the reconciliation is; a restart goes on from
there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from streams.delivery.stock.operations.step import Step, fact_effect
from streams.delivery.stock.operations.sweep import Sweep, SweepRecord
from streams.delivery.stock.ports import SENT, KnownStock, StockLocation
from streams.runtime.role import Change, Effect
from topics.records.facts.stock import DriftFact, ReconcileCounts, ReconcileDone, StockDriftFound, StockDriftPersists
from topics.records.keys import join, position_key
from topics.records.unreadable import UNREADABLE
from topics.stock.positions import DRIFT, RECONCILE
from topics.stock.status import Reconciled

REMEMBERED_MAX = 10_000
"""Drifts of one location that are remembered, some 3 MB. What drifted beyond is counted and left to the next
reconciliation; a channel that lost more than that wants a resync."""

Kind = Literal["missing", "extra", "stale", "refused"]
Why = Literal["never-sent", "lost", "changed", "refused", "unknown-here"]
REPAIRED: frozenset[Kind] = frozenset({"missing", "stale"})
"""Drift of the other kinds cannot be repaired by a call, or is tried on anyway."""


class RememberedDrift(BaseModel):
    """The record under `~drift|channel|location|sku`: a drift that was reported, by which reconciliation."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    kind: str
    reconcile: str
    at_ms: int
    repaired: bool

    def encode(self) -> bytes:
        return self.model_dump_json().encode()


@dataclass(frozen=True, slots=True)
class Drift:
    """Drift of one SKU: its kind, its cause, and the quantities behind it."""

    kind: Kind
    cause: Why
    wanted: int | None
    sent: int | None
    found: int | None

    @property
    def is_repairable(self) -> bool:
        return self.kind in REPAIRED

    def remembered(self, reconcile: str, now_ms: int) -> RememberedDrift:
        return RememberedDrift(kind=self.kind, reconcile=reconcile, at_ms=now_ms, repaired=self.is_repairable)


def drift_of(known: KnownStock, found: int | None) -> Drift | None:
    """`found`: what the channel says it has; None: nothing. What is in flight is no drift."""
    wanted, sent = known.wanted, known.sent
    if (found or 0) == (wanted or 0) or not (known.settled or known.refused):
        return None
    if known.refused:
        return Drift("refused", "refused", wanted, sent, found)
    if wanted is None:
        return Drift("extra", "unknown-here", wanted, sent, found)
    if found is None:
        return Drift("missing", "never-sent" if sent is None else "lost", wanted, sent, found)
    return Drift("stale", "never-sent" if sent is None else "changed", wanted, sent, found)


class ReconcileRecord(Reconciled, SweepRecord):
    """The record under `~reconcile|channel|location`. Without its cause and cursor it is what operators see."""

    @property
    def is_over(self) -> bool:
        return bool(self.ended_ms)

    @property
    def swept(self) -> int:
        return self.compared

    @property
    def is_sound(self) -> bool:
        drifted = self.missing + self.extra + self.stale + self.refused
        return super().is_sound and self.repaired + self.persisting <= drifted <= self.compared


class Judged(NamedTuple):
    """Returns the changes to commit, and the SKUs to compare when those are durable."""

    step: Step
    repaired: list[str]


class Reconciliation(Sweep[ReconcileRecord]):
    """The reconciliation of one location."""

    record_type = ReconcileRecord
    mark = RECONCILE
    blank = MappingProxyType({**dict.fromkeys(ReconcileCounts.model_fields, 0), "ended_ms": 0, "failed": False})

    def __init__(
        self, location: StockLocation, last: bytes | None, remembered: Iterable[tuple[str, bytes]], now_ms: int
    ) -> None:
        """`last` and `remembered` (by SKU): what the last owner of the location left."""
        super().__init__(location, last, now_ms)
        self._remembered = {sku: drift for sku, raw in remembered if (drift := self._read_drift(sku, raw)) is not None}

    def _read_drift(self, sku: str, raw: bytes) -> RememberedDrift | None:
        """None for one that this version cannot read: it is reported, and repaired, once more."""
        try:
            return RememberedDrift.model_validate_json(raw)
        except ValidationError as error:
            UNREADABLE.note(SENT, join(DRIFT, *self._name, sku), error, partition=self._location.partition)
            return None

    @property
    def shown(self) -> Reconciled | None:
        """The last one, for operators."""
        return self._record

    def judge(self, results: Mapping[str, Drift | None], *, compared: int, cursor: str, now_ms: int) -> Judged:
        """`results`: what is certain, by SKU; None: the SKU is as it should be. All up to `cursor` are compared."""
        record = self._present()
        effects: list[Effect] = []
        changes: list[Change] = []
        repaired: list[str] = []
        counts = record.counts()
        counts["compared"] += compared
        for sku, drift in results.items():
            before = self._remembered.get(sku)
            if drift is None:
                if before is not None:
                    changes.append(self._remember(sku, None))
                continue
            counts[drift.kind] += 1
            if before is not None and before.reconcile != record.id and (before.repaired or not drift.is_repairable):
                counts["persisting"] += 1
                model: type[DriftFact] = StockDriftPersists
            elif before is not None or len(self._remembered) < REMEMBERED_MAX:
                model = StockDriftFound
                changes.append(self._remember(sku, drift.remembered(record.id, now_ms)))
                if drift.is_repairable:
                    repaired.append(sku)
            else:
                continue
            members = {"channelSkuCode": sku, "reconcile": record.id, **asdict(drift)}
            effects.append(fact_effect(self._location, model, f"{record.id}/{sku}", now_ms, **members))
        counts["repaired"] += len(repaired)
        changes += [Change(SENT, position_key(*self._name, sku), None) for sku in repaired]
        saved = self._save(record.model_copy(update={**counts, "cursor": cursor}))
        return Judged(Step(tuple(effects), (*changes, *saved.changes)), repaired)

    def end(self, now_ms: int, *, failed: bool = False) -> Step:
        """`failed`: the channel could not be asked to the end; then there is no fact."""
        record = self._present().model_copy(update={"ended_ms": now_ms, "failed": failed})
        saved = self._save(record)
        if failed:
            return saved
        members = {"reconcile": record.id, "startedMs": record.started_ms, **record.counts()}
        done = fact_effect(self._location, ReconcileDone, record.id, now_ms, **members)
        return Step((done,), saved.changes)

    def _remember(self, sku: str, drift: RememberedDrift | None) -> Change:
        if drift is None:
            del self._remembered[sku]
        else:
            self._remembered[sku] = drift
        return Change(SENT, join(DRIFT, *self._name, sku), None if drift is None else drift.encode())
