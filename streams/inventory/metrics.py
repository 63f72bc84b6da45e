"""Every metric of the inventory role that is not of snapshots, by name."""

from __future__ import annotations

from prometheus_client import Counter

STALE = Counter(
    "sluice_inventory_stale_skus_total",
    "SKUs of records that came so late that a newer word was known; they changed nothing",
)
