"""When a failed request goes again: exponential or as written out, jittered, never before the far side allows it. Pure.

The result is an absolute time that is stored with the request, so a restart neither hurries nor delays a retry.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from topics.configuration.pace import Pace

JITTER = 0.2
"""Retries spread over +-20 %, so that what failed together does not return together."""
RELAY_FIRST_MS = 200.0
"""A caller waits for a relay: its first retry comes after a blip's length, not after a schedule's."""
RELAY_MAX_MS = 5_000.0
"""Longest pause of a relay while its caller waits: several tries fit into the 40 s deadline."""


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Pauses double from `first_ms` to `max_ms`; after `give_up_ms` from its first attempt a request is dead.

    With `pauses_ms` they are these, and a request is dead when it failed after the last of them.
    """

    first_ms: float
    max_ms: float
    give_up_ms: float
    pauses_ms: tuple[float, ...] = ()

    @classmethod
    def written_out(cls, pauses_ms: tuple[float, ...], give_up_ms: float) -> RetrySchedule:
        """`give_up_ms` is for a request that never fails and is never taken (always throttled); it cuts no list off."""
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
            # 2 ** 60 is far past any max_ms; the bound keeps a long outage from making huge numbers.
            pause = min(self.max_ms, self.first_ms * 2.0 ** min(max(failures, 1) - 1, 60))
        jittered = now_ms + max(1, round(pause * random.uniform(1 - JITTER, 1 + JITTER)))
        return jittered if not_before_ms is None else max(jittered, not_before_ms)

    def gives_up(self, failures: int, since_first_ms: float) -> bool:
        """Whether a request that failed so often, the first time so long ago, is dead.

        Of a list that is written out the time counts, too: a relay fails quicker than the list says while its caller
        waits, and what goes on after that has the list before it.
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
