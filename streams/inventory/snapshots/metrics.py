"""Every metric of snapshots in the inventory role, by name."""

from __future__ import annotations

from topics.metrics import made

IGNORED = made.counter("sluice_inventory_snapshot_records_ignored_total")
ENDED = made.counter("sluice_inventory_snapshots_total")
