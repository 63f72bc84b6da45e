"""The health of a destination by its attempts, its gate and its pause."""

from __future__ import annotations

from typing import Any

import pytest

from journal.queries.health import Health, Judged, judged
from journal.story.rows import Down, Pause

NOW_MS = 1_750_000_000_000
PAUSE = Pause(
    destination="increff",
    since_ms=5,
    until_ms=None,
    ended_ms=None,
    actor="alice",
    reason="",
    topic="destinations.controls",
    partition=0,
    record_offset=1,
)
DOWN = Down(destination="increff", begin_ms=7, end_ms=None, error="x", partition=0, record_offset=1)


def attempt(status: int | None = 200, at_ms: int = NOW_MS, error: str = "") -> dict[str, Any]:
    return {"status": status, "at_ms": at_ms, "error": error, "lane": "l"}


FAILED = [attempt(None, 30, "timed out"), attempt(503, 20), attempt(200, 10), attempt(500, 1)]


@pytest.mark.parametrize(
    ("attempts", "gate_ms", "down", "pause", "expected"),
    [
        ([], 0, None, None, Judged(Health.UNKNOWN, None, "")),
        ([attempt()], 0, None, None, Judged(Health.WORKING, None, "")),
        ([attempt(404)], 0, None, None, Judged(Health.WORKING, None, "")),
        (FAILED, 0, None, None, Judged(Health.FAILING, 20, "timed out")),
        (FAILED, 0, DOWN, None, Judged(Health.DOWN, 7, "timed out")),
        (FAILED, NOW_MS + 1, DOWN, None, Judged(Health.QUIET, None, "timed out")),
        (FAILED, NOW_MS + 1, DOWN, PAUSE, Judged(Health.PAUSED, 5, "timed out")),
        ([attempt(429)], NOW_MS, None, None, Judged(Health.WORKING, None, "")),
        ([attempt(503, 9, "busy")], 0, None, None, Judged(Health.FAILING, 9, "HTTP 503: busy")),
    ],
)
def test_what_stops_more_is_said_first(
    attempts: list[Any], gate_ms: int, down: Down | None, pause: Pause | None, expected: Judged
) -> None:
    assert judged(attempts, gate_ms, down, pause, NOW_MS) == expected
