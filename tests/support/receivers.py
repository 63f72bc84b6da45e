"""What a receiver counts: a check of its arrivals for each shape of limit, written from the shape's definition alone.

Each takes arrivals as (epoch ms, units) and says how far they went over: 0 and less is within the limit.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Sequence

from topics.configuration.budgets import Budget, CostBucket, FixedWindow, Limit, Quota, TokenBucket

Arrivals = Sequence[tuple[float, int]]


def over_any_window(arrivals: Arrivals, limit: int, window_ms: float) -> int:
    most = held = 0
    recent: deque[tuple[float, int]] = deque()
    for moment, units in sorted(arrivals):
        recent.append((moment, units))
        held += units
        while recent[0][0] <= moment - window_ms:
            held -= recent.popleft()[1]
        most = max(most, held)
    return most - limit


def over_windows_from_first_use(arrivals: Arrivals, limit: int, window_ms: float) -> int:
    """The count begins with the first request after the last window's end."""
    most = held = 0
    begins_ms = float("-inf")
    for moment, units in sorted(arrivals):
        if moment >= begins_ms + window_ms:
            begins_ms, held = moment, 0
        held += units
        most = max(most, held)
    return most - limit


def over_clock_windows(arrivals: Arrivals, limit: int, window_ms: float, offset_ms: float) -> int:
    counts: dict[int, int] = defaultdict(int)
    for moment, units in arrivals:
        counts[int((moment - offset_ms) // window_ms)] += units
    return max(counts.values(), default=0) - limit


def over_bucket(arrivals: Arrivals, burst: int, rate_per_s: float, *, step: int = 1, phase_ms: float = 0) -> float:
    """Steady for `step` 1; else `step` tokens fall in at once, at moments that `phase_ms` shifts."""
    tokens = float(burst)
    last_ms = 0.0
    least = tokens
    every_ms = step * 1000 / rate_per_s
    for moment, units in sorted(arrivals):
        if step == 1:
            gained = (moment - last_ms) * rate_per_s / 1000
        else:
            gained = step * ((moment - phase_ms) // every_ms - (last_ms - phase_ms) // every_ms)
        tokens = min(float(burst), tokens + gained) - units
        last_ms = moment
        least = min(least, tokens)
    return -least


def over(limit: Limit, arrivals: Sequence[tuple[float, str]], phase_ms: float) -> float:
    """By how much the arrivals of calls (by kind) went over what was configured. `phase_ms`: where windows begin that
    no clock tells, and a bucket's steps."""
    counted = [(moment, 1) for moment, _ in arrivals]
    match limit:
        case Quota():
            return over(limit.as_window(), arrivals, phase_ms)
        case TokenBucket():
            return over_bucket(counted, limit.burst, limit.rate_per_s, step=limit.step, phase_ms=phase_ms)
        case CostBucket():
            points = [(moment, limit.costs.get(kind, limit.cost)) for moment, kind in arrivals]
            return over_bucket(points, limit.capacity, limit.restore_per_s)
        case FixedWindow():
            window_ms = limit.window_s * 1000
            if limit.aligned == "clock":
                return over_clock_windows(counted, limit.requests, window_ms, limit.offset_s * 1000)
            checks: list[Callable[[], int]] = [
                lambda: over_windows_from_first_use(counted, limit.requests, window_ms),
                lambda: over_clock_windows(counted, limit.requests, window_ms, phase_ms),
            ]
            return max(check() for check in checks)
        case Budget():
            return over_any_window(counted, limit.requests, limit.window_s * 1000)
    raise TypeError(f"no receiver counts {type(limit).__name__}")
