"""How long a rebalance took, step by step: a worker that dies is replaced as fast as the slowest of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from streams.runtime.metrics import Metrics

log = logging.getLogger(__name__)

DRAIN: Final = "drain"
"""Groups in flight become durable."""
JOIN: Final = "join"
"""The group's members agree on who gets what."""
READ: Final = "read"
"""Changelogs of new partitions are read."""
CLAIM: Final = "claim"
"""They are claimed."""
HAND_OVER: Final = "hand-over"
"""The role looks at its new partitions."""
RESUME: Final = "resume"
"""Committed offsets are looked up, and records may come."""
DECIDE: Final = "decide"
"""The first records come and are decided."""
STEPS: Final = (DRAIN, JOIN, READ, CLAIM, HAND_OVER, RESUME, DECIDE)


class RebalanceSteps:
    """Measures the steps of the last rebalance, in seconds, each from the end of the one before it."""

    def __init__(self, metrics: Metrics, name: str, clock: Callable[[], float] = time.time) -> None:
        self._metrics = metrics
        self._name = name
        self._clock = clock
        self._took: dict[str, float] = {}
        self._at = 0.0
        self.is_over = False
        """The partitions of the last assignment have decided something."""
        self.began()

    def began(self) -> None:
        """The worker learned of a rebalance, or starts."""
        self._at = self._clock()
        self._took.clear()
        self.is_over = False
        self._metrics.rebalance_began.set(self._at)

    def reached(self, step: str) -> None:
        """This step has ended."""
        now = self._clock()
        took = self._took[step] = now - self._at
        self._at = now
        self._metrics.rebalance_seconds.labels(step).set(took)
        if step == RESUME:
            steps = ", ".join(f"{each} {took:.2f}" for each, took in self._took.items())
            log.info("%s: reads again %.2f s after it learned of a rebalance (%s)", self._name, self._sum(), steps)
        elif step == DECIDE:
            self.is_over = True

    def _sum(self) -> float:
        return sum(self._took.values())
