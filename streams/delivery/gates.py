"""The gates of all destinations. A Retry-After is for the whole destination, so those that other workers were given
count here as well: each shard's gate is durable on deliveries.permits, and every worker follows all of that topic.

What another worker learned is known here some milliseconds later; a request that leaves in between was on its way.
"""

from __future__ import annotations

from collections import defaultdict

from streams.delivery.budget import decode_permits
from streams.delivery.gate import Gate
from streams.delivery.permits import TABLE
from topics.catalogue import BY_NAME
from topics.configuration import Settings
from topics.keys import split
from topics.view import CompactedView


class Gates:
    """Of this process alone."""

    def __init__(self) -> None:
        self._gates: defaultdict[str, Gate] = defaultdict(Gate)

    def of(self, destination: str) -> Gate:
        return self._gates[destination]

    def forget(self, destination: str) -> None:
        """It is gone for good."""
        self._gates.pop(destination, None)


class FollowedGates(Gates):
    """Closed by what any worker wrote. While Kafka is away only this process's own are news."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        topic = BY_NAME[TABLE].full_name(settings.topic_prefix)
        # A gate only moves later, so nothing has to be forgotten with a partition.
        self._view = CompactedView(settings.kafka, topic, self.seen, lambda _partition: None)

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

    def seen(self, _partition: int, key: bytes, value: bytes | None) -> None:
        """A record of deliveries.permits."""
        if value is not None and (until_ms := decode_permits(value).gate_ms):
            self.of(split(key)[0]).close_until(until_ms)
