"""The times of words, in runs: as exact as promised, whatever order they come in, also when Kafka delivers again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.positions.word_times import GRAIN_MS, RUNS_MAX, WordTimes

TIMES = st.lists(st.one_of(st.integers(0, 3_000), st.just(1_000), st.integers(900, 1_300)), max_size=60)


@given(TIMES)
def test_each_offset_has_its_time(times: list[int]) -> None:
    words = WordTimes()
    for offset, time_ms in enumerate(times):
        words.note(offset, time_ms)
    for offset, time_ms in enumerate(times):
        found = words.at(offset)
        assert found is not None
        assert 0 <= time_ms - found <= GRAIN_MS


@given(TIMES, st.randoms(use_true_random=False), st.integers(0, 60))
def test_what_is_learned_in_any_order_is_known(times: list[int], chance: object, again: int) -> None:
    words, pairs = WordTimes(), list(enumerate(times))
    known = [pair for index, pair in enumerate(pairs) if index % 3]
    chance.shuffle(known)  # type: ignore[attr-defined]
    for offset, time_ms in known:
        words.learn(offset, time_ms)
    for offset, time_ms in pairs[min(again, len(pairs)) :]:
        words.note(offset, time_ms)
    for offset, time_ms in {*known, *pairs[again:]}:
        found = words.at(offset)
        assert found is not None
        assert abs(time_ms - found) <= GRAIN_MS


def test_runs_are_bounded() -> None:
    words = WordTimes()
    for offset in range(2 * RUNS_MAX):
        words.note(offset, 1_000 * offset)
    assert len(words) <= RUNS_MAX
    assert words.at(0) is None
    assert words.at(2 * RUNS_MAX - 1) == 1_000 * (2 * RUNS_MAX - 1)
