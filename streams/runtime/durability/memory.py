"""How the process asks the system for memory while tables are rebuilt."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

_TRIM_THRESHOLD: Final = -1
_TOP_PAD: Final = -2
_MMAP_THRESHOLD: Final = -3
"""Numbers of glibc's `mallopt`."""
_OWN_MAPPING_BYTES: Final = 32 << 20
"""The largest value that glibc takes."""
_KEPT_BYTES: Final = 256 << 20
_STEP_BYTES: Final = 64 << 20


def keep_freed_memory() -> None:
    """Has freed memory used again instead of given back and asked for anew, with glibc; elsewhere it does nothing.

    Each fetch of a changelog is copied several times, into buffers of megabytes. By default each of them is a mapping
    of its own or is cut off the heap at once, and the system clears its pages again and again: that was a third of the
    CPU time of rebuilding a million orders.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_MMAP_THRESHOLD, _OWN_MAPPING_BYTES)
    mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
    mallopt(_TOP_PAD, _STEP_BYTES)


def give_back_freed_memory() -> None:
    """Gives the system what was freed since, once: the buffers of a recovery are not needed again soon."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def without_collections() -> Iterator[None]:
    """Leaves out garbage collections: records of a changelog are many, and have no cycles."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
