"""One step of a worker's end, which must not hold up the next."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

log = logging.getLogger(__name__)


async def bounded(what: str, step: Awaitable[Any], timeout_s: float) -> None:
    """Runs one step of the end; one that fails or takes too long is logged and does not hold up the next."""
    try:
        async with asyncio.timeout(timeout_s):
            await step
    except TimeoutError:
        log.warning("%s took more than %.0f s; what is not durable is read again after a restart", what, timeout_s)
    except Exception:
        log.exception("%s failed", what)
