"""Bytes of large requests that are being sent at the same time, by all destinations of this process together.

A request in flight holds its body, and so do the buffers on its way. Without a bound, a far side that is slow to answer
large requests would fill the memory: 32 at once, of each destination.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

LARGE_BYTES = 64 << 10
"""A smaller body is not counted: thousands of them fit where one of the largest does."""


class BytesInFlight:
    """`most`: bytes of all. A destination may always have one large request in flight, so that none waits for others
    for ever."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.total = 0
        self._waiting: dict[ShareOfBytes, None] = {}

    def share(self, on_room: Callable[[], None]) -> ShareOfBytes:
        """The part of one destination's shard. `on_room`: bytes were given back after it had got none."""
        return ShareOfBytes(self, on_room)

    @property
    def room(self) -> int:
        return self._most - self.total

    def await_room(self, share: ShareOfBytes) -> None:
        self._waiting[share] = None

    def forget(self, share: ShareOfBytes) -> None:
        self._waiting.pop(share, None)

    def tell_room(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for share in waiting:
            share.on_room()


class ShareOfBytes:
    """Bytes in flight of one destination's shard."""

    def __init__(self, whole: BytesInFlight, on_room: Callable[[], None]) -> None:
        self._whole = whole
        self.on_room = on_room
        self._held = 0
        self._closed = False

    def take(self, size: int) -> bool:
        """Whether a request of this size may leave now; it counts until it is given back."""
        if size < LARGE_BYTES:
            return True
        if not self.fit([size]):
            return False
        self._add(size)
        return True

    def fit(self, sizes: Iterable[int]) -> int:
        """How many of these large requests, the first ones, would get their bytes now. If not all of them would,
        `on_room` is called when bytes are given back."""
        held, room, number = self._held, self._whole.room, 0
        for size in sizes:
            if held and size > room:
                self._whole.await_room(self)
                break
            held, room, number = held + size, room - size, number + 1
        return number

    def give_back(self, size: int) -> None:
        if size >= LARGE_BYTES and not self._closed:
            self._add(-size)
            self._whole.tell_room()

    def close(self) -> None:
        """Gives back all: the tasks that would do so may be cancelled before they begin."""
        self._closed = True
        self._whole.forget(self)
        self._add(-self._held)
        self._whole.tell_room()

    def _add(self, size: int) -> None:
        self._held += size
        self._whole.total += size
