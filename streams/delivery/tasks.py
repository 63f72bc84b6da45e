"""Background tasks of the role, and the time slicer for long work on the event loop.

A background task is kept until it has ended; one that fails ends the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

from streams.runtime.role import PartitionLost

ROW = 1
"""What it costs to pass a row of a table: some 2 us. The other costs are told in these."""
REQUEST = 20
"""Decoding a request and giving it to its runner."""
RUNNER = 100
"""Making a runner."""
SLICE = 200 * REQUEST
"""What all such work together may cost in one turn: some 10 ms."""


class BackgroundTasks:
    """A partition that leaves ends a chore of it quietly: the new owner begins anew, from what is durable."""

    def __init__(self, crashed: Callable[[BaseException], None]) -> None:
        self._crashed = crashed
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        self.keep([asyncio.get_running_loop().create_task(guarded(work, self._crashed))])

    def keep(self, tasks: Iterable[asyncio.Task[None]]) -> None:
        """Keep cancelled tasks until they ended, or the event loop would forget them half-way."""
        for task in tasks:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def ended(self) -> None:
        """Returns when all have ended."""
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def guarded(work: Coroutine[Any, Any, Any], crashed: Callable[[BaseException], None]) -> None:
    """A lost partition ends the work quietly: the new owner does it again. Anything else ends the process."""
    try:
        await work
    except PartitionLost:
        return
    except Exception as error:
        crashed(error)
        raise


class TimeSlicer:
    """Work that waits for its slice waits in line, so the short is soon done beside the long."""

    def __init__(self) -> None:
        self._line = asyncio.Lock()
        self._left = SLICE

    async def run(self, work: Iterator[int]) -> None:
        """Do `work`, which yields after each step what the step cost."""
        while True:
            async with self._line:
                if self._left <= 0:
                    await asyncio.sleep(0)
                    self._left = SLICE
                for cost in work:
                    self._left -= cost
                    if self._left <= 0:
                        break
                else:
                    return
