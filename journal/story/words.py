"""Times, durations and far sides in words, for sentences that an operator reads."""

from __future__ import annotations

from datetime import UTC, datetime

SUBSCRIPTION = "subscription:"
_CHANNEL = "channel:"
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000))


def moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def duration(ms: int) -> str:
    """In the two largest units, as `2 h 5 min`."""
    if ms < 1_000:
        return f"{max(ms, 0)} ms"
    for number, (unit, size) in enumerate(_UNITS):
        if ms >= size:
            rest = _UNITS[number + 1] if number + 1 < len(_UNITS) else None
            more = ms % size // rest[1] if rest is not None else 0
            return f"{ms // size} {unit}" + (f" {more} {rest[0]}" if rest is not None and more else "")
    return ""


def far_side(destination: str) -> str:
    if destination == "increff":
        return "Increff"
    if destination.startswith(_CHANNEL):
        return f"the marketplace of {destination.removeprefix(_CHANNEL)}"
    return destination


def answer(status: int | None, error: str) -> str:
    """How an attempt ended."""
    if status is not None:
        return f"status {status}" + (f" ({error})" if error else "")
    return error or "no answer"


def plural(count: int, one: str) -> str:
    return f"{count} {one}" if count == 1 else f"{count} {one}s"
