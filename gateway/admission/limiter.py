"""PURE: how many calls a gateway takes in hand at once, from how long their answers take.

More calls in hand than Kafka and the orders role work on at once only wait there (Little's law: calls in hand are their
rate times their time). So the limit grows while it is used up and answers come about as fast as with few calls in hand,
and shrinks when they take longer.
"""

from __future__ import annotations

from typing import Final

WINDOW_S = 0.1
"""Between two changes of the limit: some dozen answers at the usual rates."""
START = 128
"""Calls in hand at the start, before anything is measured. A limit that is too high for a second costs little; one that
is too low refuses the first burst."""
TOLERANCE = 3.0
"""Answers may take so many times as long as with few calls in hand. Work is written to Kafka in groups, and a call that
just misses a group waits for the next one: below 2 the groups would stay small and the throughput low."""
TARGET_MIN_S = 0.02
"""Least target: the scheduler of a busy machine alone delays an answer by some milliseconds."""
CALM_CALLS = 8
"""With so few calls in hand an answer does not wait for other calls."""
CALM_START_S = 0.01
"""The time of an answer with few calls in hand, until it is measured."""
CALM_WEIGHT = 0.1
"""Weight of one window in the mean time with few calls in hand: a pause of one garbage collection changes little, a
cluster that has become slower counts after a second."""
FLOOR_TOLERANCE = 1.25
"""Answers may also take so many times as long as at the floor. If Kafka has become slow, more calls in hand do not make
it slower, and the limit grows; if they do, it stays near the floor."""
FLOOR_KEPT = 0.99
"""The time at the floor is forgotten by so much in one window, by half in seven seconds: then the limit falls, and
it is measured again."""
FLOOR_CALLS = 100
"""So many answers make a full measure of a window at the floor. After a stall few answers come, all of them late: they
say little of how fast Kafka is."""
FLOOR_OVER = 1.25
"""With more than so many times the floor in hand, a window tells nothing of the floor: these calls were let in by a
higher limit."""
GROW_AT = 0.8
"""Share of the limit that has to be in use before it grows: a limit that nobody reaches says nothing. Below the one of
the start it grows in any case, so that an overload of yesterday does not refuse a burst of today."""
GROWTH = 0.05
"""Growth in one window, at least one call: from the floor to the ceiling in about ten seconds."""
SHRINK_MAX = 0.3
"""The limit shrinks by the ratio in which answers are too slow, but not below this share in one window: one stall of
Kafka is no reason to begin anew. While fewer than the floor are in hand it does not shrink: the cause is not ours."""

VERDICT: Final = 0
"""A call that is answered after the verdict of the orders role."""
ACKNOWLEDGED: Final = 1
"""A call, or the part of a relay, that ends with Kafka's acknowledgement."""
_KINDS = 2


class Limiter:
    """The limit of calls in hand. `target_max_s`: no answer should take longer, whatever was measured."""

    def __init__(self, floor: int, ceiling: int, target_max_s: float) -> None:
        self._floor = floor
        self.ceiling = ceiling
        self._target_max_s = target_max_s
        self._exact = float(min(max(START, floor), ceiling))
        self._calm_s = [CALM_START_S] * _KINDS
        self._floor_s = [0.0] * _KINDS
        self._count = [0] * _KINDS
        self._total_s = [0.0] * _KINDS
        self.limit = int(self._exact)

    def answered(self, kind: int, seconds: float) -> None:
        """Notes how long one call took, from when its record was made."""
        self._count[kind] += 1
        self._total_s[kind] += seconds

    def target_s(self, kind: int) -> float:
        measured = max(TOLERANCE * self._calm_s[kind], FLOOR_TOLERANCE * self._floor_s[kind])
        return min(self._target_max_s, max(TARGET_MIN_S, measured))

    def adjust(self, most_in_hand: int) -> int:
        """The limit for the next window. `most_in_hand`: of the window that is over."""
        count = sum(self._count)
        self._floor_s = [FLOOR_KEPT * seconds for seconds in self._floor_s]
        if not count:
            return self.limit
        slowness = sum(total / self.target_s(kind) for kind, total in enumerate(self._total_s)) / count
        if most_in_hand <= CALM_CALLS:
            self._measure(self._calm_s)
        elif self.limit <= self._floor and most_in_hand <= FLOOR_OVER * self._floor:
            self._measure(self._floor_s, FLOOR_CALLS)
        if slowness <= 1.0 and (most_in_hand >= GROW_AT * self.limit or self.limit < START):
            self._set(self._exact + max(1.0, GROWTH * self._exact))
        elif slowness > 1.0 and most_in_hand > self._floor:
            self._set(self._exact * max(SHRINK_MAX, 1.0 / slowness))
        self._count = [0] * _KINDS
        self._total_s = [0.0] * _KINDS
        return self.limit

    def _set(self, exact: float) -> None:
        self._exact = min(max(exact, self._floor), self.ceiling)
        self.limit = int(self._exact)

    def _measure(self, means_s: list[float], full: int = 1) -> None:
        """Adds the times of a window to the means. `full`: answers of a window that has its whole weight."""
        for kind, count in enumerate(self._count):
            if count:
                weight = CALM_WEIGHT * min(1.0, count / full)
                means_s[kind] += weight * (self._total_s[kind] / count - means_s[kind])
