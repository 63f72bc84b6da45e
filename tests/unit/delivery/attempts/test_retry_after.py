"""Retry-After is honoured in both of its forms, bounded, and ignored when it is not readable."""

from __future__ import annotations

import pytest

from streams.delivery.attempts.response_headers import RETRY_AFTER_MAX_S, not_before_ms

NOW_MS = 1_700_000_000_000  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("header", "wait_ms"),
    [
        ("5", 5_000),
        (" 5 ", 5_000),
        ("0", 0),
        ("1.5", 1_500),
        ("0.0001", 1),
        ("007", 7_000),
        ("999999999999", RETRY_AFTER_MAX_S * 1000),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30_000),
        ("Tuesday, 14-Nov-23 22:13:50 GMT", 30_000),
        ("Tue Nov 14 22:13:50 2023", 30_000),
        ("Tue, 14 Nov 2023 22:13:50 -0000", 30_000),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", RETRY_AFTER_MAX_S * 1000),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
    ],
)
def test_a_readable_value_is_an_absolute_time(header: str, wait_ms: float) -> None:
    assert not_before_ms(header, NOW_MS) == NOW_MS + wait_ms


@pytest.mark.parametrize(
    "header",
    [None, "", "soon", "-5", "+5", "5s", "1e3", "NaN", "inf", "Tue, 99 Nov 2023 22:13:50 GMT", "\u0665", "5, 6"],
)
def test_garbage_is_ignored(header: str | None) -> None:
    assert not_before_ms(header, NOW_MS) is None


@pytest.mark.parametrize(
    ("date", "wait_ms"),
    [
        ("Tue, 14 Nov 2023 21:13:20 GMT", 3_600_000),
        ("Tue, 14 Nov 2023 22:13:45 GMT", 5_000),
        ("Tue, 14 Nov 2023 23:00:00 GMT", 0),
        ("nonsense", 30_000),
        (None, 30_000),
    ],
)
def test_a_date_is_read_by_the_far_sides_clock_where_it_tells_it(date: str | None, wait_ms: int) -> None:
    assert not_before_ms("Tue, 14 Nov 2023 22:13:50 GMT", NOW_MS, date) == NOW_MS + wait_ms
