"""Bytes of large requests that are being sent at the same time, by all destinations of this process together.

A request in flight holds its body, and so do the buffers on its way. Without a bound, a far side that is slow to answer
large requests would fill the memory: 32 at once, of each destination.
"""

from __future__ import annotations

LARGE_BYTES = 64 << 10
"""A smaller body is not counted: thousands of them fit where one of the largest does."""
PAUSE_MS = 100
"""How long a lane waits, when its large request has no room, before it is looked at again; others go meanwhile."""


class BytesInFlight:
    """`most`: bytes of all. A destination may always have one large request in flight, so that none waits for others
    for ever."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.total = 0

    def share(self) -> ShareOfBytes:
        """The part of one destination's shard."""
        return ShareOfBytes(self)

    def has_room(self, size: int) -> bool:
        return self.total + size <= self._most


class ShareOfBytes:
    """Bytes in flight of one destination's shard."""

    def __init__(self, whole: BytesInFlight) -> None:
        self._whole = whole
        self._held = 0
        self._closed = False

    def take(self, size: int) -> bool:
        """Whether a request of this size may leave now; it counts until it is given back."""
        if size < LARGE_BYTES:
            return True
        if self._held and not self._whole.has_room(size):
            return False
        self._add(size)
        return True

    def give_back(self, size: int) -> None:
        if size >= LARGE_BYTES and not self._closed:
            self._add(-size)

    def close(self) -> None:
        """Gives back all: the tasks that would do so may be cancelled before they begin."""
        self._closed = True
        self._add(-self._held)

    def _add(self, size: int) -> None:
        self._held += size
        self._whole.total += size
