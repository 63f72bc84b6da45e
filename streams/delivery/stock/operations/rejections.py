"""PURE: which SKUs of a place the channel refuses, and what is said of it, once.

What makes a refusal one fact, whatever dies when (each step is a commit of its own):

1. it is remembered, durably, as not told (key `~refused|channel|location|sku` on inventory.sent);
2. the fact and the status leave, then it is remembered as told.

A crash after 1 tells it from what is remembered, so the fact is the same with the same id; one after 2 tells nothing.
When it is over, the fact and the end of the status leave, and then the memory goes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from streams.delivery.stock.operations.step import STATUS, Step, fact_effect
from streams.delivery.stock.ports import SENT, StockLocation
from streams.runtime.role import GONE, Change, Effect
from topics.records.facts.stock import SkuFact, StockAcceptedAgain, StockRefused
from topics.records.keys import join
from topics.stock.positions import REFUSED
from topics.stock.status import RefusedSku, refused_key

_SHOWN = set(RefusedSku.model_fields)


class RememberedRefusal(RefusedSku):
    """The record under `~refused|channel|location|sku`. `at_ms`: when it was decided; `told`: its fact is reported."""

    at_ms: int
    told: bool = False


class Refusals:
    """Of one place; `steps` says what to make durable because of what was told here.

    What is remembered is kept as it is in Kafka: a channel may refuse a million SKUs, and a takeover waits for each.
    """

    def __init__(self, location: StockLocation, remembered: Iterable[tuple[str, bytes]] = ()) -> None:
        """`remembered`: SKUs, and what the last owner of the place remembered of each."""
        self._location = location
        self._known: dict[str, bytes] = dict(remembered)
        self._over: dict[str, bytes] = {}
        """Those that are refused no longer, and of which that is to be said."""
        self._pending: dict[str, None] = {sku: None for sku, raw in self._known.items() if not _is_told(raw)}
        """SKUs of which something is to be said, in the order in which it came up."""

    @property
    def skus(self) -> Collection[str]:
        """Those that are refused."""
        return self._known.keys()

    @property
    def pending(self) -> bool:
        return bool(self._pending)

    def refused(self, sku: str, *, failures: int, since_ms: int, status: int | None, now_ms: int) -> None:
        if sku in self._known:
            return
        named = status is not None and 200 <= status < 300
        refusal = RememberedRefusal(
            reason="failure-list" if named else "refused",
            status=status,
            since_ms=since_ms,
            failures=failures,
            at_ms=now_ms,
        )
        self._known[sku] = refusal.encode()
        self._pending[sku] = None

    def accepted(self, sku: str) -> None:
        known = self._known.pop(sku, None)
        if known is not None:
            self._over[sku] = known
            self._pending[sku] = None

    def steps(self, now_ms: int, limit: int) -> Iterator[Step]:
        """What to commit, one after the other, about at most `limit` SKUs. What happens meanwhile is said by the next
        call's steps."""
        skus = list(self._pending)[:limit]
        for sku in skus:
            del self._pending[sku]
        over = [(sku, self._over.pop(sku)) for sku in skus if sku in self._over]
        if over:
            yield self._ends(over, now_ms)
        new = [(sku, self._known[sku]) for sku in skus if sku in self._known and not _is_told(self._known[sku])]
        if new:
            yield Step(changes=tuple(self._remembered(sku, raw) for sku, raw in new))
            yield self._tells(new)

    def _tells(self, new: list[tuple[str, bytes]]) -> Step:
        effects: list[Effect] = []
        changes: list[Change] = []
        for sku, raw in new:
            one = RememberedRefusal.model_validate_json(raw)
            effects += [self._refused(sku, one), self._status(sku, one.model_dump_json(include=_SHOWN).encode())]
            told = one.model_copy(update={"told": True}).encode()
            changes.append(self._remembered(sku, told))
            # It may be over since the step before this one, or refused anew.
            for present in (self._known, self._over):
                if present.get(sku) == raw:
                    present[sku] = told
        return Step(tuple(effects), tuple(changes))

    def _ends(self, over: list[tuple[str, bytes]], now_ms: int) -> Step:
        effects: list[Effect] = []
        for sku, raw in over:
            if _is_told(raw):
                effects.append(self._accepted(sku, RememberedRefusal.model_validate_json(raw), now_ms))
            effects.append(self._status(sku, GONE))
        changes = [Change(SENT, memory_key(self._location, sku), None) for sku, _ in over]
        return Step(tuple(effects), tuple(changes))

    def _refused(self, sku: str, one: RememberedRefusal) -> Effect:
        members = {"reason": one.reason, "status": one.status, "failures": one.failures, "sinceMs": one.since_ms}
        return self._fact(StockRefused, sku, one, one.at_ms, **members)

    def _accepted(self, sku: str, one: RememberedRefusal, now_ms: int) -> Effect:
        return self._fact(StockAcceptedAgain, sku, one, now_ms, refusedSinceMs=one.since_ms)

    def _fact(self, model: type[SkuFact], sku: str, one: RememberedRefusal, at_ms: int, **members: Any) -> Effect:
        what = f"{sku}/{one.since_ms}"
        return fact_effect(self._location, model, what, at_ms, channelSkuCode=sku, **members)

    def _status(self, sku: str, value: bytes) -> Effect:
        key = refused_key(self._location.channel, self._location.location, sku)
        return Effect(STATUS, key, value, (), self._location.partition)

    def _remembered(self, sku: str, raw: bytes) -> Change:
        return Change(SENT, memory_key(self._location, sku), raw)


def _is_told(raw: bytes) -> bool:
    """Nearly all are, and end so as this version writes them."""
    return raw.endswith(b'"told":true}') or RememberedRefusal.model_validate_json(raw).told


def memory_key(location: StockLocation, sku: str) -> bytes:
    return join(REFUSED, location.channel, location.location, sku)
