"""What operators asked of stock, and how it fares, in memory: the gateway's view of both topics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from topics.catalogue import BY_NAME
from topics.configuration import Settings
from topics.stock_controls import ControlIndex
from topics.stock_status import StatusIndex
from topics.view import CompactedView


class StockOperationsView:
    """Follows `inventory.controls` and `inventory.status`. Implements gateway.ports.StockOperations."""

    def __init__(self, settings: Settings) -> None:
        self.controls = ControlIndex()
        self.status = StatusIndex()
        self._controls = _view(settings, "inventory.controls", self.controls.apply, one_owner=False)
        self._status = _view(settings, "inventory.status", self.status.apply, one_owner=True)

    async def start(self) -> None:
        """Returns at once; Kafka may come later."""
        for view in (self._controls, self._status):
            await view.start()
            await view.set_partitions(None)

    async def stop(self) -> None:
        await self._controls.stop()
        await self._status.stop()

    async def wait(self) -> None:
        """Returns when it was stopped; raises what ended it before."""
        await asyncio.gather(self._controls.wait(), self._status.wait())

    def unready(self) -> str | None:
        return self._controls.unready() or self._status.unready()

    def has_written(self, partition: int, offset: int) -> bool:
        return self._controls.has_handled(partition, offset)

    async def until_written(self, partition: int, offset: int) -> None:
        await self._controls.until_handled(partition, offset)


def _view(
    settings: Settings, topic: str, apply: Callable[[bytes, bytes | None], None], *, one_owner: bool
) -> CompactedView:
    def on_record(_partition: int, key: bytes, value: bytes | None) -> None:
        apply(key, value)

    def on_partition_dropped(partition: int) -> None:
        """All partitions are followed for as long as the gateway runs."""
        raise RuntimeError(f"partition {partition} of {topic} left")

    full_name = BY_NAME[topic].full_name(settings.topic_prefix)
    return CompactedView(settings.kafka, full_name, on_record, on_partition_dropped, one_owner=one_owner)
