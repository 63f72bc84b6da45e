"""The health of a destination, as far as the journal tells it. Pure.

The breaker itself is in the memory of each delivery worker, which alone knows whether it is open. It opens by the same
attempts, so what is judged here is what it has most likely done: docs/operators.md says how to ask the worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from journal.queries.destinations import SERVER_ERROR
from journal.story.rows import Down, Pause


class Health(StrEnum):
    PAUSED = "paused"
    """An operator paused it, and the pause is not over."""
    QUIET = "quiet"
    """It asked for quiet, and the time is not over."""
    DOWN = "down"
    """Since its last answer, attempts of so many orders failed that the endpoint is at fault."""
    FAILING = "failing"
    """Its last attempts failed, those of a few orders."""
    WORKING = "working"
    """Its last attempt was answered."""
    UNKNOWN = "unknown"
    """Nothing was sent, as far as the journal reaches."""


@dataclass(frozen=True, slots=True)
class Judged:
    """`since_ms`: when that began; None: not known. `error`: why the last attempt failed, empty: it was answered."""

    health: Health
    since_ms: int | None
    error: str


def judged(attempts: Sequence[Any], gate_ms: int, down: Down | None, pause: Pause | None, now_ms: int) -> Judged:
    """The health by the last attempts, the newest first; `gate_ms`: until when it asked for quiet; `pause`: that which
    is on now."""
    failed = []
    for attempt in attempts:
        if attempt["status"] is not None and attempt["status"] < SERVER_ERROR:
            break
        failed.append(attempt)
    error = _said(failed[0]) if failed else ""
    if pause is not None:
        return Judged(Health.PAUSED, pause.since_ms, error)
    if gate_ms > now_ms:
        return Judged(Health.QUIET, None, error)
    if down is not None:
        return Judged(Health.DOWN, down.begin_ms, error)
    if failed:
        return Judged(Health.FAILING, failed[-1]["at_ms"], error)
    return Judged(Health.WORKING if attempts else Health.UNKNOWN, None, "")


def _said(attempt: Any) -> str:
    """The end of an attempt, in a word or two."""
    if attempt["status"] is None:
        return attempt["error"] or "no answer"
    return f"HTTP {attempt['status']}" + (f": {attempt['error']}" if attempt["error"] else "")
