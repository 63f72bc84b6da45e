"""PURE: what is drift of a SKU, and what is remembered of it.

A SKU drifted when the channel has another quantity than it is offered, and nothing in flight explains it. A SKU that is
out of stock and one that is not there are the same: neither can be sold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from streams.delivery.stock.ports import KnownStock

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
    """What is wrong with a SKU, why, and the quantities behind it."""

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
