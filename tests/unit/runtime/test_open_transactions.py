"""A transaction that holds a partition up for long is named, once in the log, and as a warning until it ends."""

from __future__ import annotations

import pytest

from streams.runtime.stuck.held_up import Progress
from streams.runtime.stuck.transactions import OPEN_TRANSACTION_S, OpenTransactions


def test_only_a_lasting_one_is_named_and_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    seen = OpenTransactions("t.orders.commands.v1")
    seen.observe({3: 7}, 100.0)
    seen.observe({3: 9}, 100.0 + OPEN_TRANSACTION_S)  # another: producers work
    assert seen.warnings() == []
    for second in (1, 2):
        seen.observe({3: 9}, 100.0 + second + 2 * OPEN_TRANSACTION_S)
        (warning,) = seen.warnings()
        assert "t.orders.commands.v1/3: a transaction is open at offset 9" in warning
        assert "find-hanging" in warning
    assert len(caplog.records) == 1
    seen.observe({}, 200.0)
    assert seen.warnings() == []


def test_progress_tells_what_waits_for_the_worker_from_what_waits_for_a_transaction() -> None:
    held = Progress(done=5, end=9, readable=5)
    assert (held.lag(), held.readable_lag(), held.held_at()) == (4, 0, 5)
    busy = Progress(done=5, end=9, readable=9)
    assert (busy.lag(), busy.readable_lag(), busy.held_at()) == (4, 4, None)
    unknown = Progress(done=5, end=None, readable=None)
    assert (unknown.lag(), unknown.readable_lag(), unknown.held_at()) == (0, 0, None)
