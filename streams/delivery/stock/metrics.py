"""Every metric of the stock sender, by name, and the figures of locations added up by channel."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client import Counter, Gauge

from streams.delivery.stock.ports import StockFigures

SKUS = Counter(
    "sluice_stock_skus_total",
    "SKUs in calls to a channel: acknowledged, failed (failureList), or what the answer to the whole call meant",
    ["channel", "result"],
)
DIRTY = Gauge("sluice_stock_dirty", "SKUs whose position the channel has not acknowledged", ["channel", "location"])
DIRTY_AGE_MS_MAX = Gauge(
    "sluice_stock_dirty_age_ms_max", "Age of the SKU that has waited longest to be sent", ["channel", "location"]
)
DRIFT = Counter(
    "sluice_stock_drift_total", "SKUs that a reconciliation found wrong at the channel, by kind", ["channel", "kind"]
)

CHANNEL_DIRTY = Gauge("sluice_stock_channel_dirty", "Positions that the channel has not acknowledged", ["channel"])
CHANNEL_OLDEST = Gauge(
    "sluice_stock_channel_oldest_age_ms", "Age of the position that has waited longest to be sent", ["channel"]
)
CHANNEL_CHANGES = Counter("sluice_stock_changes_total", "Changes of positions that were taken in", ["channel"])
CHANNEL_REFUSED = Gauge("sluice_stock_channel_refused", "SKUs that the channel refuses", ["channel"])
CHANNEL_PAUSED = Gauge("sluice_stock_channel_paused_locations", "Locations whose stock an operator paused", ["channel"])
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
            CHANNEL_OLDEST.labels(channel).set(0 if total.oldest_ms is None else max(0, now_ms - total.oldest_ms))
            CHANNEL_REFUSED.labels(channel).set(total.refused)
            CHANNEL_PAUSED.labels(channel).set(total.paused)
        for channel in self._shown - sums.keys():
            for gauge in _BY_CHANNEL:
                gauge.remove(channel)
        self._shown = set(sums)
