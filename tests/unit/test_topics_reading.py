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

from topics import reading
from topics.reading import NOBODY, Epochs, FactReader, Found, MadeBy, made_by

GUIDE = Path(__file__).parents[2] / "docs" / "reading.md"


def by(epoch: int, offset: int = 0) -> tuple[tuple[str, bytes], ...]:
    return (("ce_id", b"1"), ("sluice-made-by", b"%d/%d" % (epoch, offset)))


def test_who_made_a_record_is_in_its_last_header() -> None:
    """A record that is sent on keeps the headers it came with, and its new maker is put behind them."""
    assert made_by((*by(9, 1), *by(2, 7))) == MadeBy(2, 7)
    assert made_by((("ce_id", b"1"),)) == NOBODY
    assert made_by(by(3, -1)) == MadeBy(3, -1)


def test_facts_are_new_once_and_repeats_and_gaps_are_told() -> None:
    reader = FactReader()
    judged = [reader.judge(0, b"a", sequence, by(1)) for sequence in (1, 2, 2, 1, 3, 5)]
    assert judged == [Found.NEW, Found.NEW, Found.REPEAT, Found.REPEAT, Found.NEW, Found.GAP]
    assert reader.judge(1, b"b", 1, by(1)) is Found.NEW


def test_what_a_former_owner_writes_behind_its_successor_is_stale_also_for_other_orders() -> None:
    reader = FactReader()
    assert reader.judge(0, b"a", 1, by(1)) is Found.NEW
    assert reader.judge(0, b"a", 2, by(2)) is Found.NEW
    assert reader.judge(0, b"a", 3, by(1)) is Found.STALE
    assert reader.judge(0, b"b", 1, by(1)) is Found.STALE
    assert reader.judge(1, b"c", 1, by(1)) is Found.NEW, "another partition has epochs of its own"
    assert reader.judge(0, b"a", 3, by(2)) is Found.NEW, "the stale one took nothing's place"


def test_a_reader_that_restarts_goes_on_with_what_it_remembers() -> None:
    before = FactReader()
    before.judge(0, b"a", 1, by(2))
    after = FactReader(json.loads(json.dumps(before.remembered())))
    assert after.judge(0, b"a", 1, by(2)) is Found.REPEAT
    assert after.judge(0, b"a", 2, by(1)) is Found.STALE
    assert after.judge(0, b"a", 2, by(3)) is Found.NEW


def test_what_a_reader_keeps_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "KEYS_MAX", 2)
    reader = FactReader()
    for key in (b"a", b"b", b"a", b"c"):
        reader.judge(0, key, 1, by(1))
    assert set(reader.remembered()["keys"]) == {"a", "c"}, "the one read longest ago goes first"


@given(st.lists(st.integers(1, 4), max_size=40))
def test_after_an_epoch_nothing_older_counts(epochs: list[int]) -> None:
    seen = Epochs()
    taken = [epoch for epoch in epochs if not seen.is_stale(0, epoch)]
    assert taken == sorted(taken)
    assert max(taken, default=0) == max(epochs, default=0)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4), st.sampled_from([b"a", b"b"])), max_size=40))
def test_the_readers_guide_judges_as_this_does(records: list[tuple[int, int, bytes]]) -> None:
    """Its code stands alone, because those who read it have no Sluice to import."""
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - our own document
    theirs, ours = names["FactReader"](), FactReader()
    for epoch, sequence, key in records:
        record = SimpleNamespace(partition=0, key=key, headers=by(epoch), value=json.dumps({"sequence": sequence}))
        found = ours.judge(0, key, sequence, record.headers)
        assert theirs.is_new(record) == (found in {Found.NEW, Found.GAP})
