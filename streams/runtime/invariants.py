"""Pair checks: a thing that must hold when durable state is written is checked again when it is read.

A violation is a defect of Sluice, or of Kafka or the disk below it, and the record in hand is still the best there is.
So in production it is counted and logged, and the work goes on; in tests it raises.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from streams.runtime.metrics import INVARIANT_VIOLATIONS

log = logging.getLogger(__name__)

MODE_VARIABLE: Final = "SLUICE_INVARIANTS"
"""With the value `raise`, as in the tests, a violation is an `InvariantError`."""
LOG_EVERY_S: Final = 60.0
"""A broken table may violate one invariant per record; a line a minute names it as well as a million do."""


class InvariantError(BaseException):
    """An invariant of durable state does not hold. No `except Exception` takes it for a record's or Kafka's fault."""


@dataclass(slots=True)
class _Log:
    """Logs the first violation of each invariant in a minute, and counts the others."""

    clock: Callable[[], float] = time.monotonic
    _last: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Per invariant: when it was last logged, and how many violations came since."""

    def violation(self, name: str, detail: str) -> None:
        now = self.clock()
        logged_at, unlogged = self._last.get(name, (-LOG_EVERY_S, 0))
        if now - logged_at < LOG_EVERY_S:
            self._last[name] = (logged_at, unlogged + 1)
            return
        self._last[name] = (now, 0)
        more = f" ({unlogged} more since the last line)" if unlogged else ""
        log.error("invariant %s is violated: %s%s", name, detail, more)


_log = _Log()


def is_raising() -> bool:
    """Whether a violation raises, so that checks which cost much are made, too."""
    return os.environ.get(MODE_VARIABLE) == "raise"


def violated(name: str, detail: str) -> None:
    """Counts and logs that the invariant `name` does not hold; raises instead where SLUICE_INVARIANTS=raise.

    `name` is one of a few fixed words, for it is a metric's label; `detail` says where, and both values.
    """
    INVARIANT_VIOLATIONS.labels(name).inc()
    if is_raising():
        raise InvariantError(f"{name}: {detail}")
    _log.violation(name, detail)
