"""Waits for Kafka while a process starts: SIGTERM and SIGINT end them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any


async def is_over_before_end(wait: Coroutine[Any, Any, None]) -> bool:
    """Waits, and says whether that was over before a signal to end came. Raises what the wait raises.

    The first process of a container would not hear these signals otherwise. Whoever goes on sets handlers of its own.
    """
    task = asyncio.ensure_future(wait)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await asyncio.wait([task])
    if task.cancelled():
        return False
    task.result()
    return True
