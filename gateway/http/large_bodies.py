"""Large bodies: few of each channel are in hand at once, and small ones have the event loop between two of their steps.

Parsing a body goes on without a pause, and so does validating it: 30 ms each for an order of 2,500 lines with every
member. The roles behind have as much to do with it. So a channel has few of them in hand from their parsing to their
verdict, whatever number it sends at once, and the process parses one at a time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from gateway.http.answers import overloaded
from gateway.ports import PlaceInHand

LARGE_BYTES = 64 << 10
"""A smaller body takes a millisecond or so; it waits for no turn, and counts nowhere here."""
CHANNEL_BYTES_MAX = 4 << 20
"""Bytes of a channel's large bodies in hand at once: one of the largest, or some sixty of 64 KiB. One may be larger."""
IN_HAND_BYTES_MAX = 32 << 20
"""The same of all channels. One of each channel may always be in hand, so that none waits for others for ever."""
CHANNEL_WAITING_BYTES_MAX = 32 << 20
"""Bytes of a channel's large bodies that wait to be in hand: eight of the largest take some seconds."""
WAITING_BYTES_MAX = 256 << 20
"""The same of all channels, as for bodies that are still being received."""
WAIT_S_MAX = 5.0
"""Longest wait to be in hand, as long as that for a verdict: later its caller may have sent something newer."""
PAUSE = 1.0
"""How long others have the event loop after a step of a large body, as a multiple of what the step took."""

T = TypeVar("T")


def run_at_once(steps: Generator[None, None, T]) -> T:
    """Does the steps of a small body, without pauses."""
    try:
        while True:
            next(steps)
    except StopIteration as done:
        result: T = done.value
        return result


@dataclass(slots=True)
class ChannelBodies:
    in_hand: int = 0
    waiting_bytes: int = 0
    waiting: deque[tuple[int, asyncio.Future[None]]] = field(default_factory=deque)


class LargeBody:
    """The place of a call with a large body. It gives back its bytes when the call goes on, and reports to `place`.

    Its times are kept from `place`: by them a gateway judges how many calls it can have in hand, and most are small.
    """

    __slots__ = ("_bodies", "_channel", "_place", "_size")

    def __init__(self, bodies: LargeBodies, channel: str, size: int, place: PlaceInHand | None) -> None:
        self._bodies = bodies
        self._channel = channel
        self._size = size
        self._place = place

    def acknowledged(self, seconds: float | None) -> None:  # noqa: ARG002
        self.end()
        if self._place is not None:
            self._place.acknowledged(None)

    def decided(self, seconds: float) -> None:  # noqa: ARG002
        self.end()

    def end(self) -> None:
        """Gives back its bytes, once."""
        size, self._size = self._size, 0
        if size:
            self._bodies.give_back(self._channel, size)


class LargeBodies:
    """All large bodies of this process."""

    def __init__(self) -> None:
        self._channels: dict[str, ChannelBodies] = {}
        self._in_hand = 0
        self._waiting = 0
        self._turn = asyncio.Lock()
        self._free_at = 0.0

    async def enter(self, channel: str, size: int, place: PlaceInHand | None) -> LargeBody:
        """Returns when the channel may have this body in hand, in the order in which they came. Raises Refused when
        too many wait."""
        of = self._channels.setdefault(channel, ChannelBodies())
        if of.waiting or not self._has_room(of, size):
            await self._wait(channel, of, size)
        else:
            self._take(of, size)
        return LargeBody(self, channel, size, place)

    def give_back(self, channel: str, size: int) -> None:
        self._channels[channel].in_hand -= size
        self._in_hand -= size
        self._admit()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Is entered when this body may be parsed: one at a time, with pauses between them."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            await asyncio.sleep(max(0.0, self._free_at - loop.time()))
            yield

    async def run(self, steps: Generator[None, None, T]) -> T:
        """Does the steps in a turn, with a pause after each in which others have the event loop."""
        async with self.turn():
            while True:
                began = asyncio.get_running_loop().time()
                try:
                    next(steps)
                except StopIteration as done:
                    result: T = done.value
                    return result
                finally:
                    now = asyncio.get_running_loop().time()
                    self._free_at = now + (now - began) * PAUSE
                await asyncio.sleep(self._free_at - now)

    async def _wait(self, channel: str, of: ChannelBodies, size: int) -> None:
        if of.waiting_bytes + size > CHANNEL_WAITING_BYTES_MAX or self._waiting + size > WAITING_BYTES_MAX:
            raise overloaded("[body: too many large bodies at once]")
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        of.waiting.append((size, admitted))
        self._count_waiting(of, size)
        try:
            async with asyncio.timeout(WAIT_S_MAX):
                await admitted
        except (TimeoutError, asyncio.CancelledError) as error:
            if admitted.done() and not admitted.cancelled():
                self.give_back(channel, size)
            else:
                of.waiting.remove((size, admitted))
                self._count_waiting(of, -size)
                self._admit()
            if isinstance(error, TimeoutError):
                raise overloaded("[body: too many large bodies before it]") from error
            raise

    def _admit(self) -> None:
        """Admits what has room, channel by channel, and forgets channels without any."""
        for name, of in list(self._channels.items()):
            while of.waiting and self._has_room(of, of.waiting[0][0]):
                size, admitted = of.waiting.popleft()
                self._count_waiting(of, -size)
                self._take(of, size)
                admitted.set_result(None)
            if not of.waiting and not of.in_hand:
                del self._channels[name]
            elif of.waiting:
                self._channels[name] = self._channels.pop(name)  # others are asked before it the next time

    def _has_room(self, of: ChannelBodies, size: int) -> bool:
        if not of.in_hand:
            return True
        return of.in_hand + size <= CHANNEL_BYTES_MAX and self._in_hand + size <= IN_HAND_BYTES_MAX

    def _take(self, of: ChannelBodies, size: int) -> None:
        of.in_hand += size
        self._in_hand += size

    def _count_waiting(self, of: ChannelBodies, size: int) -> None:
        of.waiting_bytes += size
        self._waiting += size
