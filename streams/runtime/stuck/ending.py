"""A worker's end: its exit status, and steps of which none holds up the next one or the end of the process."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

log = logging.getLogger(__name__)

EXIT_FAILED: Final = 70
"""EX_SOFTWARE: the worker ended because it could not go on safely; starting it again is right."""
EXIT_NOT_DRAINED: Final = 75
"""EX_TEMPFAIL: it ended at a signal, and Kafka had not acknowledged all that it had in hand: the next worker reads that
again."""

LOG_S: Final = 0.2
"""For the last line of a process that is cut off: whatever reads standard error may stand still, too."""


async def bounded(what: str, step: Awaitable[Any], timeout_s: float) -> bool:
    """Runs one step of the end. Returns whether it came to its end; one that fails or takes too long is logged.

    A step that takes too long is cancelled, and not waited for: services of Faust go on after a cancellation.
    """
    running = asyncio.ensure_future(step)
    ended, _ = await asyncio.wait([running], timeout=timeout_s)
    if not ended:
        running.add_done_callback(_forget)
        running.cancel()
        log.warning("%s took more than %g s; what is not durable is read again after a restart", what, timeout_s)
        return False
    try:
        running.result()
    except (Exception, asyncio.CancelledError):
        log.exception("%s failed", what)
        return False
    return True


async def all_bounded(steps: Mapping[str, Awaitable[Any]], timeout_s: float) -> bool:
    """Runs steps of the end side by side, each as `bounded` does. Returns whether all came to their ends."""
    return all(await asyncio.gather(*(bounded(what, step, timeout_s) for what, step in steps.items())))


def _forget(ended: asyncio.Future[Any]) -> None:
    """Takes what a step ended with after its time, which asyncio would report otherwise."""
    if not ended.cancelled():
        ended.exception()


@contextmanager
def ends_within(timeout_s: float, status: Callable[[], int]) -> Iterator[None]:
    """Ends the process with `status` unless the block is over in time: a step that blocks the event loop has no bound
    in it."""
    timer = threading.Timer(timeout_s, _cut_off, (timeout_s, status))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _cut_off(timeout_s: float, status: Callable[[], int]) -> None:
    said = "the end took more than %g s, and is cut off; what is not durable is read again after a restart"
    logging_it = threading.Thread(target=log.critical, args=(said, timeout_s), daemon=True)
    logging_it.start()
    logging_it.join(LOG_S)
    os._exit(status())
