"""Background tasks: which of their ends end the process, and that each end is told."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Coroutine
from typing import Any

import pytest

from streams.delivery.tasks import BackgroundTasks
from streams.runtime.invariants import InvariantError
from streams.runtime.role import PartitionLost


class Started:
    def __init__(self) -> None:
        self.crashes: list[BaseException] = []
        self.ends = 0
        self.tasks = BackgroundTasks(self.crashes.append, self._ended)

    def _ended(self) -> None:
        self.ends += 1


async def ending(error: BaseException | None) -> None:
    await asyncio.sleep(0)
    if error is not None:
        raise error


@pytest.mark.parametrize("error", [ValueError("a defect"), InvariantError("a defect"), TimeoutError("Kafka")])
async def test_a_task_that_fails_ends_the_process(error: BaseException) -> None:
    started = Started()
    started.tasks.start(ending(error))
    await started.tasks.join()
    assert (started.crashes, started.ends, len(started.tasks)) == ([error], 1, 0)


@pytest.mark.parametrize("error", [None, PartitionLost("it is another worker's")])
async def test_a_task_that_is_done_or_lost_its_partition_ends_quietly(error: BaseException | None) -> None:
    started = Started()
    started.tasks.start(ending(error))
    await started.tasks.join()
    assert (started.crashes, started.ends, len(started.tasks)) == ([], 1, 0)


@pytest.mark.parametrize("steps", [0, 1])
async def test_a_task_that_is_cancelled_ends_quietly_also_before_its_first_step(steps: int) -> None:
    started = Started()
    work: Coroutine[Any, Any, None] = ending(None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a coroutine that was never awaited
        started.tasks.start(work)
        for _ in range(steps):
            await asyncio.sleep(0)
        await asyncio.gather(*started.tasks.cancel(), return_exceptions=True)
        del work
    assert (started.crashes, started.ends, len(started.tasks)) == ([], 1, 0)
