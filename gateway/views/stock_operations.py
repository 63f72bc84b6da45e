"""What operators asked of stock, and how it fares, in memory: the gateway's view of both topics."""

from __future__ import annotations

import asyncio

from topics.configuration.settings import Settings
from topics.kafka.compacted_view import WholeView
from topics.stock.controls import ControlIndex
from topics.stock.status import StatusIndex


class StockOperationsView:
    """Follows `inventory.controls` and `inventory.status`. Implements gateway.ports.StockOperations."""

    def __init__(self, settings: Settings) -> None:
        self.controls = ControlIndex()
        self.status = StatusIndex()
        self._controls = WholeView(settings, "inventory.controls", self.controls.apply, one_owner=False)
        self._status = WholeView(settings, "inventory.status", self.status.apply, one_owner=True)

    async def start(self) -> None:
        """Returns at once; Kafka may come later."""
        for view in (self._controls, self._status):
            await view.start()

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
