"""Gives memory that an overload has left behind back to the system, once there is little to do.

Thousands of connections leave holes between what lives on: cycles that the garbage collector would find much later, and
freed pages that the C library keeps for the next time.
"""

from __future__ import annotations

import ctypes
import gc
import os
import time
from collections.abc import Callable
from pathlib import Path

GROWN = 1.15
"""A process that has grown by less since the last time has nothing worth a pause."""
CALM_S = 10.0
"""How long there must have been little to do: the pause takes some ten milliseconds, and more with large views."""
PAUSE_S = 30.0
"""Between two times at least: what is still large after one is in use."""

_STATM = Path("/proc/self/statm")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    """The resident memory of this process; 0 where the system does not say."""
    try:
        return int(_STATM.read_bytes().split()[1]) * _PAGE
    except OSError:
        return 0


def trim() -> None:
    """Frees what nothing refers to, and gives free pages back."""
    gc.collect()
    release = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; others give pages back by themselves
    if release is not None:
        release(0)


class Memory:
    """Call `look` about once a second."""

    def __init__(self, resident: Callable[[], int] = resident_bytes, give_back: Callable[[], None] = trim) -> None:
        self._resident = resident
        self._give_back = give_back
        self._settled = 0
        self._busy_at = 0.0
        self._last_at = 0.0
        self.trims = 0
        self.pause_s = 0.0
        """Time that all trims took."""

    def look(self, now: float, *, busy: bool) -> None:
        """Trims if there was little to do for a while, and the process has grown."""
        resident = self._resident()
        if not self._settled:
            self._settled = resident
            self._busy_at = self._last_at = now
        if busy:
            self._busy_at = now
        if now - self._busy_at < CALM_S or now - self._last_at < PAUSE_S or resident <= GROWN * self._settled:
            return
        started = time.perf_counter()
        self._give_back()
        self.pause_s += time.perf_counter() - started
        self.trims += 1
        self._last_at = now
        self._settled = self._resident()
