"""Whether one more request may leave a shard: the far side's quiet, the breaker, concurrency, redrive's share, permits.

What must be undone or told when a request ends travels with it as a Flight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streams.delivery.admission.circuit_breaker import BreakerState, CircuitBreaker
from streams.delivery.admission.concurrency import Concurrency, is_burdened
from streams.delivery.admission.permits import Permits
from streams.delivery.admission.redrive_share import RedriveShare
from streams.delivery.clock import NEVER
from streams.delivery.ports import AttemptResult, Clock, ResponseClass
from topics.configuration.pace import Pace


@dataclass(slots=True)
class Flight:
    """A request with its permits taken. `probe`: the one that finds out whether the destination is well again.
    `ended`: it is not in the air any more, and its outcome is being recorded."""

    kind: str
    lane: str
    probe: bool
    redriven: bool
    ended: bool = False


class Admission:
    """Of one shard of one destination. `in_air`: requests that left and are not answered yet; `unrecorded`: those that
    are, and whose outcome is not durable yet.

    What the destination takes bounds the first alone, or its places would stand empty while Kafka is waited for. The
    second is bounded by as many, so that a worker that dies leaves at most twice its concurrency to be sent again.
    """

    def __init__(self, *, permits: Permits, breaker: CircuitBreaker, config: Pace, clock: Clock) -> None:
        self.permits = permits
        self.breaker = breaker
        self.concurrency = Concurrency(config.concurrency)
        self.redrive = RedriveShare(config)
        self.in_air = 0
        self.unrecorded = 0
        self._places = config.concurrency
        self._probe: Flight | None = None
        """The last one from here."""
        self._pause_max_ms = config.probe_max_s * 1000
        self._clock = clock

    def blocked_until(self, now_ms: int) -> float | None:
        """Until when nothing can be sent, as far as is known; None when something can."""
        if self.in_air >= self.concurrency.allowed or self.unrecorded >= self._places:
            return NEVER
        until_ms = max(self.permits.gate.opens_ms, self.breaker.opens_ms)
        return until_ms if until_ms > now_ms else None

    @property
    def gate_s_left(self) -> float:
        """How long the quiet that the far side asked for still lasts."""
        return max(0.0, (self.permits.gate.opens_ms - self._clock.now_ms()) / 1000)

    @property
    def budget_used(self) -> dict[str, float]:
        """The share of each limit that is not free, by its name."""
        return dict(self.permits.limits.used(self._clock.now_ms()))

    def redrive_free_ms(self, kind: str, now_ms: int) -> int | None:
        """When a redriven request may go; None when another has to end first."""
        return self.redrive.free_at_ms(kind, self.permits.limits, self.concurrency.allowed, now_ms)

    def listen(self, wake: Callable[[], None]) -> None:
        self.breaker.listen(wake, self._places)

    def close(self, wake: Callable[[], None]) -> None:
        """Nothing leaves any more, and what was about to leave may never begin: others need not wait for its end."""
        self.breaker.unlisten(wake, self._places)
        if self._probe is not None:
            self._release(self._probe)

    def leave(self, kind: str, lane: str, *, redriven: bool = False) -> Flight:
        """Take what a request needs; it was asked before whether it may go."""
        now_ms = self._clock.now_ms()
        self.permits.limits.acquire(kind)
        if redriven:
            self.redrive.took(kind)
        self.in_air += 1
        flight = Flight(kind, lane, self.breaker.began(now_ms), redriven)
        if flight.probe:
            self._probe = flight
        return flight

    def recalls(self, flight: Flight) -> bool:
        """Between the choice of a request and its sending another one's answer may have closed the gate or opened the
        breaker, or the process may have stood still for so long that the shard is another's. What it took is given
        back then."""
        now_ms = self._clock.now_ms()
        is_open = self.permits.gate.is_open(now_ms) and self.permits.is_fresh
        if is_open and (flight.probe or self.breaker.state is BreakerState.CLOSED):
            return False
        self.spare(flight)
        return True

    def spare(self, flight: Flight) -> None:
        """It is not sent, and what it took is given back."""
        self.permits.limits.return_unsent(flight.kind)
        self._release(flight)
        self.landed(flight)

    def ended(self, flight: Flight, result: AttemptResult | None) -> bool:
        """The request was answered, given up, or cut off (None). Whether the gate closed, which is to be kept then."""
        self.in_air -= 1
        self.unrecorded += 1
        flight.ended = True
        now_ms = self._clock.now_ms()
        answered = result is not None and result.status is not None
        self.permits.limits.request_ended(flight.kind, now_ms, answered=answered)
        if result is None:
            self._release(flight)
            return False
        self.concurrency.ended(burdened=is_burdened(result))
        self.breaker.ended(result, flight.lane, probe=flight.probe, now_ms=now_ms, pause_max_ms=self._pause_max_ms)
        quiet = [moment for moment in (self._throttled_ms(result), result.quiet_ms) if moment is not None]
        if not quiet or max(quiet) <= self.permits.gate.opens_ms:
            return False
        self.permits.gate.close_until(max(quiet))
        return True

    def landed(self, flight: Flight) -> None:
        """Its outcome is recorded, or it will not be sent."""
        if flight.ended:
            self.unrecorded -= 1
        else:
            self.in_air -= 1
        if flight.redriven:
            self.redrive.landed(flight.kind, self._clock.now_ms())

    def _release(self, flight: Flight) -> None:
        self.breaker.released(probe=flight.probe, now_ms=self._clock.now_ms())
        flight.probe = False  # from now on another one may be it

    @staticmethod
    def _throttled_ms(result: AttemptResult) -> int | None:
        return result.not_before_ms if result.kind is ResponseClass.THROTTLED else None
