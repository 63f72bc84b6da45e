"""The pauses of all destinations, followed from Kafka."""

from __future__ import annotations

from topics.configuration.settings import Settings
from topics.destinations.pauses import CONTROLS, PauseIndex
from topics.kafka.compacted_view import KeptByViews, WholeView


class PausesView(KeptByViews, PauseIndex):
    """Follows `destinations.controls`. Implements gateway.ports.Pauses."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._views = (WholeView(settings, CONTROLS, self.apply, one_owner=False),)

    def has_written(self, partition: int, offset: int) -> bool:
        return self._views[0].has_handled(partition, offset)

    async def until_written(self, partition: int, offset: int) -> None:
        await self._views[0].until_handled(partition, offset)
