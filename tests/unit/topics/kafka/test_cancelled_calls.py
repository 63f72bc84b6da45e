"""aiokafka cancels calls that wait on a connection it closes; a reader of a topic goes on all the same."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError

from topics.configuration.settings import load_settings
from topics.kafka import compacted_view
from topics.kafka.clients import cancelled_calls_fail, close
from topics.kafka.compacted_view import CompactedView


async def test_a_call_that_the_client_cancelled_is_an_error_of_kafka() -> None:
    waits: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waits.cancel()
    with pytest.raises(KafkaConnectionError), cancelled_calls_fail():
        await waits


async def test_a_task_that_is_cancelled_is_cancelled() -> None:
    async def call() -> None:
        with cancelled_calls_fail():
            await asyncio.Event().wait()

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_time_out_is_a_time_out() -> None:
    with pytest.raises(TimeoutError), cancelled_calls_fail():
        async with asyncio.timeout(0):
            await asyncio.Event().wait()


async def test_closing_a_client_does_not_end_who_closes_it() -> None:
    stops: list[str] = []

    class Broken:
        async def stop(self) -> None:
            stops.append("stop")
            waits: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            waits.cancel()
            await waits

    await close(Broken(), 1.0)
    assert stops == ["stop"]


async def test_a_view_goes_on_after_it() -> None:
    view = CompactedView(load_settings(kafka="nowhere:9"), "t", lambda *_: None, lambda _: None)
    calls: list[str] = []
    again = asyncio.Event()

    async def follow() -> None:
        calls.append("follow")
        if len(calls) == 1:
            waits: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            waits.cancel()
            await waits
        again.set()
        await asyncio.Event().wait()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compacted_view, "RETRY_S", 0)
        patch.setattr(view, "_follow", follow)
        await view.start()
        await asyncio.wait_for(again.wait(), 10)
        assert not view._task.done()  # type: ignore[union-attr]
        await view.stop()
    assert calls == ["follow", "follow"]
