"""A shard of a destination, the worker that sends for it, and how one of its requests is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from streams.delivery import metrics
from streams.delivery.admission.admission import Admission, Flight
from streams.delivery.admission.bytes_in_flight import BytesInFlight
from streams.delivery.attempts.attempt import attempt_once
from streams.delivery.dispatch.metrics import DispatcherCounters
from streams.delivery.ports import AttemptResult, Call, Clock, Sender
from streams.runtime.role import Committer
from topics.configuration.pace import Pace
from topics.configuration.settings import DELIVERY_BYTES_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    destination: str
    number: int
    partition: int
    config: Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Parts that the dispatchers of this process share. `crashed` ends the process."""

    committer: Committer
    sender: Sender
    clock: Clock
    random: Random
    crashed: Callable[[BaseException], None]
    bytes_in_flight: BytesInFlight = field(default_factory=lambda: BytesInFlight(DELIVERY_BYTES_MAX))


class ShardSender:
    """Sends requests whose permits are taken. `wake`: a place may be free."""

    def __init__(self, shard: Shard, worker: Worker, admission: Admission, wake: Callable[[], None]) -> None:
        self.counters = DispatcherCounters(shard.destination)
        self._config = shard.config
        self._sender = worker.sender
        self._clock = worker.clock
        self._admission = admission
        self._wake = wake

    async def send(self, call: Call, flight: Flight) -> AttemptResult:
        """Send once and classify the answer. If it closed the gate, the gate is durable when this returns."""
        result: AttemptResult | None = None
        closed = False
        try:
            result = await attempt_once(self._sender, call, self._clock, self._config)
        finally:
            closed = self._admission.on_answered(flight, result)
            self._wake()
        self.counters.count_attempt(call.touchpoint.name, result)
        if result.fault is not None:
            metrics.UNUSABLE.labels(call.channel, call.touchpoint.name, result.fault).inc()
        if closed:
            await self._admission.permits.keep()
        return result
