"""Reads a location back from its channel, page by page, in idle budget only; drift is reported and repaired.

It reads a group of pages. What looks like drift is read once more after CONFIRM_MS, and counts only if it is the same
again and no call sent the SKU in between. So neither a change in flight nor a channel that answers from a copy a moment
old is taken for drift.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence

from streams.delivery.ports import Clock
from streams.delivery.stock.metrics import DRIFT
from streams.delivery.stock.operations.read_back import quantities_in
from streams.delivery.stock.operations.reconciliation import Drift, Reconciliation, drift_of
from streams.delivery.stock.operations.step import Step
from streams.delivery.stock.operations.sweep import Walk
from streams.delivery.stock.ports import StockLocation, StockReading

PAGES = 10
"""Pages that are read before one pause of CONFIRM_MS: a million SKUs that have all drifted then wait 500 times."""
CONFIRM_MS = 5_000
"""How long a channel may take until its answers show what it acknowledged."""
PAUSED_CHECK_MS = 1_000
"""How often the reconciler checks whether a paused location is resumed."""
FAILURES_MAX = 8
"""Questions in a row without a usable answer after which the reconciliation is given up: with the pauses between, some
ten minutes."""
RETRY_FIRST_MS, RETRY_MAX_MS = 1_000, 300_000
"""Pauses after such questions: twice as long each time."""
EXTRAS_MAX = 10_000
"""SKUs in one reconciliation that a channel names unasked and that are not known here."""

log = logging.getLogger(__name__)

Commit = Callable[[Step], Awaitable[None]]


class UnreadableError(Exception):
    """The channel does not say what it has."""


class Reconciler:
    """Takes one reconciliation from where it is to its end."""

    def __init__(
        self, location: StockLocation, reading: StockReading, sweep: Reconciliation, clock: Clock, commit: Commit
    ) -> None:
        self._location = location
        self._reading = reading
        self._sweep = sweep
        self._clock = clock
        self._commit = commit
        self._in_hand: set[str] = set()
        self._sent: set[str] = set()
        self._extras: set[str] = set()

    def on_acknowledged(self, skus: Iterable[str]) -> None:
        """A call sent these SKUs: what was read of them before does not count."""
        self._sent.update(self._in_hand.intersection(skus))

    async def run(self) -> None:
        """Raises PartitionLost when the location is another worker's: the reconciliation goes on there."""
        try:
            await self._compare()
        except UnreadableError as error:
            said = "stock.reconcile.failed channel=%s location=%s: %s"
            log.warning(said, self._location.channel, self._location.location, error)
            await self._commit(self._sweep.end(self._clock.now_ms(), failed=True))
        else:
            await self._commit(self._sweep.end(self._clock.now_ms()))

    async def _compare(self) -> None:
        walk = Walk({*self._location.skus(), *self._reading.acknowledged()}, self._sweep.cursor)
        while not walk.sort_some():  # noqa: ASYNC110 - it does some of the work each time
            await asyncio.sleep(0)
        while skus := walk.next_skus(self._reading.batch * PAGES):
            while self._location.figures().paused:
                await self._pause(PAUSED_CHECK_MS)
            await self._compare_some(skus)

    async def _compare_some(self, skus: Sequence[str]) -> None:
        self._in_hand, self._sent = set(skus), set()
        found = await self._read(skus)
        first = {sku: self._drift(sku, found) for sku in [*skus, *self._unasked(found)]}
        suspects = {sku: drift for sku, drift in first.items() if drift is not None}
        again: dict[str, int | None] = {}
        if suspects:
            self._in_hand.update(suspects)
            await self._pause(CONFIRM_MS)
            again = await self._read(list(suspects))
        # No await before the commit is handed over: a position could change after it was judged.
        results: dict[str, Drift | None] = {}
        for sku, before in first.items():
            if before is None:
                known = self._reading.known(sku)
                if known.settled and sku not in self._sent and _is_readable(sku, found):
                    results[sku] = None
                continue
            now = self._drift(sku, again)
            is_certain = _is_readable(sku, again) if now is None else now.kind == before.kind
            if sku not in self._sent and is_certain:
                results[sku] = now
        judged = self._sweep.judge(results, compared=len(first), cursor=skus[-1], now_ms=self._clock.now_ms())
        await self._commit(judged.step)
        for drift in results.values():
            if drift is not None:
                DRIFT.labels(self._location.channel, drift.kind).inc()
        self._in_hand = set()
        self._location.compare(judged.repaired)

    def _drift(self, sku: str, found: dict[str, int | None]) -> Drift | None:
        return drift_of(self._reading.known(sku), found.get(sku))

    def _unasked(self, found: dict[str, int | None]) -> list[str]:
        """SKUs that the channel named beside those it was asked about, and that are not known here."""
        extras = [
            sku
            for sku in found
            if sku not in self._in_hand and sku not in self._extras and self._reading.known(sku).is_unknown
        ][: EXTRAS_MAX - len(self._extras)]
        self._extras.update(extras)
        return extras

    async def _read(self, skus: Sequence[str]) -> dict[str, int | None]:
        found: dict[str, int | None] = {}
        for start in range(0, len(skus), self._reading.batch):
            found |= await self._read_page(skus[start : start + self._reading.batch])
        return found

    async def _read_page(self, skus: Sequence[str]) -> dict[str, int | None]:
        for failures in range(FAILURES_MAX):
            result = await self._reading.ask(skus)
            found = quantities_in(result)
            if found is not None:
                return found
            why = result.message or result.error or "its answer has no `inventories` that can be read"
            wait_ms = min(RETRY_MAX_MS, RETRY_FIRST_MS << failures)
            await self._pause(max(wait_ms, (result.not_before_ms or 0) - self._clock.now_ms()))
        raise UnreadableError(
            f"asked what stock it has, the channel gave no usable answer {FAILURES_MAX} times in a row: {why}"
        )

    async def _pause(self, ms: int) -> None:
        await self._clock.wait(asyncio.Event(), self._clock.now_ms() + ms)


def _is_readable(sku: str, found: dict[str, int | None]) -> bool:
    """False: the channel names the SKU with a quantity that cannot be read, so nothing says that it has none."""
    return sku not in found or found[sku] is not None
