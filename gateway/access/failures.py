"""Says that callers were not authenticated: in a counter, and in a line of the log now and then, without any secret."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from gateway.http.metrics import Metrics

LOG_EVERY_S = 10.0
"""One line for all failures in so many seconds: a guesser must not fill the log."""

log = logging.getLogger(__name__)


class Failures:
    """Counts each failure, and logs the first one and then those since the last line."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._clock = clock
        self._next = 0.0
        self._failed = 0
        self._braked = 0

    def note(self, side: str, address: str, who: str, *, braked: bool) -> None:
        """`who`: what the caller claims to be, in words without what it sent."""
        self._metrics.count_failed_authentication(side, braked=braked)
        self._failed += 1
        self._braked += braked
        now = self._clock()
        if now < self._next:
            return
        self._next = now + LOG_EVERY_S
        log.warning(
            "authentication.failed calls=%d braked=%d: the last from %s as %s",
            self._failed,
            self._braked,
            address,
            who,
        )
        self._failed = self._braked = 0
