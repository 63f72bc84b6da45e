"""The breaker of a destination: when it is down, one request at a time finds out whether it is well again. Pure.

It opens on what is the endpoint's own failure: no connection, no name, no TLS, no answer in time, 5xx. A sample holds
the last result of each lane; the breaker opens when SHARE of the lanes in it fail, and FAILED_MIN of them. Lanes, not
requests: one order whose request always fails is that order's trouble, however often it is repeated.

While it is open nothing is sent, so no request uses up a pause of its retry schedule; lanes keep their order, because
what waits for the breaker waits as it does for a permit. After a pause, jittered and doubling from PAUSE_FIRST_MS, the
request whose turn it is goes alone. Its success closes the breaker; its failure begins a longer pause, and never one
that ends before a Retry-After. What was in the air when the breaker opened says nothing any more.

Relays are not refused while it is open, though they could be told at once. Whoever packs stands there and will try
again; a far side that comes back within their deadline serves them, and one that does not has them answered at the
deadline, as always. What a caller must not pay for is our caution: the longest pause (`probe_max_s`) is that of a
relay's own retries, so it is found well as soon as the relay would have found it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from random import Random

from streams.delivery.ports import AttemptResult, ResponseClass

SAMPLE = 50
"""Results that are looked at, at least."""
SAMPLE_PER_PLACE = 3
"""And so many for each request that may be in the air at once. When a far side asks for quiet nothing new goes, and
what then ends are those that hang: they may hold nearly every place, and must not be taken for all there is."""
SAMPLE_MS = 60_000
"""Older results say nothing about now."""
SHARE = 0.5
"""Of the lanes in the sample: half of the traffic is served while it is closed, none while it is open."""
FAILED_MIN = 5
"""Lanes that must fail. With fewer, each one's own retries are gentle enough."""
PROBE_MAX_MS = 60_000
"""Longer than any request may take: a probe that was cut off with its worker does not keep others from finding out."""
PAUSE_FIRST_MS = 1_000
JITTER = 0.2
"""Pauses spread over +-20 %, so that what looks after one endpoint from many places does not ask at once."""
CALM_MS = 60_000
"""A breaker that was closed for longer starts from the first pause again; one that flaps goes on from the last."""


class BreakerState(IntEnum):
    CLOSED = 0
    PROBING = 1
    """Half open: one request is in the air, to find out."""
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
        """The end of the longest Retry-After that came with a failure."""
        self._openings = 0
        self._closed_ms = 0
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None], places: int = 0) -> None:
        """Called when something may be sent again earlier than `opens_ms` told. `places`: how many requests of who
        listens may be in the air at once."""
        self._listeners.append(listener)
        self._resize(places)

    def unlisten(self, listener: Callable[[], None], places: int = 0) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)
            self._resize(-places)

    @property
    def opens_ms(self) -> int:
        """From when a request may go, as far as is known: while one finds out, its end will tell the listeners."""
        return 0 if self.state is BreakerState.CLOSED else self._probe_ms

    def began(self, now_ms: int) -> bool:
        """A request goes. Whether it is the one that finds out, which only it may tell `ended` or `released`."""
        if self.state is BreakerState.CLOSED:
            return False
        self.state = BreakerState.PROBING
        self._probe_ms = now_ms + PROBE_MAX_MS
        return True

    def released(self, *, probe: bool, now_ms: int) -> None:
        """The request was not sent, or its end will not be known: another one may find out."""
        if probe and self.state is BreakerState.PROBING:
            self.state = BreakerState.OPEN
            self._probe_ms = now_ms
            self._tell()

    def ended(self, result: AttemptResult, lane: str, *, probe: bool, now_ms: int, pause_max_ms: float) -> None:
        """A request of `lane` ended."""
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
        failing, lanes = self._sample.count(now_ms)
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
        self._tell()

    def _close(self, now_ms: int) -> None:
        self.state = BreakerState.CLOSED
        self._closed_ms = now_ms
        self._sample.clear()
        self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


def is_failure(result: AttemptResult) -> bool:
    """Whether an attempt shows the endpoint itself at fault: an answer below 500 shows that it lives."""
    if result.status is None:
        # What could not be sent as it is never reached it.
        return result.kind is not ResponseClass.REFUSED
    return result.status >= 500


@dataclass(slots=True)
class _Lane:
    results: int
    """How many of them are in the sample."""
    failed: bool
    """The last one of them."""


class LaneSample:
    """At most `size` results, none older than `kept_ms`."""

    __slots__ = ("_failing", "_kept_ms", "_lanes", "_results", "_size")

    def __init__(self, size: int, kept_ms: int) -> None:
        self._size = size
        self._kept_ms = kept_ms
        self._results: deque[tuple[int, str]] = deque()
        self._lanes: dict[str, _Lane] = {}
        self._failing = 0

    def resize(self, size: int) -> None:
        self._size = size
        self._trim()

    def add(self, now_ms: int, lane: str, *, failed: bool) -> None:
        self._results.append((now_ms, lane))
        known = self._lanes.get(lane)
        if known is None:
            self._lanes[lane] = _Lane(1, failed)
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

    def count(self, now_ms: int) -> tuple[int, int]:
        """How many lanes failed last, and how many lanes there are."""
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
