"""Operators' wishes about stock and its status, in memory: the gateway's view of both topics."""

from __future__ import annotations

from topics.configuration.settings import Settings
from topics.kafka.compacted_view import KeptByViews, WholeView
from topics.stock.controls import ControlIndex
from topics.stock.status import StatusIndex


class StockOperationsView(KeptByViews):
    """Follows `inventory.controls` and `inventory.status`. Implements gateway.ports.StockOperations."""

    def __init__(self, settings: Settings) -> None:
        self.controls = ControlIndex()
        self.status = StatusIndex()
        self._controls = WholeView(settings, "inventory.controls", self.controls.apply, one_owner=False)
        self._views = (self._controls, WholeView(settings, "inventory.status", self.status.apply, one_owner=True))

    def has_written(self, partition: int, offset: int) -> bool:
        return self._controls.has_handled(partition, offset)

    async def until_written(self, partition: int, offset: int) -> None:
        await self._controls.until_handled(partition, offset)
