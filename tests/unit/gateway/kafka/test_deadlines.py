"""Waits end at their deadlines, by one timer for all of them."""

from __future__ import annotations

import asyncio

from gateway.kafka.deadlines import Deadlines

WAIT_S = 0.05


class Waits:
    """Futures with deadlines, and the keys of those that were ended."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.ended: list[bytes] = []
        self.deadlines = Deadlines(self.loop, WAIT_S, self._end)

    def add(self, key: bytes) -> asyncio.Future[None]:
        future: asyncio.Future[None] = self.loop.create_future()
        self.deadlines.add(future, key)
        return future

    def _end(self, future: asyncio.Future[None], key: bytes) -> None:
        self.ended.append(key)
        if not future.done():
            future.set_result(None)


async def test_each_wait_ends_at_its_deadline_and_not_before() -> None:
    waits = Waits()
    began = waits.loop.time()
    first = waits.add(b"first")
    await asyncio.sleep(WAIT_S / 2)
    second = waits.add(b"second")
    await first
    assert waits.loop.time() - began >= WAIT_S - 0.002  # uvloop counts whole milliseconds
    assert waits.ended == [b"first"]
    assert not second.done()
    await second
    assert waits.ended == [b"first", b"second"]


async def test_what_is_done_is_not_ended_and_leaves() -> None:
    waits = Waits()
    futures = [waits.add(b"done") for _ in range(3)]
    for future in futures:
        future.set_result(None)
    last = waits.add(b"last")
    assert len(waits.deadlines) == 1
    await last
    assert waits.ended == [b"last"]
    assert len(waits.deadlines) == 0


async def test_what_was_given_up_is_told() -> None:
    waits = Waits()
    waits.add(b"given up").cancel()
    await waits.add(b"last")
    assert waits.ended == [b"given up", b"last"]


async def test_a_wait_behind_an_older_one_that_is_not_done_ends_in_time() -> None:
    waits = Waits()
    waits.add(b"first")
    waits.add(b"second").set_result(None)
    await waits.add(b"third")
    assert waits.ended == [b"first", b"third"]
