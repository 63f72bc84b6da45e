"""When a failed request goes again: exponential, jittered, never before the far side allows it. Pure.

The result is an absolute time that is stored with the request, so a restart neither hurries nor delays a retry.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

JITTER = 0.2
"""Retries spread over +-20 %, so that what failed together does not return together."""
RELAY_FIRST_MS = 200.0
"""A caller waits for a relay: its first retry comes after a blip's length, not after a schedule's."""
RELAY_MAX_MS = 5_000.0
"""Longest pause of a relay while its caller waits: several tries fit into the 40 s deadline."""


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Pauses double from `first_ms` to `max_ms`; after `give_up_ms` from its first attempt a request is dead."""

    first_ms: float
    max_ms: float
    give_up_ms: float

    def for_relay(self) -> RetrySchedule:
        """The schedule while a caller waits: quicker at both ends, never slower than the destination's own."""
        return RetrySchedule(min(self.first_ms, RELAY_FIRST_MS), min(self.max_ms, RELAY_MAX_MS), self.give_up_ms)

    def next_ms(self, failures: int, now_ms: int, random: Random, not_before_ms: int | None = None) -> int:
        """When to try again after the `failures`-th failure (from 1). `not_before_ms` is a floor after jitter."""
        # 2 ** 60 is far past any max_ms; the bound keeps a long outage from making huge numbers.
        pause = min(self.max_ms, self.first_ms * 2.0 ** min(max(failures, 1) - 1, 60))
        jittered = now_ms + max(1, round(pause * random.uniform(1 - JITTER, 1 + JITTER)))
        return jittered if not_before_ms is None else max(jittered, not_before_ms)
