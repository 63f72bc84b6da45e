"""Tasks of the role beside its runners: kept until they ended, and one that fails ends the process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from streams.runtime.role import PartitionLost


class Chores:
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
