"""The faults of the receiver, and the plan of when they happen. Pure.

The fault of an attempt depends only on the seed, the delivery's id and the attempt's number, so a run can be repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Fault(StrEnum):
    """One way to misbehave. The answers of ACKNOWLEDGES may count as a success, all others must be tried again."""

    STATUS_500 = "status-500"
    STATUS_503 = "status-503"
    REQUEST_TIMEOUT = "status-408"
    BAD_GATEWAY = "status-502"
    GATEWAY_TIMEOUT = "status-504"
    THROTTLE_SECONDS = "throttle-seconds"
    """429 with Retry-After in seconds."""
    THROTTLE_DATE = "throttle-date"
    """503 with Retry-After as an HTTP date."""
    THROTTLE_PAST = "throttle-past"
    """429 with a date that is over."""
    THROTTLE_GARBAGE = "throttle-garbage"
    """429 with a Retry-After that is neither a number nor a date."""
    HANG = "hang"
    """Reads the request and never answers."""
    SLOW_HEADERS = "slow-headers"
    """Sends the status line byte by byte and never finishes it."""
    RESET_BEFORE = "reset-before"
    """Resets the connection before the body has arrived."""
    RESET_AFTER = "reset-after"
    """Reads the whole request, then resets: the sender cannot know whether it was taken."""
    CLOSE = "close"
    """Reads the whole request, then closes the connection in good order, without an answer."""
    NOT_HTTP = "not-http"
    """Bytes that are no HTTP answer."""
    GIANT_HEADERS = "giant-headers"
    """A header of a megabyte, without an end."""
    REDIRECT = "redirect"
    """307 to another path of this receiver: a request there shows that the sender followed it."""
    TRUNCATED = "truncated"
    """200, and the connection ends in the middle of the body."""
    OVERSIZED = "oversized"
    """200 with a body of 32 MiB."""
    GZIP_BOMB = "gzip-bomb"
    """200 with a small body that unpacks to 64 MiB."""
    INTERIM_STORM = "interim-storm"
    """A hundred 1xx answers before the 200."""
    GONE = "gone"
    """410: the endpoint is gone. Not in the default mix, because it ends everything."""
    REFUSED = "refused"
    """400. Not in the default mix, because a sender may give the delivery up."""
    THROTTLE_HUGE = "throttle-huge"
    """429 for eleven days. Not in the default mix."""


ACKNOWLEDGES = frozenset({Fault.TRUNCATED, Fault.OVERSIZED, Fault.GZIP_BOMB, Fault.INTERIM_STORM})
"""Their status is 200: Standard Webhooks calls that a success, a careful sender may send again."""
TERMINAL = frozenset({Fault.GONE, Fault.REFUSED, Fault.THROTTLE_HUGE})
DEFAULT = tuple(fault for fault in Fault if fault not in TERMINAL)

QUIET = frozenset({Fault.THROTTLE_SECONDS, Fault.THROTTLE_DATE, Fault.THROTTLE_GARBAGE, Fault.THROTTLE_HUGE})
"""Each stops everything to the endpoint for a while (for how long after garbage, the sender decides)."""
OTHERS_WEIGHT = 200
"""How much more often the other faults come: otherwise most of a run of 200,000 deliveries would be quiet."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A `share` of the attempts (0 to 1) meets one of `faults`, but no delivery more than `attempts_max` of them."""

    share: float = 0.0
    faults: Sequence[Fault] = DEFAULT
    seed: int = 0
    attempts_max: int = 4

    def fault(self, delivery_id: str, attempt: int) -> Fault | None:
        """Return the fault of attempt `attempt` (from 1) of a delivery; None when it is taken."""
        if attempt > self.attempts_max or not self.faults:
            return None
        random = Random(f"{self.seed}|{delivery_id}|{attempt}")
        if random.random() >= self.share:
            return None
        return random.choices(self.faults, [1 if fault in QUIET else OTHERS_WEIGHT for fault in self.faults])[0]
