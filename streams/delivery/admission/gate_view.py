"""The gates of all destinations. A Retry-After is for the whole destination, so those that other workers were given
count here as well: each shard's gate is durable on deliveries.permits, and every worker follows all of that topic.

What another worker learned is known here some milliseconds later; a request that leaves in between was on its way.
"""

from __future__ import annotations

from collections import defaultdict

from streams.delivery.admission.permits import PERMITS, decode_permits
from streams.delivery.admission.retry_after_gate import RetryAfterGate
from topics.configuration.settings import Settings
from topics.kafka.compacted_view import KeptByView, WholeView
from topics.records.keys import split


class GateRegistry:
    """Of this process alone."""

    def __init__(self) -> None:
        self._gates: defaultdict[str, RetryAfterGate] = defaultdict(RetryAfterGate)

    def of(self, destination: str) -> RetryAfterGate:
        return self._gates[destination]

    def forget(self, destination: str) -> None:
        """It is gone for good."""
        self._gates.pop(destination, None)


class FollowedGates(KeptByView, GateRegistry):
    """Closed by what any worker wrote. While Kafka is away only this process's own are news."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._view = WholeView(settings, PERMITS, self.seen, one_owner=True)

    def seen(self, key: bytes, value: bytes | None) -> None:
        """A record of deliveries.permits. A gate only moves later."""
        if value is not None and (until_ms := decode_permits(value).gate_ms):
            self.of(split(key)[0]).close_until(until_ms)
