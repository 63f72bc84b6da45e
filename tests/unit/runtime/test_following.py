"""A role that decides by the subscriptions begins only when it knows them all, and ends when it can no longer learn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from streams.runtime.following import Following
from streams.runtime.role import Change, Effect
from topics.configuration.settings import Settings
from topics.subscriptions.index import SubscriptionIndex, SubscriptionView


class PlayedView(SubscriptionView):
    """Becomes ready, and ends, when it is told to."""

    def __init__(self) -> None:
        super().__init__(Settings())
        self.known = asyncio.Event()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self) -> None: ...

    async def until_ready(self) -> None:
        await self.known.wait()

    async def wait(self) -> None:
        await self.ended

    async def stop(self) -> None: ...


class PlayedCommitter:
    def __init__(self) -> None:
        self.failed = asyncio.Event()
        self.errors: list[BaseException] = []

    async def commit(self, partition: int, effects: Iterable[Effect], changes: Iterable[Change]) -> None:
        raise NotImplementedError

    def fail(self, error: BaseException) -> None:
        self.errors.append(error)
        self.failed.set()


async def test_the_start_waits_for_what_is_there_already() -> None:
    view = PlayedView()
    following = Following(view)
    starting = asyncio.create_task(following.start(PlayedCommitter()))
    await asyncio.sleep(0)
    assert not starting.done()
    view.known.set()
    await starting
    await following.stop()


async def test_a_view_that_ends_ends_the_process() -> None:
    view, committer = PlayedView(), PlayedCommitter()
    view.known.set()
    following = Following(view)
    await following.start(committer)
    error = ZeroDivisionError("played")
    view.ended.set_exception(error)
    await committer.failed.wait()
    assert committer.errors == [error]
    await following.stop()


async def test_of_several_views_each_counts() -> None:
    first, second, committer = PlayedView(), PlayedView(), PlayedCommitter()
    first.known.set()
    following = Following(first, second)
    starting = asyncio.create_task(following.start(committer))
    await asyncio.sleep(0)
    assert not starting.done()
    second.known.set()
    await starting
    second.ended.set_exception(ZeroDivisionError("played"))
    await committer.failed.wait()
    await following.stop()


async def test_an_index_that_follows_nothing_is_ready_at_once() -> None:
    following = Following(SubscriptionIndex())
    await following.start(PlayedCommitter())
    assert following.ready() is None
    await following.stop()
