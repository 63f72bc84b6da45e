"""A partition that is read again after a pause: nothing that was fetched for it is lost, and nothing comes twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

from faust.types import TP

from streams.runtime.durability.offset_ledger import OffsetLedger
from streams.runtime.metrics import Metrics
from streams.runtime.stuck.paused import PausedPartitions, StuckError
from streams.runtime.transport.chunk_transport import ChunkConsumer, SourceApp
from tests.fakes.runtime import raw_record
from tests.support.eventually import eventually

TP0, TP1 = TP("source", 0), TP("source", 1)


class FetchingThread:
    """Fetches one record, as soon as its partition is fetched at all; a poll waits for it, as aiokafka's does."""

    def __init__(self) -> None:
        self.polls = 0
        self._fetches = asyncio.Event()
        self._records = [raw_record(5, b"count")]

    async def hold(self, tp: TP, offset: int) -> None:
        assert (tp, offset) == (TP0, 5)
        self._fetches.clear()

    async def release(self, tp: TP, offset: int) -> None:
        assert (tp, offset) == (TP0, 5)
        self._fetches.set()

    async def getmany(self, active: set[TP], timeout: float) -> dict[TP, Sequence[Any]]:  # noqa: ASYNC109
        assert active == {TP0, TP1}
        self.polls += 1
        try:
            async with asyncio.timeout(timeout):
                await self._fetches.wait()
        except TimeoutError:
            return {}
        fetched, self._records = self._records, []
        return {TP0: fetched} if fetched else {}

    def positions(self, _: set[TP]) -> dict[TP, int]:
        return {}


def consumer_of(paused: PausedPartitions) -> Any:
    """A consumer that has TP0 and polls a thread that each test brings."""
    app = SourceApp("ours", broker="kafka://127.0.0.1:1", store="memory://")
    app.hooks = SimpleNamespace(
        assignments=0, ledger=OffsetLedger(), may_read=lambda: True, held_up=SimpleNamespace(paused=paused)
    )
    consumer: Any = ChunkConsumer(
        app.transport, callback=AsyncMock(), on_partitions_revoked=AsyncMock(), on_partitions_assigned=AsyncMock()
    )
    consumer.assignment = consumer._get_active_partitions = lambda: {TP0, TP1}
    consumer.flow_active = True
    return consumer


async def test_records_that_come_while_a_poll_waits_at_the_end_of_a_pause_are_handed_out() -> None:
    paused = PausedPartitions("source", Metrics("test"), retry_s=600)
    consumer = consumer_of(paused)
    consumer._thread = thread = FetchingThread()
    consumer._getmany = thread.getmany
    await paused.pause(0, StuckError(5, "told so"), consumer)

    async def poll() -> list[int]:
        found = []
        for _ in range(3):
            found += [chunk.records[0].offset async for _, message in consumer.getmany(0) for chunk in message.value]
        return found

    polling = asyncio.create_task(poll())
    watching = asyncio.create_task(paused.watch())
    await eventually(lambda: thread.polls == 1, what="a poll is under way")
    paused.skip(0, 5)
    assert await polling == [5]
    watching.cancel()


async def test_faust_drops_nothing_of_what_is_read_after_or_beside_a_pause() -> None:
    """Faust drops a message whose offset is below that of the one before it in its partition. Ours carry chunks of
    several partitions, and what is read again comes in other chunks than before."""
    paused = PausedPartitions("source", Metrics("test"), retry_s=600)
    consumer = consumer_of(paused)
    consumer.hold, consumer.release, consumer._thread = AsyncMock(), AsyncMock(), FetchingThread()
    records = [raw_record(offset, b"v") for offset in range(600)]

    async def pause(offset: int) -> None:
        consumer.app.hooks.ledger.cut(0, offset, None)
        await paused.pause(0, StuckError(offset, "told so"), consumer)

    async def polls() -> AsyncIterator[dict[TP, Sequence[Any]]]:
        yield {TP0: records}
        await pause(0)
        await paused._resume(0)
        yield {}
        yield {TP0: records[:100]}
        await pause(100)  # while this poll is under way
        yield {TP1: records[:50], TP0: records[100:]}
        stopped.set()

    stopped, polling = asyncio.Event(), polls()
    consumer._getmany = lambda *_: anext(polling, {})
    given: list[tuple[int, int, int]] = []

    async def take(message: Any) -> None:
        given.extend((each.partition, each.records[0].offset, each.records[-1].offset) for each in message.value)

    consumer.callback = take
    await consumer._drain_messages(SimpleNamespace(_stopped=stopped))
    assert given == [(0, 0, 499), (0, 500, 599), (0, 0, 99), (1, 0, 49)]
