"""Every metric of the stock sender, by name, and the figures of locations added up by channel."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from streams.delivery.stock.ports import StockFigures
from topics.metrics import made

SKUS = made.counter("sluice_stock_skus_total")
OUT_OF_STOCK = made.histogram("sluice_stock_out_of_stock_seconds")
DIRTY = made.gauge("sluice_stock_dirty")
DIRTY_AGE = made.gauge("sluice_stock_dirty_age_seconds")
DRIFT = made.counter("sluice_stock_drift_total")

CHANNEL_DIRTY = made.gauge("sluice_stock_channel_dirty")
CHANNEL_OLDEST = made.gauge("sluice_stock_channel_oldest_age_seconds")
CHANNEL_CHANGES = made.counter("sluice_stock_changes_total")
CHANNEL_REFUSED = made.gauge("sluice_stock_channel_refused")
CHANNEL_PAUSED = made.gauge("sluice_stock_channel_paused_locations")
_BY_CHANNEL = (CHANNEL_DIRTY, CHANNEL_OLDEST, CHANNEL_REFUSED, CHANNEL_PAUSED)


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


class ChannelGauges:
    """The gauges by channel: sums over the channel's locations here, removed when it has none here any more."""

    def __init__(self) -> None:
        self._shown: set[str] = set()

    def show(self, locations: Iterable[tuple[str, StockFigures]], now_ms: int) -> None:
        """`locations`: channel and figures of each."""
        sums: dict[str, _Sum] = defaultdict(_Sum)
        for channel, figures in locations:
            sums[channel].add(figures)
        for channel, total in sums.items():
            CHANNEL_DIRTY.labels(channel).set(total.dirty)
            CHANNEL_OLDEST.labels(channel).set(
                0 if total.oldest_ms is None else max(0, now_ms - total.oldest_ms) / 1000
            )
            CHANNEL_REFUSED.labels(channel).set(total.refused)
            CHANNEL_PAUSED.labels(channel).set(total.paused)
        for channel in self._shown - sums.keys():
            for gauge in _BY_CHANNEL:
                gauge.remove(channel)
        self._shown = set(sums)
