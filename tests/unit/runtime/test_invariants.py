"""A violated invariant of durable state: counted and logged in production, a failure in tests."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

from streams.runtime import invariants
from streams.runtime.invariants import LOG_EVERY_S, MODE_VARIABLE, InvariantError, violated
from streams.runtime.metrics import INVARIANT_VIOLATIONS, Metrics


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of the log, to be moved; as in production nothing is raised."""
    now = [1_000.0]
    monkeypatch.delenv(MODE_VARIABLE)
    monkeypatch.setattr(invariants, "_log", invariants._Log(clock=lambda: now[0]))
    return now


def test_a_violation_fails_a_test() -> None:
    with pytest.raises(InvariantError, match="lane_count: 3 in the header, 2 entries"):
        violated("lane_count", "3 in the header, 2 entries")


def test_processes_that_tests_start_raise_too() -> None:
    code = "from streams.runtime.invariants import violated; violated('a', 'b')"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=False)
    assert "InvariantError: a: b" in ended.stderr


def test_production_goes_on_and_every_worker_counts_it(clock: list[float]) -> None:
    before = INVARIANT_VIOLATIONS.labels("counted")._value.get()
    violated("counted", "at some place")
    violated("counted", "at another")
    for role in ("orders", "delivery"):
        assert f'sluice_invariant_violations_total{{invariant="counted"}} {before + 2}' in Metrics(role).text().decode()


def test_a_line_per_kind_and_minute_says_how_many_were_not_logged(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger=invariants.__name__):
        for detail in ("first", "second", "third"):
            violated("one", detail)
        violated("two", "of its own")
        clock[0] += LOG_EVERY_S - 1
        violated("one", "fourth")
        clock[0] += 1
        violated("one", "fifth")
        clock[0] += LOG_EVERY_S
        violated("one", "sixth")
    assert [record.getMessage() for record in caplog.records] == [
        "invariant one is violated: first",
        "invariant two is violated: of its own",
        "invariant one is violated: fifth (3 more since the last line)",
        "invariant one is violated: sixth",
    ]


def test_pure_code_may_check() -> None:
    code = (
        "import sys; import streams.runtime.invariants;"
        "print([name for name in ('asyncio', 'aiokafka', 'aiohttp') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True)
    assert ended.stdout.strip() == "[]"
