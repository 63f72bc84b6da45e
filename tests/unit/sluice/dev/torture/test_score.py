"""The scorer finds each kind of fault in a log that has exactly one, and none in one that has none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluice.dev.torture.answers import FOLLOWED
from sluice.dev.torture.faults import Fault
from sluice.dev.torture.log import LogError, LoggedRequest, Signed, encode, read
from sluice.dev.torture.report import render
from sluice.dev.torture.score import FAULTS, Budget, Score, score

SECOND = 1_000.0


def entry(number: int, sequence: int, previous: int | None = None, **changed: object) -> LoggedRequest:
    """A request at second `number`, acknowledged at once."""
    before = max(sequence - 1, 0) if previous is None else previous
    plain = LoggedRequest(
        number=number,
        arrived_ms=number * SECOND,
        ended_ms=number * SECOND + 1,
        endpoint="/hook",
        id=f"d{sequence}",
        lane="demo|o1",
        sequence=sequence,
        previous=before,
        watermark=before,
        body=f"b{sequence}",
        signed=Signed.RIGHT,
        fault="",
        status=200,
        whole=True,
    )
    return replace(plain, **changed)  # type: ignore[arg-type]


def wrong(found: Score) -> dict[str, int]:
    return {name: count for name, count in found.faults.items() if count}


GOOD = [entry(1, 1), entry(2, 2), entry(3, 3)]


def test_a_lane_in_order_has_no_fault() -> None:
    found = score(GOOD, expected={"demo|o1": [1, 2, 3]}, budgets=[Budget(2, 2)])
    assert wrong(found) == {}
    assert (found.deliveries, found.acknowledged, found.lanes, found.repeats) == (3, 3, 1, 0)
    assert found.fullest == {"2/2s": 2}


def test_a_failed_attempt_and_its_repeat_are_no_fault() -> None:
    failed = entry(1, 1, status=500, fault=Fault.STATUS_500)
    found = score([failed, entry(2, 1), entry(3, 2)])
    assert wrong(found) == {}
    assert found.met == {Fault.STATUS_500: 1}


def test_a_repeat_of_what_was_surely_taken_is_counted_and_allowed() -> None:
    found = score([entry(1, 1), entry(2, 1), entry(3, 2)])
    assert (wrong(found), found.repeats) == ({}, 1)
    truncated = entry(1, 1, whole=False, fault=Fault.TRUNCATED)
    assert score([truncated, entry(2, 1), entry(3, 2)]).repeats == 0


@pytest.mark.parametrize(
    ("what", "log"),
    [
        ("inversions", [entry(1, 1), entry(2, 3, 1), entry(3, 2, 1)]),
        ("inversions", [entry(1, 1, status=None, ended_ms=9 * SECOND), entry(2, 2, 0, watermark=0)]),
        ("gaps", [entry(1, 1), entry(2, 3, 2, watermark=2)]),
        ("gaps", [entry(1, 1), entry(2, 3, 0, watermark=0)]),
        ("gaps", [entry(1, 1), entry(2, 2, 0, watermark=1)]),
        ("changed ids", [entry(1, 1, status=500), entry(2, 1, id="other")]),
        ("changed bodies", [entry(1, 1, status=500), entry(2, 1, body="other")]),
        ("unsigned", [entry(1, 1, signed=Signed.MISSING)]),
        ("wrongly signed", [entry(1, 1, signed=Signed.WRONG)]),
        ("followed redirects", [entry(1, 1, status=307), entry(2, 1, endpoint=FOLLOWED)]),
        ("early", [entry(1, 1, status=429, not_before_ms=2.5 * SECOND), entry(2, 1)]),
    ],
)
def test_each_fault_is_found(what: str, log: list[LoggedRequest]) -> None:
    assert what in FAULTS
    assert set(wrong(score(log))) == {what}


def test_what_an_operator_sent_again_is_no_inversion() -> None:
    log = [entry(1, 1), entry(2, 3, previous=1), entry(3, 2, previous=1, redriven=True), entry(4, 4, previous=3)]
    assert wrong(score(log)) == {}


def test_a_gap_that_is_told_is_none() -> None:
    """2 was given up, and 3 says that only 1 was acknowledged."""
    log = [entry(1, 1), entry(2, 2, status=500), entry(3, 3, 2, watermark=1)]
    assert wrong(score(log)) == {}


def test_what_was_on_its_way_when_quiet_was_asked_for_is_not_early() -> None:
    throttled = entry(1, 1, status=429, not_before_ms=3 * SECOND, ended_ms=SECOND)
    other = entry(2, 1, arrived_ms=1.2 * SECOND, id="x", lane="demo|o2")
    assert wrong(score([throttled, other])) == {}
    assert wrong(score([throttled, replace(other, arrived_ms=1.3 * SECOND)])) == {"early": 1}
    assert wrong(score([throttled, replace(other, arrived_ms=1.3 * SECOND, endpoint="/other")])) == {}


def test_the_longest_quiet_counts() -> None:
    log = [
        entry(1, 1, status=429, not_before_ms=9 * SECOND),
        entry(2, 2, id="a", lane="b", status=429, not_before_ms=3 * SECOND, arrived_ms=1.01 * SECOND, ended_ms=1100),
        entry(3, 1, arrived_ms=8 * SECOND),
    ]
    assert score(log).faults["early"] == 1


def test_every_window_of_a_budget_is_looked_at() -> None:
    log = [entry(number, number, arrived_ms=number * 100.0) for number in range(1, 12)]
    found = score(log, budgets=[Budget(10, 1.0)])
    assert (found.faults["over budget"], found.fullest) == (0, {"10/1s": 10})
    assert score(log, budgets=[Budget(9, 1.0)]).faults["over budget"] == 2


def test_what_never_came_is_lost_and_what_nobody_expected_is_told() -> None:
    found = score(GOOD, expected={"demo|o1": [1, 2, 4], "demo|o2": [1]})
    assert wrong(found) == {"lost": 2, "unexpected": 1}


def test_arrival_counts_not_the_order_of_the_log() -> None:
    assert wrong(score(reversed(GOOD))) == {}


def test_a_log_is_read_as_it_was_written() -> None:
    lines = [encode(one) for one in GOOD]
    assert list(read(lines)) == GOOD
    assert list(read([*lines[:2], lines[2][:-20]])) == GOOD[:2]
    with pytest.raises(LogError, match="line 2"):
        list(read([lines[0], b"{}\n"]))


def test_what_was_not_checked_is_not_said_to_be_right() -> None:
    unsigned = [replace(one, signed=Signed.UNCHECKED) for one in GOOD]
    assert score(unsigned).unchecked == {"lost", "unexpected", "over budget", "unsigned", "wrongly signed"}
    assert score(GOOD, expected={}, budgets=[Budget(1, 1)]).unchecked == set()
    text = render(score(unsigned))
    assert text.count("not checked") == 5
