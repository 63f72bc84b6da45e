"""Every metric of the inventory role that is not of snapshots, by name."""

from __future__ import annotations

from topics.metrics import made

STALE = made.counter("sluice_inventory_stale_skus_total")
