"""Pair checks of the runtime: each finds the fault that it is for, and raises in tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiokafka import TopicPartition

from streams.runtime.durability.changelog import ChangelogReader, check_end, check_read
from streams.runtime.durability.claim import Claims, Takeover
from streams.runtime.durability.late_writes import LateWrites
from streams.runtime.durability.offset_ledger import OffsetLedger
from streams.runtime.durability.rebuild import Rebuild
from streams.runtime.durability.recovery import check_source
from streams.runtime.invariants import InvariantError
from streams.runtime.metrics import Metrics
from streams.runtime.tables.local_store import LocalStore
from streams.runtime.tables.partition_table import PartitionState
from streams.runtime.tables.spilling import Spilling
from tests.fakes.runtime import FakeChangelogReader, fake_commit, fake_publisher, raw_record, valid
from tests.support.eventually import eventually
from topics.configuration.settings import Settings

PLACE = TopicPartition("t.state.v1", 0)


def test_a_chunk_is_finished_once() -> None:
    ledger = OffsetLedger()
    ledger.handed_out(0, 1)
    ledger.handed_out(0, 2)
    ledger.finished(0, 2)
    with pytest.raises(InvariantError, match="offsets_finish_once: partition 0: 2 was finished before"):
        ledger.finished(0, 2)


@pytest.mark.parametrize("again", [4, 5])
def test_offsets_of_a_partition_only_grow(again: int) -> None:
    ledger = OffsetLedger()
    ledger.handed_out(0, 5)
    with pytest.raises(InvariantError, match=f"offsets_grow: partition 0: {again} was handed out after 5"):
        ledger.handed_out(0, again)
    ledger.finished(0, 5)
    with pytest.raises(InvariantError, match="offsets_grow"):
        ledger.handed_out(0, again)
    ledger.clear()  # given back: it is read again from where it was committed
    ledger.handed_out(0, again)


async def test_everything_handed_to_a_group_is_acknowledged() -> None:
    publisher, producer = fake_publisher("state")
    failures: list[BaseException] = []
    commit = fake_commit(publisher, OffsetLedger(), failures.append)
    state = PartitionState(0, ["state"])
    state.all[0].put(b"k", b"v")
    state.all[0].merge()
    commit.add_state(state)
    commit._gathering.records += 1  # a record that was counted, and is in no batch
    commit.add_chunk(0, 1)
    commit.start()
    await eventually(lambda: bool(failures), 5, what="the group is missing a record")
    assert str(failures[0]) == "groups_are_whole: 1 of 2 records of a group were acknowledged"
    assert len(producer.log) == 1
    await commit.stop()


async def test_a_changelog_acknowledges_growing_offsets() -> None:
    publisher, _ = fake_publisher("state")
    late = LateWrites(FakeChangelogReader(), Metrics("test"))
    (table,) = PartitionState(0, ["state"]).all
    table.log_end = 10
    batches = publisher.batches(*PLACE)
    batches.acknowledged.append((9, 1))
    with pytest.raises(InvariantError, match=r"changelog_offsets_grow: t\.state\.v1/0 took a batch at 9 after 9"):
        await late.check_written([(table, batches)])


def test_a_changelog_never_ends_before_what_was_acknowledged() -> None:
    """An unclean election of a leader, or a topic made anew under a worker that runs."""
    reader = ChangelogReader(Settings(), "test")
    reader.reached(PLACE, 10)
    reader.reached(PLACE, 7)
    assert reader._reached[PLACE] == 10
    check_end(PLACE, 10, reader._reached[PLACE])
    with pytest.raises(InvariantError, match=r"changelog_keeps_its_end: t\.state\.v1/0 ends at 9, and was at 10"):
        check_end(PLACE, 9, reader._reached[PLACE])


def test_a_changelog_is_read_once_and_in_order() -> None:
    records = [raw_record(offset, b"v") for offset in (3, 4, 7)]
    check_read(PLACE, records, 3)
    check_read(PLACE, records, 1)  # compaction left a hole
    with pytest.raises(InvariantError, match=r"changelog_is_read_once"):
        check_read(PLACE, records, 4)
    with pytest.raises(InvariantError, match=r"changelog_is_read_once"):
        check_read(PLACE, [raw_record(3, b"v"), raw_record(3, b"v")], 3)


async def test_epochs_of_a_partition_only_grow() -> None:
    publisher, producer = fake_publisher("state")
    claims = Claims(publisher, FakeChangelogReader(producer.log), valid, "worker")

    def takeover() -> Takeover:
        state = PartitionState(0, ["state"])
        state.all[0].log_end = len(producer.log)
        return Takeover(state, [Rebuild(state.all[0], PLACE.topic)])

    await claims.make([takeover()], 5)
    await claims.make([takeover()], 6)
    with pytest.raises(InvariantError, match="epochs_grow: partition 0 is claimed at 6, and was at 6"):
        await claims.make([takeover()], 6)  # its changelog is read as empty: an earlier claim would be in it


def test_state_is_made_from_records_that_are_there() -> None:
    """Somebody made the source topic anew, and left its changelogs."""
    state = PartitionState(3, ["state"])
    check_source("t.source.v1", state, 0)
    state.horizon = 40
    check_source("t.source.v1", state, 41)
    with pytest.raises(
        InvariantError, match=r"state_has_its_source: tables of t\.source\.v1/3 were made from offset 40"
    ):
        check_source("t.source.v1", state, 40)


def test_spilled_rows_and_memory_are_accounted_for(tmp_path: Path) -> None:
    spilling = Spilling(LocalStore(tmp_path / "spilled"), bytes_max=1)
    table = spilling.table("state", PartitionState(0, []))
    table.set(b"k", b"v", 1)
    assert table._cold is not None
    table._cold.values = 0
    with pytest.raises(InvariantError, match="spilled_rows_are_counted"):
        table._cold.drop()
    spilling.used += 1
    with pytest.raises(InvariantError, match="spilling_memory_is_returned: no table is left, and 1 bytes count"):
        table.close()
