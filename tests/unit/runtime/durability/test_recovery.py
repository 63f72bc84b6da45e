"""A table is rebuilt from its changelog exactly: the newest owner's record of a key wins, deletions stay deleted."""

from __future__ import annotations

from pathlib import Path
from random import Random
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.runtime.durability.rebuild import Rebuild, recovered_offsets
from streams.runtime.tables import spilling as spilling_module
from streams.runtime.tables.local_store import LocalStore
from streams.runtime.tables.partition_table import MakeTable, PartitionState, PartitionTable
from streams.runtime.tables.spilling import Spilling
from tests.fakes.runtime import TABLE_KINDS, raw_record
from topics.records.reading import OWNER_KEY, Epochs


def made_by(epoch: int, offset: int) -> list[tuple[str, bytes]]:
    return [("sluice-made-by", b"%d/%d" % (epoch, offset))]


def rebuilt(*records: object, kind: MakeTable = PartitionTable) -> tuple[PartitionState, Rebuild]:
    state = PartitionState(0, ["state"], kind)
    rebuild = Rebuild(state.all[0], "t.state.v1")
    rebuild.apply(records)
    return state, rebuild


def test_a_chunk_of_records_is_applied_at_once() -> None:
    """Stock Faust makes an event of each changelog record: 15,000 a second instead of 250,000."""
    records = [raw_record(n, b"%d" % n, b"k%d" % (n % 7), made_by(1, n)) for n in range(1_000)]
    state, rebuild = rebuilt(*records)
    assert len(state.tables["state"]) == 7
    assert rebuild.table.newest_origin() == 999
    assert state.all[0].bytes == sum(len(value) for _, value in state.tables["state"].items())


@pytest.mark.parametrize("kind", TABLE_KINDS)
def test_a_former_owners_late_record_does_not_win(kind: MakeTable) -> None:
    """It was stopped past its session with records 5 and 6 decided, and wrote them behind the new owner's."""
    state, _ = rebuilt(
        raw_record(0, b"old owner, 4", b"c|l|k", headers=made_by(1, 4)),
        raw_record(1, b"new owner, 5", b"c|l|k", headers=made_by(2, 5)),
        raw_record(2, b"old owner, 5", b"c|l|k", headers=made_by(1, 5)),
        raw_record(3, b"old owner, 6", b"c|l|k", headers=made_by(1, 6)),
        kind=kind,
    )
    assert state.tables["state"].get(b"c|l|k") == b"new owner, 5"


@pytest.mark.parametrize("kind", TABLE_KINDS)
def test_a_deletion_stays_even_when_an_older_record_comes_late(kind: MakeTable) -> None:
    state, _ = rebuilt(
        raw_record(0, b"1", b"c|l|k", headers=made_by(1, 3)),
        raw_record(1, None, b"c|l|k", headers=made_by(2, 5)),
        raw_record(2, b"late", b"c|l|k", headers=made_by(1, 6)),
        kind=kind,
    )
    table = state.all[0]
    state.offset, state.horizon = 4, 5
    assert table.get(b"c|l|k") is None
    assert table.is_made_from(b"c|l|k"), "the record at 4 is a redelivery although its key is gone"


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 9), st.sampled_from([b"a", b"b"])), max_size=30))
def test_in_the_logs_order_nothing_of_an_older_epoch_counts(writes: list[tuple[int, int, bytes]]) -> None:
    """As readers of the log take it (topics.records.reading), so that nobody believes what the owner does not."""
    records = [
        raw_record(n, b"%d/%d" % (epoch, offset), key, made_by(epoch, offset))
        for n, (epoch, offset, key) in enumerate(writes)
    ]
    state, rebuild = rebuilt(*records)
    epochs, again = Epochs(), Epochs()
    expected = {key: b"%d/%d" % (epoch, offset) for epoch, offset, key in writes if not epochs.is_stale(0, epoch)}
    assert dict(state.tables["state"].items()) == expected
    is_covered = {key: again.is_stale(0, epoch) for epoch, _, key in writes}
    assert state.all[0].overwritten == {key for key, overwritten in is_covered.items() if overwritten}
    assert rebuild.epoch == max((epoch for epoch, _, _ in writes), default=0)


@pytest.mark.parametrize("kind", TABLE_KINDS)
def test_what_a_former_owner_put_last_is_written_again_as_it_is_now(kind: MakeTable) -> None:
    """Also a deletion, and also what only the former owner ever wrote: compaction would keep it otherwise."""
    state, _ = rebuilt(
        raw_record(0, b"1", b"c|l|kept", made_by(1, 1)),
        raw_record(1, b"1", b"c|l|deleted", made_by(1, 2)),
        raw_record(2, None, b"c|l|deleted", made_by(2, 3)),
        raw_record(3, b"claim", OWNER_KEY, made_by(2, -1)),
        raw_record(4, b"late", b"c|l|kept", made_by(1, 4)),
        raw_record(5, b"late", b"c|l|deleted", made_by(1, 4)),
        raw_record(6, b"late", b"c|l|unknown", made_by(1, 5)),
        raw_record(7, b"late", OWNER_KEY, made_by(1, -1)),
        raw_record(8, b"late", b"c|l|healed", made_by(1, 6)),
        raw_record(9, b"2", b"c|l|healed", made_by(2, 6)),
        kind=kind,
    )
    (table,) = state.all
    state.claim = b"mine"
    table.rewrite_overwritten()
    assert table.dirty == {b"c|l|kept": b"1", b"c|l|deleted": None, b"c|l|unknown": None, OWNER_KEY: b"mine"}
    assert dict(table.items()) == {b"c|l|kept": b"1", b"c|l|healed": b"2"}


def test_an_owners_claim_is_no_value_of_the_table() -> None:
    state, rebuild = rebuilt(raw_record(0, b"claim", OWNER_KEY, made_by(4, -1)))
    assert len(state.all[0]) == 0
    assert rebuild.epoch == 4


def test_a_record_of_another_writer_is_kept_until_one_of_ours_comes() -> None:
    state, _ = rebuilt(
        raw_record(0, b"theirs"), raw_record(1, b"ours", headers=made_by(1, 0)), raw_record(2, b"theirs")
    )
    assert state.tables["state"].get(b"k") == b"ours"


def test_what_was_decided_is_what_the_first_table_says() -> None:
    """A group was cut short behind its other tables: its records come again, and no later change may hide them."""
    _, first = rebuilt(raw_record(0, b"v", b"k", made_by(1, 3)))
    _, other = rebuilt(raw_record(0, b"v", b"k", made_by(1, 5)))
    assert recovered_offsets([first, other]) == (5, 3)
    assert recovered_offsets([]) == (-1, -1)


def test_a_table_that_spills_is_rebuilt_as_one_in_memory(tmp_path: Path) -> None:
    """A takeover with a backlog: more than memory has room for, with deletions that are still remembered."""
    random = Random(1)
    records = [
        raw_record(n, None if random.random() < 0.4 else b"%d" % n, b"k%d" % random.randrange(60), made_by(1, n // 2))
        for n in range(400)
    ]
    plain, known = rebuilt(*records)
    spilling = Spilling(LocalStore(tmp_path / "tables"), bytes_max=5_000)
    state = PartitionState(0, ["state"], spilling.table)
    rebuild = Rebuild(state.all[0], "t.state.v1")
    with patch.object(spilling_module, "SPILLED_AT_ONCE", 7):
        for first in range(0, len(records), 50):
            rebuild.apply(records[first : first + 50])
    assert (tmp_path / "tables").exists()
    assert recovered_offsets([rebuild]) == recovered_offsets([known])
    assert list(state.all[0].walk()) == list(plain.all[0].walk())
    keys = {record.key for record in records}
    assert {key: state.all[0].origin(key) for key in keys} == {key: plain.all[0].origin(key) for key in keys}
    state.close()
    assert not (tmp_path / "tables").exists()
