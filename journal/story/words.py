"""Times, durations and far sides in words, for sentences that an operator reads."""

from __future__ import annotations

from datetime import UTC, datetime

from topics.records.keys import INCREFF

_CHANNEL = "channel:"
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000))


def moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def duration(ms: int) -> str:
    """In the two largest units, as `2 h 5 min`."""
    if ms < 1_000:
        return f"{max(ms, 0)} ms"
    counts = []
    for unit, size in _UNITS:
        count, ms = divmod(ms, size)
        counts.append((count, unit))
    first = next(number for number, (count, _) in enumerate(counts) if count)
    return " ".join(f"{count} {unit}" for count, unit in counts[first : first + 2] if count)


def far_side(destination: str) -> str:
    if destination == INCREFF:
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
