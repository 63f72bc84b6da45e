"""The gates of all destinations. A Retry-After is for the whole destination, so those that other workers were given
count here as well: each shard's gate is durable on deliveries.permits, and every worker follows all of that topic.

What another worker learned is known here some milliseconds later; a request that leaves in between was on its way.
"""

from __future__ import annotations

from collections import defaultdict

from streams.delivery.budget import decode_permits
from streams.delivery.gate import Gate
from streams.delivery.permits import TABLE
from topics.configuration import Settings
from topics.keys import split
from topics.view import KeptByView, WholeView


class Gates:
    """Of this process alone."""

    def __init__(self) -> None:
        self._gates: defaultdict[str, Gate] = defaultdict(Gate)

    def of(self, destination: str) -> Gate:
        return self._gates[destination]

    def forget(self, destination: str) -> None:
        """It is gone for good."""
        self._gates.pop(destination, None)


class FollowedGates(KeptByView, Gates):
    """Closed by what any worker wrote. While Kafka is away only this process's own are news."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._view = WholeView(settings, TABLE, self.seen, one_owner=True)

    def seen(self, key: bytes, value: bytes | None) -> None:
        """A record of deliveries.permits. A gate only moves later."""
        if value is not None and (until_ms := decode_permits(value).gate_ms):
            self.of(split(key)[0]).close_until(until_ms)
