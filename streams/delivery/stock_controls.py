"""What operators asked of stock, as delivery goes by it: all of inventory.controls, known before the first call."""

from __future__ import annotations

from topics.catalogue import BY_NAME
from topics.configuration import Settings
from topics.stock_controls import ControlIndex
from topics.view import CompactedView


class FollowedControls(ControlIndex):
    """Of every channel: the topic is small. While Kafka is away what was known last holds."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        topic = BY_NAME["inventory.controls"].full_name(settings.topic_prefix)
        self._view = CompactedView(settings.kafka, topic, self._seen, self._left, one_owner=False)

    async def start(self) -> None:
        await self._view.start()
        await self._view.set_partitions(None)

    async def until_ready(self) -> None:
        await self._view.until_ready()

    async def wait(self) -> None:
        await self._view.wait()

    async def stop(self) -> None:
        await self._view.stop()

    def unready(self) -> str | None:
        return self._view.unready()

    def _seen(self, _partition: int, key: bytes, value: bytes | None) -> None:
        self.apply(key, value)

    def _left(self, partition: int) -> None:
        """All partitions are followed for as long as the process runs."""
        raise RuntimeError(f"partition {partition} of inventory.controls left")
