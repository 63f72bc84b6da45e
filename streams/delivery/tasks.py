"""Background tasks of the role, the time slicer for long work on the event loop, and the error that ends the process.

A background task is kept until it has ended. One that fails ends the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

from streams.runtime.role import PartitionLost

Spawn = Callable[[Coroutine[Any, Any, Any]], "asyncio.Task[None]"]
"""Starts a task that the giver keeps until it has ended."""

ROW = 1
"""Cost of passing a row of a table: some 2 us. The other costs are multiples of it."""
REQUEST = 20
"""Cost of decoding a request and enqueueing it at its dispatcher."""
SLICE = 200 * REQUEST
"""Cost of all such work together in one turn of the event loop: some 10 ms."""


class Failure:
    """The first error that a part of the role did not expect. It ends the process: what is in memory may be ahead of
    what is durable."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self._listener: Callable[[BaseException], None] | None = None

    def report_to(self, listener: Callable[[BaseException], None]) -> None:
        self._listener = listener

    def report(self, error: BaseException) -> None:
        self.error = error
        if self._listener is not None:
            self._listener(error)


class BackgroundTasks:
    """Tasks that are kept until they have ended: the event loop may forget others half-way. `on_end` is called after
    each."""

    def __init__(self, crashed: Callable[[BaseException], None], on_end: Callable[[], None] | None = None) -> None:
        self._crashed = crashed
        self._on_end = on_end
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_ended)
        return task

    def keep(self, tasks: Iterable[asyncio.Task[None]]) -> None:
        """Keep tasks that another part started and cancelled."""
        for task in tasks:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def cancel(self) -> list[asyncio.Task[None]]:
        """Cancel all tasks; returns them, to be awaited."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        return tasks

    async def join(self) -> None:
        """Return when all tasks have ended."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_ended(self, task: asyncio.Task[None]) -> None:
        """A lost partition ends its tasks quietly: the new owner does their work again from what is durable. Any other
        error ends the process."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, PartitionLost):
            self._crashed(error)
        if self._on_end is not None:
            self._on_end()


class TimeSlicer:
    """Shares the event loop between long jobs: answers and heartbeats come in between, and jobs take turns, so a short
    one is soon done beside a long one."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._left = SLICE

    async def run(self, work: Iterator[int]) -> None:
        """Do `work`, which yields the cost of each step."""
        while True:
            async with self._turn:
                if self._left <= 0:
                    await asyncio.sleep(0)
                    self._left = SLICE
                for cost in work:
                    self._left -= cost
                    if self._left <= 0:
                        break
                else:
                    return
