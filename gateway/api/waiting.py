"""Waits for the effect of an operator's action, as long as its caller chose."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiohttp import web

from gateway.http.answers import Refused
from gateway.http.query import number_of
from gateway.ports import Overloaded, Unavailable
from topics.api.query_parameters import WAIT

LOOK_EVERY_S = 0.25
"""Between two looks: an effect takes a part of a second at best, and each look may be a question to a role."""

Found = TypeVar("Found")


def wait_of(request: web.Request) -> int:
    """The seconds that the caller waits for the effect. Raises Refused."""
    return number_of(request, WAIT)


def patient(look: Callable[[], Awaitable[Found | None]]) -> Callable[[], Awaitable[Found | None]]:
    """A look that finds nothing while nobody can be asked: what is waited for was ordered before, so its caller must
    not hear that it failed."""

    async def patient_look() -> Found | None:
        try:
            return await look()
        except (Unavailable, Overloaded):
            return None
        except Refused as refused:
            if refused.status < 500:
                raise
            return None

    return patient_look


async def until_found(
    wait_s: float, look: Callable[[], Awaitable[Found | None]], every_s: float = LOOK_EVERY_S
) -> Found | None:
    """The first thing that a look finds; None when nothing was found in time. Looks at least once."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + wait_s
    while True:
        found = await look()
        if found is not None or loop.time() >= ends:
            return found
        await asyncio.sleep(every_s)
