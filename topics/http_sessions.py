"""HTTP client sessions: every aiohttp session of Sluice is made here, so that each request is sent exactly once."""

from __future__ import annotations

from typing import Any, Final

import aiohttp

KEEPALIVE_S: Final = 4.0
"""Idle connections are closed before the far side closes them: Node, Apache and uvicorn do so after 5 s by default,
Tomcat after 20 s. A request that is written while the far side closes is an attempt that failed. A destination that is
called more seldom than this pays a new connection per request, which at that rate is nothing."""


def session(**options: Any) -> aiohttp.ClientSession:
    """A client session that never repeats a request by itself. `options` are aiohttp's own.

    By default aiohttp sends a PUT, GET or DELETE a second time when a kept connection breaks, even if the far side had
    read the first: two requests for one permit of a budget, and one attempt in the books. Whether a request is repeated
    is decided by its caller alone: delivery's retry schedule takes a permit for each attempt.
    """
    made = aiohttp.ClientSession(**options)
    if not hasattr(made, "_retry_connection"):
        raise RuntimeError(f"aiohttp {aiohttp.__version__} has no switch for its own repeats; install the pinned one")
    made._retry_connection = False
    return made
