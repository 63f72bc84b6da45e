"""Every metric of snapshots in the inventory role, by name."""

from __future__ import annotations

from prometheus_client import Counter

IGNORED = Counter(
    "sluice_inventory_snapshot_records_ignored_total",
    "Records of snapshots that count for nothing: `unknown` (no such snapshot is open), `over` (it ended or was "
    "abandoned), `repeated`",
    ["reason"],
)
ENDED = Counter("sluice_inventory_snapshots_total", "Snapshots that ended: applied, or abandoned and why", ["how"])
