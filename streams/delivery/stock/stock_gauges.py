"""The stock of each channel as metrics: what all its places here have in common, so that locations are no labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client import Counter, Gauge

from streams.delivery.stock.ports import StockFigures

DIRTY = Gauge("sluice_stock_channel_dirty", "Positions that the channel has not acknowledged", ["channel"])
OLDEST = Gauge("sluice_stock_channel_oldest_age_ms", "Age of the position that waits longest to be told", ["channel"])
CHANGES = Counter("sluice_stock_changes_total", "Changes of positions that were taken in", ["channel"])
REFUSED = Gauge("sluice_stock_channel_refused", "SKUs that the channel refuses", ["channel"])
PAUSED = Gauge("sluice_stock_channel_paused_locations", "Locations whose stock an operator paused", ["channel"])
_GAUGES = (DIRTY, OLDEST, REFUSED, PAUSED)


@dataclass(slots=True)
class _Sum:
    dirty: int = 0
    oldest_ms: int | None = None
    refused: int = 0
    paused: int = 0

    def add(self, figures: StockFigures) -> None:
        self.dirty += figures.dirty
        self.refused += figures.refused
        self.paused += figures.paused
        if figures.oldest_ms is not None:
            self.oldest_ms = min(figures.oldest_ms, self.oldest_ms or figures.oldest_ms)


class Gauges:
    """A channel that has no place here any more is not told of any more."""

    def __init__(self) -> None:
        self._shown: set[str] = set()

    def show(self, places: Iterable[tuple[str, StockFigures]], now_ms: int) -> None:
        """`places`: channel and figures of each."""
        sums: dict[str, _Sum] = defaultdict(_Sum)
        for channel, figures in places:
            sums[channel].add(figures)
        for channel, total in sums.items():
            DIRTY.labels(channel).set(total.dirty)
            OLDEST.labels(channel).set(0 if total.oldest_ms is None else max(0, now_ms - total.oldest_ms))
            REFUSED.labels(channel).set(total.refused)
            PAUSED.labels(channel).set(total.paused)
        for channel in self._shown - sums.keys():
            for gauge in _GAUGES:
                gauge.remove(channel)
        self._shown = set(sums)
