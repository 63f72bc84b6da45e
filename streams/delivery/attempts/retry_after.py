"""Retry-After (RFC 9110, section 10.2.3): seconds or an HTTP date, as an absolute time. Pure."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

RETRY_AFTER_MAX_S = 3600.0
"""Longest quiet a far side can impose by one answer: a mistyped date must not silence a destination for a year."""
THROTTLE_DEFAULT_S = 5.0
"""Quiet after a 429 that does not say how long: a twelfth of Increff's window, so at most five permits come free."""

_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")


def not_before_ms(header: str | None, now_ms: int, date: str | None = None) -> int | None:
    """When the far side may be called again (epoch ms, rounded up); None when the header is missing or unreadable.

    A date in the past, or zero seconds, is now: the far side did answer the question. A date is told by the far
    side's clock, so it is read against the answer's own `date` (RFC 9110, 6.6.1), and without one against our clock.
    What is too far away is cut to RETRY_AFTER_MAX_S.
    """
    if header is None:
        return None
    text = header.strip()
    if _SECONDS.fullmatch(text):
        wait_ms = float(text) * 1000
    else:
        moment_ms = _date_ms(text)
        if moment_ms is None:
            return None
        told_ms = None if date is None else _date_ms(date)
        wait_ms = moment_ms - (now_ms if told_ms is None else told_ms)
    bounded = min(max(wait_ms, 0.0), RETRY_AFTER_MAX_S * 1000)
    return now_ms + int(-(-bounded // 1))


def _date_ms(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        # An HTTP date is always GMT; "-0000" is how the parser says that no zone was told.
        moment = moment.replace(tzinfo=UTC)
    try:
        return moment.timestamp() * 1000
    except (ValueError, OverflowError):
        return None
