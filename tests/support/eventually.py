"""Waiting for a condition, never for time: bounded, and loud when it does not come."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

TIMEOUT_S = 30.0
"""A condition that has not come by then does not come; generous, because machines that test are busy."""


async def eventually(
    predicate: Callable[[], Any | Awaitable[Any]],
    timeout_s: float = TIMEOUT_S,
    *,
    what: str | Callable[[], str] = "",
    every_s: float = 0.02,
) -> Any:
    """Waits until the predicate (plain or async) is true; returns what it returned. Raises AssertionError when late."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = predicate()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(_missed(what, predicate, timeout_s))
        await asyncio.sleep(every_s)


def eventually_sync(
    predicate: Callable[[], Any],
    timeout_s: float = TIMEOUT_S,
    *,
    what: str | Callable[[], str] = "",
    every_s: float = 0.02,
) -> Any:
    """The same for tests without an event loop."""
    deadline = time.monotonic() + timeout_s
    while not (found := predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(_missed(what, predicate, timeout_s))
        time.sleep(every_s)
    return found


def _missed(what: str | Callable[[], str], predicate: Callable[[], Any], timeout_s: float) -> str:
    named = what() if callable(what) else what
    return f"not within {timeout_s:g} s: {named or getattr(predicate, '__qualname__', predicate)}"
