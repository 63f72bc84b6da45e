"""The retry-after gates of all destinations, also those that other workers closed.

A Retry-After is for the whole destination, of which other workers may own shards. Each shard's gate is durable on
deliveries.permits, and every worker reads all of that topic. A gate that another worker closed is closed here some
milliseconds later; a request that leaves in between counts as one that was in flight.
"""

from __future__ import annotations

from collections import defaultdict

from streams.delivery.admission.permits import PERMITS, decode_permits
from streams.delivery.admission.retry_after_gate import RetryAfterGate
from streams.delivery.ports import Clock
from topics.configuration.settings import Settings
from topics.kafka.compacted_view import KeptByViews, WholeView
from topics.records.keys import split


class GateRegistry:
    """The gates that this process closed."""

    def __init__(self) -> None:
        self._gates: defaultdict[str, RetryAfterGate] = defaultdict(RetryAfterGate)

    def gate_of(self, destination: str) -> RetryAfterGate:
        return self._gates[destination]

    def forget(self, destination: str) -> None:
        """The destination was deleted."""
        self._gates.pop(destination, None)


class FollowedGates(KeptByViews, GateRegistry):
    """The gates that any worker closed, read from Kafka. While Kafka is away only those of this process are new."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._views = (WholeView(settings, PERMITS, self.on_record, one_owner=True),)

    def on_record(self, key: bytes, value: bytes | None) -> None:
        """A record of deliveries.permits. A gate only moves later. Raises ValueError for a record that this version
        cannot read: no gate closes by it."""
        if value is not None and (until_ms := decode_permits(value, self._clock.now_ms()).gate_ms):
            self.gate_of(split(key)[0]).close_until(until_ms)
