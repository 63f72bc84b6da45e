"""Connections whose last request was refused: they are read behind all other work, a few at each turn of the loop.

At ten times what a gateway can serve, thousands of connections have something to read at once. The loop would answer
all of them before it looks at Kafka again, and a call passes the loop several times until it is served. So these
connections leave the loop's own list for one of their own, of which each turn takes a part. What is not taken waits in
the kernel. A request that is let in brings its connection back.
"""

from __future__ import annotations

import asyncio
import os
import select
from typing import Protocol

BATCH = 32
"""Connections read at one turn: about half a millisecond."""
BEHIND = ((1.0, 256), (0.15, 128))
"""More at one turn when the lane has not come to its end for so many seconds: refusals should not wait for long, and a
request that is let in must not be older than its caller's patience."""
READ_BYTES = 16 << 10
"""Most bytes of one reading: a head and its body, mostly. Room for so many is made for each."""


class Slowed(Protocol):
    """A connection, by its transport."""

    def slow_data_received(self, data: bytes) -> None: ...


class SlowLane:
    """The lane of one event loop. It costs nothing until the first connection enters."""

    def __init__(self) -> None:
        self._connections: dict[int, tuple[Slowed, asyncio.Transport]] = {}
        self._descriptors: dict[object, int] = {}
        self._epoll: select.epoll | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended_at = 0.0
        """The time at which the lane last came to its end."""
        self._full = False
        """Whether it had more than one turn takes."""

    def __len__(self) -> int:
        return len(self._connections)

    def enter(self, connection: Slowed, wire: asyncio.Transport) -> None:
        """Reads `connection` behind all other work from now on."""
        if connection in self._descriptors or wire.is_closing():
            return
        if self._epoll is None:
            self._epoll = select.epoll()
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._epoll.fileno(), self._turn)
        descriptor = wire.get_extra_info("socket").fileno()
        wire.pause_reading()
        self._epoll.register(descriptor, select.EPOLLIN)
        self._connections[descriptor] = connection, wire
        self._descriptors[connection] = descriptor

    def leave(self, connection: object) -> None:
        """Lets the loop read `connection` again; nothing if it is not in the lane."""
        descriptor = self._descriptors.pop(connection, None)
        if descriptor is None or self._epoll is None:
            return
        _, wire = self._connections.pop(descriptor)
        self._epoll.unregister(descriptor)
        if not wire.is_closing():
            wire.resume_reading()

    def close(self) -> None:
        if self._epoll is not None and self._loop is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None
            self._connections.clear()
            self._descriptors.clear()

    def _turn(self) -> None:
        if self._epoll is None or self._loop is None:
            return
        now = self._loop.time()
        if not self._full:
            self._ended_at = now
        behind_s = now - self._ended_at
        batch = next((count for seconds, count in BEHIND if behind_s > seconds), BATCH)
        events = self._epoll.poll(0, batch)
        self._full = len(events) == batch
        for descriptor, _event in events:
            connection, _wire = self._connections.get(descriptor, (None, None))
            if connection is None:
                continue  # one before it in this turn has ended it
            try:
                data = os.read(descriptor, READ_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if data:
                connection.slow_data_received(data)
            else:
                self.leave(connection)  # the loop finds the end or the error itself, and says so to the connection
