"""A step of a worker's end that does not end holds up nothing, not even where it heeds no cancellation."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from streams.runtime.stuck.ending import EXIT_NOT_DRAINED, bounded

PATIENCE_S = 60.0


async def nothing() -> None:
    """A step that ends at once."""


async def failing() -> None:
    raise OSError("no route to host")


async def patient() -> None:
    await asyncio.sleep(PATIENCE_S)


async def deaf() -> None:
    """Goes on after it was cancelled, as the stop of a service of Faust does."""
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(PATIENCE_S)
    await asyncio.sleep(PATIENCE_S)


@pytest.mark.parametrize(("step", "comes_to_its_end"), [(nothing, True), (failing, False), (patient, False)])
async def test_a_step_says_whether_it_came_to_its_end(
    step: Callable[[], Awaitable[None]], comes_to_its_end: bool
) -> None:
    assert await bounded("the step", step(), 0.01) is comes_to_its_end


async def test_a_step_that_goes_on_after_its_cancellation_is_not_waited_for() -> None:
    step = asyncio.create_task(deaf())
    assert not await bounded("the step", asyncio.gather(nothing(), step), 0.01)
    await asyncio.sleep(0)
    assert not step.done()
    step.cancel()


def test_a_blocked_event_loop_does_not_hold_up_the_end_of_the_process() -> None:
    code = (
        "import threading\n"
        "from streams.runtime.stuck.ending import EXIT_NOT_DRAINED, ends_within\n"
        "with ends_within(0.05, lambda: EXIT_NOT_DRAINED):\n"
        "    threading.Event().wait()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=False)
    assert (ended.returncode, "cut off" in ended.stderr) == (EXIT_NOT_DRAINED, True)
