"""The circuit breaker of a destination: while it is down, one request at a time probes whether it is up again. Pure.

It opens on failures of the endpoint itself: no connection, no name, no TLS, no answer in time, 5xx. A sample holds the
last result of each lane; the breaker opens when SHARE of the lanes in it fail, and FAILED_MIN of them. Lanes, not
requests: one order whose request always fails is that order's trouble, however often it is repeated.

While it is open nothing is sent, so no request uses up a pause of its retry schedule; lanes keep their order, because
their requests wait as they do for a permit. After a pause, jittered and doubling from PAUSE_FIRST_MS, the next request
goes alone, as the probe. Its success closes the breaker; its failure begins a longer pause, which never ends before a
Retry-After. Answers to requests that were in flight when the breaker opened change nothing.

Relays are not refused while it is open, though their callers could be answered at once. A person who packs will try
again: an endpoint that is up again within the deadline serves the relay, otherwise the caller is answered at the
deadline, as always. The longest pause (`probe_max_s`) is that of a relay's own retries, so the breaker finds the
endpoint up as soon as the relay itself would.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from random import Random

from streams.delivery.ports import AttemptResult, ResponseClass

SAMPLE = 50
"""Results in the sample, at least."""
SAMPLE_PER_PLACE = 3
"""Results in the sample for each request that may be in flight at once. When a far side asks for a pause nothing new
leaves, and the requests that end then are those that hang: they may hold nearly every place, and must not fill the
sample."""
SAMPLE_MS = 60_000
"""Older results say nothing about now."""
SHARE = 0.5
"""Share of the lanes in the sample: half of the traffic is served while the breaker is closed, none while it is
open."""
FAILED_MIN = 5
"""Lanes that must fail. With fewer, each one's own retries are gentle enough."""
PROBE_MAX_MS = 60_000
"""Longer than any request may take: a probe that was cut off with its worker does not stop others from probing."""
PAUSE_FIRST_MS = 1_000
JITTER = 0.2
"""Pauses spread over +-20 %, so that the workers of one endpoint do not probe it at the same moment."""
CALM_MS = 60_000
"""A breaker that was closed for longer starts with the first pause again; one that flaps continues with the last."""


class BreakerState(IntEnum):
    CLOSED = 0
    PROBING = 1
    """Half open: one request is in flight, as the probe."""
    OPEN = 2


class CircuitBreaker:
    """Shared by the shards of a destination in this process. Not durable: after a restart it opens again by itself."""

    __slots__ = (
        "_closed_ms",
        "_floor_ms",
        "_listeners",
        "_openings",
        "_places",
        "_probe_ms",
        "_random",
        "_sample",
        "state",
    )

    def __init__(self, random: Random) -> None:
        self.state = BreakerState.CLOSED
        self._random = random
        self._sample = LaneSample(SAMPLE, SAMPLE_MS)
        self._places = 0
        self._probe_ms = 0
        self._floor_ms = 0
        """The latest end of a Retry-After that came with a failure."""
        self._openings = 0
        self._closed_ms = 0
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None], places: int = 0) -> None:
        """Call `listener` when a request may leave earlier than `opens_ms` said. `places`: how many requests of the
        listener's shard may be in flight at once."""
        self._listeners.append(listener)
        self._resize(places)

    def unlisten(self, listener: Callable[[], None], places: int = 0) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)
            self._resize(-places)

    @property
    def opens_ms(self) -> int:
        """The time from which a request may leave, as far as is known. The end of a probe calls the listeners."""
        return 0 if self.state is BreakerState.CLOSED else self._probe_ms

    def on_admitted(self, now_ms: int) -> bool:
        """A request leaves. Returns whether it is the probe; its `on_answered` or `on_not_sent` then says so."""
        if self.state is BreakerState.CLOSED:
            return False
        self.state = BreakerState.PROBING
        self._probe_ms = now_ms + PROBE_MAX_MS
        return True

    def on_not_sent(self, *, probe: bool, now_ms: int) -> None:
        """The request was not sent, or its end will not be known: another one may be the probe."""
        if probe and self.state is BreakerState.PROBING:
            self.state = BreakerState.OPEN
            self._probe_ms = now_ms
            self._notify()

    def on_answered(self, result: AttemptResult, lane: str, *, probe: bool, now_ms: int, pause_max_ms: float) -> None:
        """A request of `lane` was answered, or given up."""
        failed = is_failure(result)
        if failed and result.not_before_ms is not None:
            self._floor_ms = max(self._floor_ms, result.not_before_ms)
        if probe and self.state is BreakerState.PROBING:
            if failed:
                self._open(now_ms, pause_max_ms)
            else:
                self._close(now_ms)
        elif self.state is BreakerState.CLOSED:
            self._sample.add(now_ms, lane, failed=failed)
            if failed and self._is_down(now_ms):
                self._open(now_ms, pause_max_ms)

    def _is_down(self, now_ms: int) -> bool:
        failing, lanes = self._sample.count_lanes(now_ms)
        return failing >= FAILED_MIN and failing >= SHARE * lanes

    def _resize(self, places: int) -> None:
        self._places += places
        self._sample.resize(max(SAMPLE, SAMPLE_PER_PLACE * self._places))

    def _open(self, now_ms: int, pause_max_ms: float) -> None:
        if self.state is BreakerState.CLOSED and now_ms - self._closed_ms > CALM_MS:
            self._openings = 0
        # 2 ** 30 first pauses are 34 years: past any `pause_max_ms`.
        pause_ms = min(pause_max_ms, PAUSE_FIRST_MS * 2.0 ** min(self._openings, 30))
        self._openings += 1
        jittered = now_ms + round(pause_ms * self._random.uniform(1 - JITTER, 1 + JITTER))
        self._probe_ms = max(jittered, self._floor_ms)
        self.state = BreakerState.OPEN
        self._notify()

    def _close(self, now_ms: int) -> None:
        self.state = BreakerState.CLOSED
        self._closed_ms = now_ms
        self._sample.clear()
        self._notify()

    def _notify(self) -> None:
        for listener in self._listeners:
            listener()


def is_failure(result: AttemptResult) -> bool:
    """Whether an attempt shows the endpoint itself at fault: an answer below 500 shows that it is up."""
    if result.status is None:
        # A request that could not be sent as it is never reached the endpoint.
        return result.kind is not ResponseClass.REFUSED
    return result.status >= 500


@dataclass(slots=True)
class _SampledLane:
    results: int
    """Its results in the sample."""
    failed: bool
    """Whether the last of them failed."""


class LaneSample:
    """The last result of each lane among the last results: at most `size`, none older than `kept_ms`."""

    __slots__ = ("_failing", "_kept_ms", "_lanes", "_results", "_size")

    def __init__(self, size: int, kept_ms: int) -> None:
        self._size = size
        self._kept_ms = kept_ms
        self._results: deque[tuple[int, str]] = deque()
        self._lanes: dict[str, _SampledLane] = {}
        self._failing = 0

    def resize(self, size: int) -> None:
        self._size = size
        self._trim()

    def add(self, now_ms: int, lane: str, *, failed: bool) -> None:
        self._results.append((now_ms, lane))
        known = self._lanes.get(lane)
        if known is None:
            self._lanes[lane] = _SampledLane(1, failed)
            self._failing += failed
        else:
            self._failing += failed - known.failed
            known.results += 1
            known.failed = failed
        self._trim()

    def clear(self) -> None:
        self._results.clear()
        self._lanes.clear()
        self._failing = 0

    def count_lanes(self, now_ms: int) -> tuple[int, int]:
        """How many lanes have a failed last result, and how many lanes there are."""
        while self._results and self._results[0][0] <= now_ms - self._kept_ms:
            self._drop()
        return self._failing, len(self._lanes)

    def _trim(self) -> None:
        while len(self._results) > self._size:
            self._drop()

    def _drop(self) -> None:
        _, lane = self._results.popleft()
        known = self._lanes[lane]
        known.results -= 1
        if not known.results:
            self._failing -= known.failed
            del self._lanes[lane]
