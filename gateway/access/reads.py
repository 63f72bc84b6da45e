"""The bound on reads of /api: most of them ask the orders role over Kafka, or read a topic again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.access.token_bucket import TokenBucket
from gateway.http.answers import OVERLOAD_RETRY_AFTER_S, Refused
from topics.configuration.settings import Settings

BURST_S = 2.0
"""How long a caller may have rested to read more at once: a page that shows some dozens of orders is one of them."""


class ReadLimit:
    """So many reads at once for all, and so many in a second for each caller."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = settings.api_reads_max
        self._per_s = settings.api_reads_per_s
        self._clock = clock
        self._going_on = 0
        self._buckets: dict[str, TokenBucket] = {}

    @contextmanager
    def reading(self, actor: str, cost: int) -> Iterator[None]:
        """Holds a place while the read goes on. `cost`: as how many reads it counts. Raises Refused."""
        now = self._clock()
        bucket = self._buckets.get(actor)  # actors are configured, so they are few
        if bucket is None:
            burst = max(1.0, self._per_s * BURST_S)
            bucket = self._buckets[actor] = TokenBucket(burst, self._per_s, now)
        wait_s = bucket.wait_s(cost, now)
        if wait_s > 0:
            said = f"[{self._per_s:g} reads in a second for each token: SLUICE_API_READS_PER_S]"
            raise Refused(429, "TOO_MANY_READS", "This token reads too much", said, math.ceil(wait_s))
        if self._going_on >= self._most:
            said = f"[{self._most} reads at once: SLUICE_API_READS_MAX]"
            raise Refused(503, "OVERLOADED", "Too many reads go on", said, OVERLOAD_RETRY_AFTER_S)
        bucket.take(cost, now)
        self._going_on += 1
        try:
            yield
        finally:
            self._going_on -= 1
