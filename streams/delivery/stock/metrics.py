"""Every metric of the stock sender, by name, in one place."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

SKUS = Counter(
    "sluice_stock_skus_total",
    "SKUs in calls to a channel: acknowledged, failed (failureList), or what the answer to the whole call meant",
    ["channel", "result"],
)
DIRTY = Gauge("sluice_stock_dirty", "SKUs whose position the channel has not acknowledged", ["channel", "location"])
DIRTY_AGE_MS_MAX = Gauge(
    "sluice_stock_dirty_age_ms_max", "Age of the SKU that waits longest to be told", ["channel", "location"]
)
DRIFT = Counter(
    "sluice_stock_drift_total", "SKUs that a reconciliation found wrong at the channel, by kind", ["channel", "kind"]
)
