"""Says that callers were not authenticated: in a counter, and in a line of the log now and then, without any secret."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable

from gateway.access.brake import State
from gateway.http.metrics import Metrics

LOG_EVERY_S = 10.0
"""One line for all failures in so many seconds: a guesser must not fill the log."""

SPARED = (
    "; some were over the bound and heard all the same, because that name was right from their address of late: if it "
    "is a load balancer's, name its network in SLUICE_TRUSTED_PROXIES"
)

log = logging.getLogger(__name__)


class Failures:
    """Counts each failure, and logs the first one and then those since the last line."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._clock = clock
        self._next = 0.0
        self._counts: Counter[State] = Counter()

    def note(self, side: str, address: str, who: str, brake: State) -> None:
        """`who`: what the caller claims to be, in words without what it sent."""
        self._metrics.count_failed_authentication(side, brake)
        self._counts[brake] += 1
        now = self._clock()
        if now < self._next:
            return
        self._next = now + LOG_EVERY_S
        log.warning(
            "authentication.failed calls=%d braked=%d: the last from %s as %s%s",
            self._counts.total(),
            self._counts[State.ON],
            address,
            who,
            SPARED if self._counts[State.SPARED] else "",
        )
        self._counts.clear()
