"""PURE: the SKUs that the channel of a location refuses; each refusal is reported once.

What makes a refusal one fact, whatever dies when (each step is a commit of its own):

1. the refusal is remembered, durably, as not reported (key `~refused|channel|location|sku` on inventory.sent);
2. the fact and the status leave, then the refusal is remembered as reported.

After a crash behind 1 the fact is made from what is remembered, so it is the same with the same id; after a crash
behind 2 nothing is left to report. When the refusal is over, the fact of that and the end of the status leave, and then
it is forgotten.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from pydantic import ValidationError

from streams.delivery.stock.operations.step import STATUS, Step, fact_effect
from streams.delivery.stock.ports import SENT, StockLocation
from streams.runtime.role import GONE, Change, Effect
from topics.records.facts.stock import SkuFact, StockAcceptedAgain, StockRefused
from topics.records.keys import join
from topics.records.unreadable import UNREADABLE
from topics.stock.positions import REFUSED
from topics.stock.status import RefusedSku, refused_key

_SHOWN = set(RefusedSku.model_fields)
_TOLD = b'"told":true}'
"""The last bytes of nearly all of them, as `RememberedRefusal` writes them: these are not read at a takeover."""


class RememberedRefusal(RefusedSku):
    """The record under `~refused|channel|location|sku`. `at_ms`: when it was decided; `told`: its fact is reported."""

    at_ms: int
    told: bool = False


class Refusals:
    """The refused SKUs of one location. `steps` says what to commit because of what was reported here.

    What is remembered stays encoded: a channel may refuse a million SKUs, and a takeover waits for each.
    """

    def __init__(self, location: StockLocation, remembered: Iterable[tuple[str, bytes]] = ()) -> None:
        """`remembered`: SKUs, and the record that the last owner of the location left of each."""
        self._location = location
        self._known: dict[str, bytes] = {}
        self._over: dict[str, bytes] = {}
        """Refusals that are over, while that is not reported yet."""
        self._pending: dict[str, None] = {}
        """SKUs with something to report, in the order in which it came up."""
        for sku, raw in remembered:
            if raw.endswith(_TOLD):
                self._known[sku] = raw
            elif (one := self._read(sku, raw)) is not None:
                self._known[sku] = raw
                if not one.told:
                    self._pending[sku] = None

    @property
    def skus(self) -> Collection[str]:
        """The SKUs that are refused."""
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
        """Yields what to commit, one step after the other, about at most `limit` SKUs. What happens meanwhile is left
        to the next call."""
        skus = list(self._pending)[:limit]
        for sku in skus:
            del self._pending[sku]
        over = [(sku, self._over.pop(sku)) for sku in skus if sku in self._over]
        if over:
            yield self._end(over, now_ms)
        new = [(sku, raw) for sku in skus if (raw := self._known.get(sku)) is not None and not raw.endswith(_TOLD)]
        if new:
            yield Step(changes=tuple(self._remember(sku, raw) for sku, raw in new))
            yield self._report(new)

    def _report(self, new: list[tuple[str, bytes]]) -> Step:
        effects: list[Effect] = []
        changes: list[Change] = []
        for sku, raw in new:
            one = self._read(sku, raw)
            if one is None:
                continue
            members = {"reason": one.reason, "status": one.status, "failures": one.failures, "sinceMs": one.since_ms}
            effects.append(self._fact(StockRefused, sku, one, one.at_ms, **members))
            effects.append(self._status(sku, one.model_dump_json(include=_SHOWN).encode()))
            told = one.model_copy(update={"told": True}).encode()
            changes.append(self._remember(sku, told))
            # The refusal may be over since the step before this one, or the SKU refused anew.
            for present in (self._known, self._over):
                if present.get(sku) == raw:
                    present[sku] = told
        return Step(tuple(effects), tuple(changes))

    def _end(self, over: list[tuple[str, bytes]], now_ms: int) -> Step:
        effects: list[Effect] = []
        for sku, raw in over:
            one = self._read(sku, raw)
            if one is not None and one.told:
                effects.append(self._fact(StockAcceptedAgain, sku, one, now_ms, refusedSinceMs=one.since_ms))
            effects.append(self._status(sku, GONE))
        return Step(tuple(effects), tuple(self._remember(sku, None) for sku, _ in over))

    def _fact(self, model: type[SkuFact], sku: str, one: RememberedRefusal, at_ms: int, **members: Any) -> Effect:
        what = f"{sku}/{one.since_ms}"
        return fact_effect(self._location, model, what, at_ms, channelSkuCode=sku, **members)

    def _status(self, sku: str, value: bytes) -> Effect:
        key = refused_key(self._location.channel, self._location.location, sku)
        return Effect(STATUS, key, value, (), self._location.partition)

    def _remember(self, sku: str, raw: bytes | None) -> Change:
        return Change(SENT, self._key(sku), raw)

    def _key(self, sku: str) -> bytes:
        return join(REFUSED, self._location.channel, self._location.location, sku)

    def _read(self, sku: str, raw: bytes) -> RememberedRefusal | None:
        """None for one that this version cannot read: the SKU counts as not refused, and is tried as any other."""
        try:
            return RememberedRefusal.model_validate_json(raw)
        except ValidationError as error:
            UNREADABLE.note(SENT, self._key(sku), error, partition=self._location.partition)
            return None
