"""Response headers that ask for fewer requests: Retry-After and the rate-limit headers. Pure.

Retry-After (RFC 9110, section 10.2.3) is seconds or an HTTP date, and becomes an absolute time. Of the rate-limit
headers are read `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10), those of earlier drafts,
and the `X-RateLimit-*` headers that many targets send. They can only close the gate: a far side's header never loosens
a configured limit, and a header that cannot be read is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC
from decimal import Decimal
from email.utils import parsedate_to_datetime
from math import ceil
from typing import Any

import http_sf

RETRY_AFTER_MAX_S = 3600.0
"""Longest pause that one answer can ask for: a mistyped date must not stop a destination for a year."""
THROTTLE_DEFAULT_S = 5.0
"""Pause after a 429 without Retry-After: a twelfth of Increff's window, in which at most five permits come free."""

REQUESTS = "requests"
"""Quota unit of a policy that names none. Other units (bytes, requests at once) are ignored."""
EPOCH_FROM_S = 10**9
"""`X-RateLimit-Reset` is either seconds from now or seconds since 1970. From this value on it is a time since 1970: the
year 2001, or 31 years from now."""
EPOCH_MS_FROM = 10**12
"""The same in milliseconds."""

_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?")
_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")


def not_before_ms(header: str | None, now_ms: int, date: str | None = None) -> int | None:
    """When the far side may be called again (epoch ms, rounded up); None when the header is missing or unreadable.

    A date in the past, or zero seconds, is now: the far side did send the header. A date is by the far side's clock, so
    it is compared with the answer's own `date` (RFC 9110, 6.6.1), without one with our clock. A longer pause is cut to
    RETRY_AFTER_MAX_S.
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
        their_now_ms = None if date is None else _date_ms(date)
        wait_ms = moment_ms - (now_ms if their_now_ms is None else their_now_ms)
    bounded = min(max(wait_ms, 0.0), RETRY_AFTER_MAX_S * 1000)
    return now_ms + int(-(-bounded // 1))


def _date_ms(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        # An HTTP date is always GMT; for "-0000" the parser gives no zone.
        moment = moment.replace(tzinfo=UTC)
    try:
        return moment.timestamp() * 1000
    except (ValueError, OverflowError):
        return None


def spent_until_ms(headers: Mapping[str, str], now_ms: int) -> int | None:
    """Until when a limit is spent, by the far side's headers (epoch ms); None when none is, or none is given."""
    fields = {name.lower(): value for name, value in headers.items() if "rate" in name.lower()}
    if not fields:
        return None
    waits_s = [*_ietf(fields), *_named(fields, now_ms)]
    if not waits_s:
        return None
    return now_ms + ceil(min(max(*waits_s, 0.0), RETRY_AFTER_MAX_S) * 1000)


def _ietf(fields: Mapping[str, str]) -> Iterator[float]:
    """Seconds until each spent limit of `RateLimit` is free again."""
    policies = dict(_items(fields.get("ratelimit-policy", "")))
    for name, parameters in _items(fields.get("ratelimit", "")):
        policy = policies.get(name, {})
        if policy.get("qu", REQUESTS) != REQUESTS or not _is_spent(parameters.get("r")):
            continue
        # Without a time: the quota is free again after the window at the latest.
        wait = parameters.get("t", policy.get("w"))
        if _is_number(wait):
            yield float(wait)
    members = _members(fields.get("ratelimit", ""))
    if _is_spent(members.get("remaining")) and _is_number(members.get("reset")):
        yield float(members["reset"])


def _named(fields: Mapping[str, str], now_ms: int) -> Iterator[float]:
    """The same for headers with one number each."""
    for prefix in ("ratelimit", "x-ratelimit", "x-rate-limit"):
        remaining, reset = (_number(fields.get(f"{prefix}-{what}")) for what in ("remaining", "reset"))
        if remaining is None or reset is None or remaining >= 1:
            continue
        if reset >= EPOCH_MS_FROM:
            reset /= 1000
        yield reset - now_ms / 1000 if reset >= EPOCH_FROM_S else reset


def _items(field: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Names and parameters of a list of items; nothing for an unreadable header."""
    if not field:
        return
    try:
        parsed: Any = http_sf.parse(field.encode(), tltype="list")
    except (ValueError, RecursionError):
        return
    for entry in parsed:
        if isinstance(entry, tuple) and not isinstance(entry[0], list):
            yield str(entry[0]), entry[1]


def _members(field: str) -> dict[str, Any]:
    """Members of the dictionary of draft 07; empty for an unreadable header."""
    try:
        parsed: Any = http_sf.parse(field.encode(), tltype="dictionary")
    except (ValueError, RecursionError):
        return {}
    return {name: entry[0] if isinstance(entry, tuple) else entry for name, entry in parsed.items()}


def _is_spent(remaining: Any) -> bool:
    return _is_number(remaining) and remaining < 1


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and _NUMBER.fullmatch(text.strip()) else None
