"""A gateway that stood still (SIGSTOP, a paused machine, a throttled container) refuses what waited meanwhile.

Its sockets keep requests whose callers may have given up long ago, have repeated them at another gateway, and have
sent newer ones there. Taken now, the old would be behind the new. So after a gap of the event loop a request is refused
if its head came before the end of the gap, or may have been in a socket by then: it was not stored, and a repeat is
safe.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from gateway.ports import StoodStill

log = logging.getLogger(__name__)

GAP_S = 2.0
"""A longer gap between two beats of the loop is a standstill. No caller gives a request up sooner and sends a newer one
elsewhere (decision 0028), and no turn of a loop that only has much to do takes so long."""
SETTLE_S = 1.0
"""After the gap, everything is refused for so long: by then what was in the sockets, and in the queue of connections
that were not accepted yet, has been read. It begins anew while the loop is not prompt."""
PROMPT_S = 0.5
"""A loop whose beats are not further apart has looked at all its sockets in between."""
RESENT_S = 30.0
"""On connections from before, requests are refused as long as the gap took, and at most so long: where the whole
machine stood still, its callers' systems send again what it did not receive, at intervals that double."""


class Standstill:
    """Call `beat` regularly. Each question looks at the clocks first: after a gap a socket may come before a timer.

    The wall clock counts, too: the other one stands still while a machine is suspended.
    """

    __slots__ = ("_beat", "_clock", "_old_until", "_settled_at", "_wall", "_wall_beat", "count", "refused")

    def __init__(self, clock: Callable[[], float] = time.perf_counter, wall: Callable[[], float] = time.time) -> None:
        """`clock`: that of a call's `started` and a connection's `made`."""
        self._clock = clock
        self._wall = wall
        self._beat: float | None = None
        self._wall_beat = 0.0
        self._settled_at = self._old_until = float("-inf")
        self.count = 0
        """Standstills so far."""
        self.refused = 0
        """Requests refused for them."""

    def beat(self) -> None:
        """Tells that the loop runs."""
        last = self._beat
        now = self._look()
        if last is not None and now < self._settled_at and now - last > PROMPT_S:
            self._settled_at = now + SETTLE_S
            self._old_until = max(self._old_until, self._settled_at)
        self._beat, self._wall_beat = now, self._wall()

    def refuses(self, made: float) -> bool:
        """Whether a request is refused whose head has just been read from a connection that was made then."""
        now = self._look()
        return now < self._old_until and (now < self._settled_at or made < self._settled_at)

    def check(self, count: int | None) -> None:
        """Raises StoodStill for a call whose head came when `count` was this; None: not known."""
        self._look()
        if count is not None and count != self.count:
            self.refused += 1
            raise StoodStill

    def _look(self) -> float:
        now = self._clock()
        if self._beat is not None:
            gap, wall_gap = now - self._beat, self._wall() - self._wall_beat
            if gap > GAP_S or wall_gap > GAP_S:
                self._note(now, max(gap, wall_gap))
        return now

    def _note(self, now: float, gap: float) -> None:
        self.count += 1
        self._settled_at = now + SETTLE_S
        self._old_until = now + max(SETTLE_S, min(gap, RESENT_S))
        self._beat, self._wall_beat = now, self._wall()
        log.warning("this process stood still for %.1f s: requests that waited meanwhile are refused", gap)
