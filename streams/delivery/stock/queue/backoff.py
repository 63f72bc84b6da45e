"""PURE: how long a location and its SKUs wait after failures, and the limits of its queue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streams.delivery.stock.queue.ordering import SLOT_MS
from topics.configuration.stock import BATCH_MAX, GATHER_MS, REFUSED_AFTER, StockSettings

LATE_MS = 45_000
"""How long a call without an answer may still arrive: the far side gives up after 45 s (contract 0.3)."""
SKU_RETRY_FIRST_MS = 1_000
"""First wait of a SKU that the channel named in `failureList` or refused alone."""
SKU_RETRY_MAX_MS = 900_000
"""Longest wait of such a SKU: a listing that is fixed at the channel gets its stock within a quarter of an hour."""
CALL_RETRY_FIRST_MS = 500
"""First wait of a location after a call that failed as a whole."""
CALL_RETRY_MAX_MS = 60_000
"""Longest wait of a location after failing calls: a channel that is back has its stock within a minute or two."""
REFUSALS_MAX = 16
"""Refusals in a row before the location waits: one bad SKU among 200 is found in 8 halvings, so 16 without any success
mean that the channel refuses everything (a wrong path, a wrong key), which more calls would not mend."""
FAILURES_BEFORE_HALVING = 3
"""Failing calls in a row before the SKUs of one are halved: an outage is likelier than a SKU that breaks a far side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePolicy:
    """The limits above, as tests and a channel's settings give them."""

    batch_max: int = BATCH_MAX
    gather_ms: int = GATHER_MS
    refused_after: int = REFUSED_AFTER
    late_ms: int = LATE_MS
    sku_retry_first_ms: int = SKU_RETRY_FIRST_MS
    sku_retry_max_ms: int = SKU_RETRY_MAX_MS
    call_retry_first_ms: int = CALL_RETRY_FIRST_MS
    call_retry_max_ms: int = CALL_RETRY_MAX_MS


def queue_policy(settings: StockSettings, location: str) -> QueuePolicy:
    pace = settings.pace(location)
    return QueuePolicy(batch_max=pace.batch_max, gather_ms=pace.gather_ms, refused_after=settings.refused_after)


class Backoff:
    """The waits of one location. `chance` is uniform in [0, 1)."""

    __slots__ = ("_chance", "_own_ms", "_policy", "_quiet_ms", "_refusals", "failures", "succeeded_ms")

    def __init__(self, policy: QueuePolicy, chance: Callable[[], float]) -> None:
        self._policy = policy
        self._chance = chance
        self._own_ms = 0
        self._quiet_ms = 0
        self._refusals = 0
        self.failures = 0
        """Calls in a row that failed."""
        self.succeeded_ms = 0
        """When the channel last took something."""

    @property
    def until_ms(self) -> int:
        return max(self._own_ms, self._quiet_ms)

    def answered(self, now_ms: int) -> None:
        self.failures = self._refusals = self._own_ms = 0
        self.succeeded_ms = now_ms

    def refused(self, now_ms: int) -> None:
        self._refusals += 1
        if self._refusals >= REFUSALS_MAX:
            self._own_ms = now_ms + self._call_delay(self._refusals - REFUSALS_MAX + 1)

    def failed(self, now_ms: int, not_before_ms: int = 0) -> None:
        self.failures += 1
        self._own_ms = now_ms + self._call_delay(self.failures)
        self._quiet_ms = max(self._quiet_ms, not_before_ms)

    def throttled(self, now_ms: int, not_before_ms: int) -> None:
        """If the server sent Retry-After, no backoff of ours is added."""
        self.failures += 1
        self._quiet_ms = max(self._quiet_ms, not_before_ms)
        self._own_ms = 0 if not_before_ms > now_ms else now_ms + self._call_delay(self.failures)

    def sku_until_ms(self, failures: int, now_ms: int) -> int:
        """Until when a SKU waits that the channel did not take `failures` times."""
        policy = self._policy
        delay = self._delay(failures, policy.sku_retry_first_ms, policy.sku_retry_max_ms)
        return (now_ms + delay) // SLOT_MS * SLOT_MS

    def sku_soon_ms(self, now_ms: int) -> int:
        """Until when such a SKU waits at most when it has a new value."""
        return (now_ms + self._policy.sku_retry_first_ms) // SLOT_MS * SLOT_MS

    def alone_until_ms(self, failures: int) -> int:
        """Until when a SKU waits that was alone in a failed call: longer than its location."""
        return self.until_ms + self._call_delay(failures)

    def _call_delay(self, failures: int) -> int:
        return self._delay(failures, self._policy.call_retry_first_ms, self._policy.call_retry_max_ms)

    def _delay(self, failures: int, first_ms: int, max_ms: int) -> int:
        """Doubles up to the maximum; half of it is random, so that locations do not return together."""
        whole = min(max_ms, first_ms << min(failures - 1, 30))
        return int(whole * (1 + self._chance()) / 2)
