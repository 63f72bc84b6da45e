"""The share of a destination that the background class may use, so that live traffic does not wait for it. Pure.

Redriven requests and questions are a class of their own (streams/delivery/lanes/ready_queue.py): while live traffic
waits they get one grant in BACKGROUND_TURN. That alone is not enough, because a grant while nothing waits is missed a
moment later: a permit is used for the whole window, a place in flight until the answer. So the background class leaves
HEADROOM of every limit free, beyond a small share that is its own in any case, and uses few of the places.
"""

from __future__ import annotations

from streams.delivery.admission.limiters.limits import Limits, limits_for
from topics.configuration.pace import Pace

HEADROOM = 0.5
"""Free share of each limit: half a window's worth of live requests may come at once without a delay."""
OWN_SHARE = 0.05
"""Share of each limit that is its own, also when live traffic uses more than half: redrives go on, if slowly."""
PLACES_SHARE = 8
"""One place in eight: live requests find seven of eight free, and wait for no slow answer to a redriven one."""


class BackgroundShare:
    """The share of one shard of one destination. Not durable: it is about fairness, and the budget holds without it."""

    __slots__ = ("_in_flight", "_own")

    def __init__(self, config: Pace) -> None:
        self._own = limits_for(config.limits, config.shards, part=OWN_SHARE)
        self._in_flight = 0

    def free_at_ms(self, kind: str, limits: Limits, places: int, now_ms: int) -> int | None:
        """When a background request may leave beside live ones; None when another has to end first. `limits`: the
        destination's. `places`: how many requests may be in flight."""
        if self._in_flight >= max(1, places // PLACES_SHARE):
            return None
        own_ms = now_ms if self._own.plan(kind, now_ms) is not None else self._own.free_at_ms(kind, now_ms)
        moments = [moment for moment in (own_ms, limits.roomy_at_ms(HEADROOM, now_ms)) if moment is not None]
        return min(moments, default=None)

    def on_admitted(self, kind: str) -> None:
        self._in_flight += 1
        self._own.count_elsewhere(kind)

    def on_recorded(self, kind: str, now_ms: int) -> None:
        self._in_flight -= 1
        self._own.request_ended(kind, now_ms, answered=True)
