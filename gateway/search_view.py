"""The last accepted positions of all channels, in memory, for Search Inventory."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from gateway.snapshot_view import SnapshotIndex
from topics.catalogue import BY_NAME
from topics.configuration import Settings
from topics.keys import split
from topics.positions import decode_position, is_consolidated, is_position
from topics.view import CompactedView


class StockIndex:
    """Positions by channel, SKU and location. Consolidated ones are not a location's stock and are left out."""

    def __init__(self) -> None:
        self._channels: dict[str, dict[str, dict[str, dict[str, Any]]]] = {}
        self._places: dict[str, set[str]] = {}
        self.snapshots = SnapshotIndex()

    def apply(self, key: bytes, value: bytes | None) -> None:
        """One record of `inventory.positions`; None is a tombstone."""
        if not is_position(key):
            self.snapshots.apply(key, value)
            return
        channel, location, sku = split(key)
        if value is not None:
            self._places.setdefault(channel, set()).add(location)
        if is_consolidated(location):
            return
        skus = self._channels.setdefault(channel, {})
        if value is not None:
            skus.setdefault(sku, {})[location] = decode_position(value)
        elif (places := skus.get(sku)) is not None:
            places.pop(location, None)
            if not places:
                del skus[sku]

    def places(self, channel: str) -> Collection[str]:
        return self._places.get(channel, ())

    def quantity(self, channel: str, location: str, sku: str) -> int | None:
        item = self._channels.get(channel, {}).get(sku, {}).get(location)
        return None if item is None else int(item["quantity"])

    def locations(self, channel: str, sku: str) -> list[tuple[str, dict[str, Any]]]:
        return sorted(self._channels.get(channel, {}).get(sku, {}).items())


class StockView(StockIndex):
    """The index, kept by following `inventory.positions` from its beginning. Implements gateway.ports.Stock."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        topic = BY_NAME["inventory.positions"].full_name(settings.topic_prefix)
        self._view = CompactedView(settings.kafka, topic, self._on_record, self._on_partition_dropped)

    async def start(self) -> None:
        await self._view.start()
        await self._view.set_partitions(None)

    async def stop(self) -> None:
        await self._view.stop()

    async def wait(self) -> None:
        """Returns when it was stopped; raises what ended it before: then searches would answer from the past."""
        await self._view.wait()

    def unready(self) -> str | None:
        return self._view.unready()

    def _on_record(self, _partition: int, key: bytes, value: bytes | None) -> None:
        self.apply(key, value)

    def _on_partition_dropped(self, partition: int) -> None:
        """All partitions are followed for as long as the gateway runs."""
        raise RuntimeError(f"partition {partition} of the positions left")
