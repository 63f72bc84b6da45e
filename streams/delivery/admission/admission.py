"""Whether one more request may leave a shard: by its gates, breaker, concurrency, background share and permits.

A request that left carries a Flight, which says what must be given back or reported when it ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streams.delivery.admission.background_share import BackgroundShare
from streams.delivery.admission.circuit_breaker import BreakerState, CircuitBreaker
from streams.delivery.admission.concurrency import Concurrency, is_burdened
from streams.delivery.admission.pause_gate import PauseGate
from streams.delivery.admission.permits import Permits
from streams.delivery.clock import NEVER
from streams.delivery.ports import AttemptResult, Clock, ResponseClass
from streams.runtime.invariants import violated
from topics.configuration.pace import Pace

UNRECORDED_PER_PLACE = 4
"""Answered requests for each place of the destination that may wait for Kafka. An outcome is durable after some 12 ms
under load, an answer comes after one: with as many as there are places, a destination of 100 places was idle for half
of the time, and the groups that waited for each other were small, which costs the broker most."""


@dataclass(slots=True)
class Flight:
    """A request that holds permits. `probe`: its answer decides whether the breaker closes. `answered`: it is no longer
    in flight, and its outcome is being recorded. `over`: its outcome is recorded, or it was not sent."""

    kind: str
    lane: str
    probe: bool
    background: bool
    answered: bool = False
    over: bool = False


class Admission:
    """Admits requests to one shard of one destination. `in_flight`: requests that left and are not answered;
    `unrecorded`: answered requests whose outcome is not durable yet.

    The destination's places bound `in_flight` alone: they must not stand empty while Sluice waits for Kafka.
    `unrecorded` is bounded by UNRECORDED_PER_PLACE of them, so a worker that dies leaves at most five times its
    concurrency to be sent again.
    """

    def __init__(
        self, *, permits: Permits, pause: PauseGate, breaker: CircuitBreaker, config: Pace, clock: Clock
    ) -> None:
        self.permits = permits
        self.pause = pause
        self.breaker = breaker
        self.concurrency = Concurrency(config.concurrency)
        self.in_flight = 0
        self.unrecorded = 0
        self._background = BackgroundShare(config)
        self._places = config.concurrency
        self._unrecorded_max = config.concurrency * UNRECORDED_PER_PLACE
        self._probe: Flight | None = None
        """The last probe of this shard."""
        self._pause_max_ms = config.probe_max_s * 1000
        self._clock = clock

    def blocked_until(self, now_ms: int) -> float | None:
        """Until when nothing can be sent, as far as is known; None when something can."""
        if self.in_flight >= self.concurrency.allowed or self.unrecorded >= self._unrecorded_max:
            return NEVER
        until_ms = max(self.permits.gate.opens_ms, self.breaker.opens_ms, self.pause.opens_ms)
        return until_ms if until_ms > now_ms else None

    @property
    def gate_s_left(self) -> float:
        """How long the retry-after gate stays closed."""
        return max(0.0, (self.permits.gate.opens_ms - self._clock.now_ms()) / 1000)

    @property
    def is_paused(self) -> bool:
        """Whether an operator paused the destination."""
        return not self.pause.is_open(self._clock.now_ms())

    @property
    def budget_used(self) -> dict[str, float]:
        """The share of each limit that is not free, by its name."""
        return dict(self.permits.limits.used(self._clock.now_ms()))

    def background_free_ms(self, kind: str, now_ms: int) -> int | None:
        """When a request of the background class may leave; None when another has to end first."""
        return self._background.free_at_ms(kind, self.permits.limits, self.concurrency.allowed, now_ms)

    def listen(self, wake: Callable[[], None]) -> None:
        self.breaker.listen(wake, self._places)
        self.pause.listen(wake)

    def close(self, wake: Callable[[], None]) -> None:
        """Nothing leaves any more. A probe that may never be sent is given up: other shards need not wait for it."""
        self.breaker.unlisten(wake, self._places)
        self.pause.unlisten(wake)
        if self._probe is not None:
            self._release_probe(self._probe)

    def admit(self, kind: str, lane: str, *, background: bool = False) -> Flight:
        """Take what a request needs. It was asked before whether it may leave."""
        now_ms = self._clock.now_ms()
        self.permits.limits.acquire(kind)
        if background:
            self._background.on_admitted(kind)
        self.in_flight += 1
        flight = Flight(kind, lane, self.breaker.on_admitted(now_ms), background)
        if flight.probe:
            self._probe = flight
        return flight

    def recall(self, flight: Flight) -> bool:
        """Whether the request must not be sent after all; then what it took is given back.

        Between its admission and its sending another answer may have closed the gate or opened the breaker, an operator
        may have paused the destination, or the process may have stood still for so long that the shard is another
        worker's.
        """
        now_ms = self._clock.now_ms()
        permits = self.permits
        is_open = permits.gate.is_open(now_ms) and permits.is_fresh(now_ms) and self.pause.is_open(now_ms)
        if is_open and (flight.probe or self.breaker.state is BreakerState.CLOSED):
            return False
        self.give_back(flight)
        return True

    def give_back(self, flight: Flight) -> None:
        """The request is not sent: give back what it took."""
        self.permits.limits.return_unsent(flight.kind)
        self._release_probe(flight)
        self.on_recorded(flight)

    def on_answered(self, flight: Flight, result: AttemptResult | None) -> bool:
        """The request was answered, given up, or cut off (None). Returns whether the gate closed, which the caller then
        makes durable."""
        if flight.answered:
            violated("permit_ends_once", f"a request of {flight.kind} in lane {flight.lane} was answered twice")
            return False
        self.in_flight -= 1
        self.unrecorded += 1
        flight.answered = True
        now_ms = self._clock.now_ms()
        answered = result is not None and result.status is not None
        self.permits.limits.request_ended(flight.kind, now_ms, answered=answered)
        if result is None:
            self._release_probe(flight)
            return False
        self.concurrency.on_answered(burdened=is_burdened(result))
        self.breaker.on_answered(
            result, flight.lane, probe=flight.probe, now_ms=now_ms, pause_max_ms=self._pause_max_ms
        )
        opens_ms = max(self._throttled_ms(result) or 0, result.spent_until_ms or 0)
        if opens_ms <= self.permits.gate.opens_ms:
            return False
        self.permits.gate.close_until(opens_ms)
        return True

    def on_recorded(self, flight: Flight) -> None:
        """The outcome is recorded, or the request will not be sent."""
        if flight.over:
            violated("permit_ends_once", f"a request of {flight.kind} in lane {flight.lane} ended twice")
            return
        flight.over = True
        if flight.answered:
            self.unrecorded -= 1
        else:
            self.in_flight -= 1
        if flight.background:
            self._background.on_recorded(flight.kind, self._clock.now_ms())

    def _release_probe(self, flight: Flight) -> None:
        self.breaker.on_not_sent(probe=flight.probe, now_ms=self._clock.now_ms())
        flight.probe = False  # from now on another request may be the probe

    @staticmethod
    def _throttled_ms(result: AttemptResult) -> int | None:
        return result.not_before_ms if result.kind is ResponseClass.THROTTLED else None
