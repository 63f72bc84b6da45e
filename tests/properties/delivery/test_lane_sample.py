"""Counting as results come is counting all that are in the sample."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.delivery.admission.circuit_breaker import LaneSample

KEPT_MS = 50
RESULTS = st.lists(st.tuples(st.integers(0, 20), st.sampled_from("abcdef"), st.booleans()), max_size=60)


@given(RESULTS, st.integers(1, 12), st.integers(1, 12))
def test_it_counts_as_all_of_them_would_be_counted(results: list[tuple[int, str, bool]], size: int, later: int) -> None:
    sample, now_ms = LaneSample(size, KEPT_MS), 0
    kept: list[tuple[int, str, bool]] = []
    for number, (pause_ms, lane, failed) in enumerate(results):
        now_ms += pause_ms
        if number == len(results) // 2:
            size = later
            sample.resize(size)
            kept = kept[-size:]
        sample.add(now_ms, lane, failed=failed)
        kept = [one for one in [*kept, (now_ms, lane, failed)][-size:] if one[0] > now_ms - KEPT_MS]
        latest = {lane: failed for _, lane, failed in kept}
        assert sample.count_lanes(now_ms) == (sum(latest.values()), len(latest))
    sample.clear()
    assert sample.count_lanes(now_ms) == (0, 0)
