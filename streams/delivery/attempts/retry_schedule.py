"""Retry schedule: exponential or written out, jittered, and never before the far side allows it. Pure.

The next time is absolute and stored with the request, so a restart neither hurries nor delays a retry.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from topics.configuration.pace import Pace

JITTER = 0.2
"""Retries spread over +-20 %, so that requests that failed together do not return together."""
RELAY_FIRST_MS = 200.0
"""First pause of a relay while its caller waits: as long as a short disturbance, not as a schedule's pause."""
RELAY_MAX_MS = 5_000.0
"""Longest pause of a relay while its caller waits: several tries fit into the 40 s deadline."""


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Pauses double from `first_ms` to `max_ms`; a request is dead `give_up_ms` after its first attempt.

    With `pauses_ms` the pauses are these, and a request is dead when it fails after the last of them.
    """

    first_ms: float
    max_ms: float
    give_up_ms: float
    pauses_ms: tuple[float, ...] = ()

    @classmethod
    def written_out(cls, pauses_ms: tuple[float, ...], give_up_ms: float) -> RetrySchedule:
        """`give_up_ms` is for a request that is always throttled, which is no failure; it never cuts the list short."""
        longest = sum(pauses_ms) * (1 + JITTER)
        return cls(pauses_ms[0], max(pauses_ms), max(give_up_ms, longest), pauses_ms)

    def for_relay(self) -> RetrySchedule:
        """The schedule while a caller waits: quicker at both ends, never slower than the destination's own."""
        return RetrySchedule(min(self.first_ms, RELAY_FIRST_MS), min(self.max_ms, RELAY_MAX_MS), self.give_up_ms)

    def next_ms(self, failures: int, now_ms: int, random: Random, not_before_ms: int | None = None) -> int:
        """When to try again after the `failures`-th failure (from 1). `not_before_ms` is a floor after jitter."""
        if self.pauses_ms:
            pause = self.pauses_ms[min(max(failures, 1), len(self.pauses_ms)) - 1]
        else:
            # 2 ** 60 is far above any max_ms; the bound prevents huge numbers after a long outage.
            pause = min(self.max_ms, self.first_ms * 2.0 ** min(max(failures, 1) - 1, 60))
        jittered = now_ms + max(1, round(pause * random.uniform(1 - JITTER, 1 + JITTER)))
        return jittered if not_before_ms is None else max(jittered, not_before_ms)

    def gives_up(self, failures: int, since_first_ms: float) -> bool:
        """Whether a request is dead after so many failures, the first so long ago.

        For a written-out list the time counts, too: while its caller waits a relay fails faster than the list says, and
        if it goes on after that, it has the list still before it.
        """
        if since_first_ms >= self.give_up_ms:
            return True
        if not self.pauses_ms or failures <= len(self.pauses_ms):
            return False
        return since_first_ms >= sum(self.pauses_ms) * (1 - JITTER)


def schedule_of(destination: Pace) -> RetrySchedule:
    give_up_ms = destination.retry_for_s * 1000
    if destination.retry_pauses_s:
        return RetrySchedule.written_out(tuple(pause * 1000 for pause in destination.retry_pauses_s), give_up_ms)
    return RetrySchedule(
        first_ms=destination.retry_first_s * 1000,
        max_ms=destination.retry_max_s * 1000,
        give_up_ms=give_up_ms,
    )
