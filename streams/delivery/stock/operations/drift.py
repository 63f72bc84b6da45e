"""PURE: what a reconciliation of a place finds, what it has told anew, and what it remembers, so that it ends.

A SKU drifted when the channel has another quantity than it is offered, and nothing on its way explains it. It is
repaired once: what the channel acknowledged of it is forgotten, so it differs from what is true and is sent as any
other. That is remembered under `~drift|channel|location|sku` on inventory.sent until a reconciliation finds the SKU as
it should be. Drift that is found again before that is said, and not repaired again: a channel that never obeys is no
loop.
A SKU that is out of stock and one that is not there are the same: neither can be sold.

A commit makes durable what was found, what is repaired and how far the reconciliation is; a restart goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from streams.delivery.stock.operations.step import SENT, Step, fact_effect
from streams.delivery.stock.ports import KnownStock, StockLocation
from streams.runtime.role import Change, Effect
from topics.records.facts.stock import ReconcileDone, StockDriftFound, StockDriftPersists
from topics.records.keys import join, position_key
from topics.stock.controls import Ask
from topics.stock.positions import DRIFT, RECONCILE
from topics.stock.status import Reconciled

REMEMBERED_MAX = 10_000
"""Drifts of one place that are remembered, some 3 MB. What drifted beyond is counted, and left to the next one; who
lost more than that wants a resync."""

Kind = Literal["missing", "extra", "stale", "refused"]
Why = Literal["never-sent", "lost", "changed", "refused", "unknown-here"]
Cause = Literal["asked", "daily"]
REPAIRED: frozenset[Kind] = frozenset({"missing", "stale"})
"""Of the others there is nothing to tell, or it is told on and on as it is."""


class Drift(NamedTuple):
    """What is wrong with a SKU, why, and the quantities behind it."""

    kind: Kind
    cause: Why
    wanted: int | None
    sent: int | None
    found: int | None


def drift_of(known: KnownStock, found: int | None) -> Drift | None:
    """`found`: what the channel says it has; None: nothing. What is on its way is no drift."""
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


class Reconcile(BaseModel):
    """The record under `~reconcile|channel|location`: all SKUs up to `cursor` are compared. `at_ms`: when it was asked
    for, or was due. `ended_ms`: 0 while it goes on."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    id: str
    cause: Cause
    at_ms: int
    started_ms: int
    cursor: str = ""
    compared: int = 0
    missing: int = 0
    extra: int = 0
    stale: int = 0
    refused: int = 0
    repaired: int = 0
    persisting: int = 0
    ended_ms: int = 0
    failed: bool = False

    def encode(self) -> bytes:
        return self.model_dump_json().encode()


class Remembered(BaseModel):
    """The record under `~drift|channel|location|sku`: a drift that was said, by which reconciliation."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    kind: str
    reconcile: str
    at_ms: int
    repaired: bool

    def encode(self) -> bytes:
        return self.model_dump_json().encode()


def reconcile_key(place: StockLocation) -> bytes:
    return join(RECONCILE, place.channel, place.location)


class Judged(NamedTuple):
    """What to commit, and the SKUs to look at when that is durable."""

    step: Step
    repaired: list[str]


class PlaceReconcile:
    """The reconciliation of one place, in every state: none was asked for, it goes on, it is over."""

    def __init__(
        self, place: StockLocation, last: bytes | None, remembered: Iterable[tuple[str, bytes]], now_ms: int
    ) -> None:
        """`last` and `remembered` (by SKU): what the last owner of the place wrote down."""
        self._place = place
        self._state = None if last is None else Reconcile.model_validate_json(last)
        self._remembered = {sku: Remembered.model_validate_json(raw) for sku, raw in remembered}
        self._taken_over_ms = now_ms

    @property
    def goes_on(self) -> bool:
        return self._state is not None and not self._state.ended_ms

    @property
    def cursor(self) -> str:
        return self._state.cursor if self._state is not None else ""

    @property
    def shown(self) -> Reconciled | None:
        """The last one, for operators."""
        if self._state is None:
            return None
        return Reconciled.model_validate(self._state.model_dump())

    def wants(self, asked: Ask | None, daily: Ask | None) -> tuple[Ask, Cause] | None:
        """The one to begin; as with a resync (streams/delivery/stock/operations/resync.py)."""
        if asked is not None and (self._state is None or asked.at_ms > self._state.at_ms):
            return asked, "asked"
        known_ms = self._taken_over_ms if self._state is None else self._state.at_ms
        if daily is not None and daily.at_ms > known_ms:
            return daily, "daily"
        return None

    def begin(self, ask: Ask, cause: Cause, now_ms: int) -> Step:
        return self._now(Reconcile(id=ask.id, cause=cause, at_ms=ask.at_ms, started_ms=now_ms))

    def judge(self, results: Mapping[str, Drift | None], *, compared: int, cursor: str, now_ms: int) -> Judged:
        """`results`: of SKUs of which it is certain, by SKU. All up to `cursor` are compared."""
        state = self._present()
        effects: list[Effect] = []
        changes: list[Change] = []
        repaired: list[str] = []
        counts = {name: getattr(state, name) for name in ("missing", "extra", "stale", "refused", "persisting")}
        for sku, drift in results.items():
            before = self._remembered.get(sku)
            if drift is None:
                if before is not None:
                    changes.append(self._remember(sku, None))
                continue
            counts[drift.kind] += 1
            repairs = drift.kind in REPAIRED
            if before is not None and before.reconcile != state.id and (before.repaired or not repairs):
                counts["persisting"] += 1
                effects.append(self._fact(StockDriftPersists, state.id, sku, drift, now_ms))
            elif before is not None or len(self._remembered) < REMEMBERED_MAX:
                effects.append(self._fact(StockDriftFound, state.id, sku, drift, now_ms))
                what = Remembered(kind=drift.kind, reconcile=state.id, at_ms=now_ms, repaired=repairs)
                changes.append(self._remember(sku, what))
                if repairs:
                    repaired.append(sku)
        changes += [Change(SENT, self._position(sku), None) for sku in repaired]
        update = {
            **counts,
            "cursor": cursor,
            "compared": state.compared + compared,
            "repaired": state.repaired + len(repaired),
        }
        now = self._now(state.model_copy(update=update))
        return Judged(Step(tuple(effects), (*changes, *now.changes)), repaired)

    def end(self, now_ms: int, *, failed: bool = False) -> Step:
        """`failed`: the channel could not be asked to the end; there is no fact of it then."""
        state = self._present().model_copy(update={"ended_ms": now_ms, "failed": failed})
        now = self._now(state)
        if failed:
            return now
        done = ReconcileDone(
            channel=self._place.channel,
            location=self._place.location,
            atMs=now_ms,
            reconcile=state.id,
            compared=state.compared,
            missing=state.missing,
            extra=state.extra,
            stale=state.stale,
            refused=state.refused,
            repaired=state.repaired,
            persisting=state.persisting,
            startedMs=state.started_ms,
        )
        return Step((fact_effect(done, state.id),), now.changes)

    def _position(self, sku: str) -> bytes:
        return position_key(self._place.channel, self._place.location, sku)

    def _present(self) -> Reconcile:
        if self._state is None:
            raise RuntimeError("no reconciliation was begun")
        return self._state

    def _now(self, state: Reconcile) -> Step:
        self._state = state
        return Step(changes=(Change(SENT, reconcile_key(self._place), state.encode()),))

    def _remember(self, sku: str, what: Remembered | None) -> Change:
        if what is None:
            del self._remembered[sku]
        else:
            self._remembered[sku] = what
        key = join(DRIFT, self._place.channel, self._place.location, sku)
        return Change(SENT, key, None if what is None else what.encode())

    def _fact(
        self,
        model: type[StockDriftFound | StockDriftPersists],
        reconcile: str,
        sku: str,
        drift: Drift,
        now_ms: int,
    ) -> Effect:
        fact = model(
            channel=self._place.channel,
            location=self._place.location,
            channelSkuCode=sku,
            atMs=now_ms,
            reconcile=reconcile,
            kind=drift.kind,
            cause=drift.cause,
            wanted=drift.wanted,
            sent=drift.sent,
            found=drift.found,
        )
        return fact_effect(fact, f"{reconcile}/{sku}")
