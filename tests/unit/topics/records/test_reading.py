"""A reader takes every fact once and in order, whatever is repeated, and nothing that was written too late."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topics.records import reading
from topics.records.reading import NOBODY, Epochs, FactReader, Found, MadeBy, made_by

GUIDE = Path(__file__).parents[4] / "docs" / "reading.md"


def by(epoch: int, offset: int = 0) -> tuple[tuple[str, bytes], ...]:
    return (("ce_id", b"1"), ("sluice-made-by", b"%d/%d" % (epoch, offset)))


def test_who_made_a_record_is_in_its_last_header() -> None:
    """A record that is sent on keeps the headers it came with, and its new maker is put behind them."""
    assert made_by((*by(9, 1), *by(2, 7))) == MadeBy(2, 7)
    assert made_by((("ce_id", b"1"),)) == NOBODY
    assert made_by(by(3, -1)) == MadeBy(3, -1)


def test_facts_are_new_once_and_repeats_and_gaps_are_told() -> None:
    """A worker that died after its effects decides its last commands again: from offset 4 on, here."""
    reader = FactReader()
    made = [(1, 3), (2, 4), (3, 4), (4, 5), (2, 4), (3, 4), (4, 5), (5, 6), (7, 9)]
    judged = [reader.judge(0, b"a", sequence, by(1, offset)) for sequence, offset in made]
    assert judged == [Found.NEW] * 4 + [Found.REPEAT] * 3 + [Found.NEW, Found.GAP]
    assert reader.judge(1, b"b", 1, by(1, 0)) is Found.NEW, "another partition has offsets of its own"


def test_one_command_may_cause_facts_of_several_orders() -> None:
    reader = FactReader()
    for _ in range(2):
        judged = [reader.judge(0, key, 1, by(1, 7)) for key in (b"a", b"b")]
    assert judged == [Found.REPEAT] * 2
    assert reader.judge(0, b"c", 1, by(1, 7)) is Found.NEW, "its worker died before the third"


def test_an_order_that_was_forgotten_begins_again_and_repeats_are_still_known() -> None:
    reader = FactReader()
    made = [(1, 1), (2, 2), (3, 3), (1, 4), (2, 5)]  # 3 is order-forgotten
    assert [reader.judge(0, b"a", *_fact(fact)) for fact in made] == [Found.NEW] * 5
    assert [reader.judge(0, b"a", *_fact(fact)) for fact in made[2:]] == [Found.REPEAT] * 3
    assert reader.judge(0, b"a", 3, by(1, 6)) is Found.NEW


def _fact(made: tuple[int, int]) -> tuple[int, tuple[tuple[str, bytes], ...]]:
    return made[0], by(1, made[1])


def test_what_a_former_owner_writes_behind_its_successor_is_stale_also_for_other_orders() -> None:
    reader = FactReader()
    assert reader.judge(0, b"a", 1, by(1, 1)) is Found.NEW
    assert reader.judge(0, b"a", 1, by(2, 1)) is Found.REPEAT, "what its successor decides again tells that it is there"
    assert reader.judge(0, b"a", 2, by(1, 2)) is Found.STALE
    assert reader.judge(0, b"b", 1, by(1, 3)) is Found.STALE
    assert reader.judge(1, b"c", 1, by(1, 1)) is Found.NEW, "another partition has epochs of its own"
    assert reader.judge(0, b"a", 2, by(2, 2)) is Found.NEW, "the stale one took nothing's place"


def test_a_reader_that_restarts_goes_on_with_what_it_remembers() -> None:
    before = FactReader()
    before.judge(0, b"a", 1, by(2, 5))
    after = FactReader(json.loads(json.dumps(before.remembered())))
    assert after.judge(0, b"a", 1, by(2, 5)) is Found.REPEAT
    assert after.judge(0, b"a", 2, by(1, 6)) is Found.STALE
    assert after.judge(0, b"a", 2, by(3, 6)) is Found.NEW


def test_what_a_reader_keeps_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "KEYS_MAX", 2)
    reader = FactReader()
    for offset, key in enumerate((b"a", b"b", b"a", b"c")):
        reader.judge(0, key, 1, by(1, offset))
    assert set(reader.remembered()["keys"]) == {"a", "c"}, "the one read longest ago goes first"
    assert len(reader.remembered()["same"]["0"]) == 1


@given(st.lists(st.integers(1, 4), max_size=40))
def test_after_an_epoch_nothing_older_counts(epochs: list[int]) -> None:
    seen = Epochs()
    taken = [epoch for epoch in epochs if not seen.is_stale(0, epoch)]
    assert taken == sorted(taken)
    assert max(taken, default=0) == max(epochs, default=0)


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(0, 4), st.integers(1, 3), st.sampled_from([b"a", b"b"])), max_size=40
    )
)
def test_the_readers_guide_judges_as_this_does(records: list[tuple[int, int, int, bytes]]) -> None:
    """Its code stands alone, because those who read it have no Sluice to import."""
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - our own document
    theirs, ours = names["FactReader"](), FactReader()
    for epoch, offset, sequence, key in records:
        headers = by(epoch, offset)
        record = SimpleNamespace(partition=0, key=key, headers=headers, value=json.dumps({"sequence": sequence}))
        found = ours.judge(0, key, sequence, headers)
        assert theirs.is_new(record) == (found in {Found.NEW, Found.GAP})
