"""Local disk is a cache of one process: nothing of a former one is read, and a disk that fails is no record's fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.runtime.decide import DecideLoop
from streams.runtime.durability.offset_ledger import OffsetLedger
from streams.runtime.metrics import Metrics
from streams.runtime.role import Effect, Record, Role, Tables
from streams.runtime.tables.cold_table import ColdTable
from streams.runtime.tables.local_store import LocalStore, LocalStoreError
from streams.runtime.tables.partition_table import PartitionState
from streams.runtime.tables.spilling import Spilling
from tests.fakes.runtime import fake_commit, fake_publisher, raw_record


def test_there_is_a_file_only_while_something_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "delivery-0.tables"
    store = LocalStore(path)
    assert not path.parent.exists()
    first, second = ColdTable(store), ColdTable(store)
    second.add([(b"k", b"v", 1)], values=1)
    first.drop()
    assert second.get(b"k") == b"v"
    second.drop()
    assert not path.exists()


def test_what_a_former_process_left_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "delivery-0.tables"
    path.write_bytes(b"cut off in the middle")
    LocalStore(path).clear()
    assert not path.exists()
    path.write_bytes(b"cut off in the middle")
    assert ColdTable(LocalStore(path)).page(b"") == []


class Keeping(Role):
    name, source, tables = "keeping", "source", ("state",)

    def decide(self, record: Record, tables: Tables) -> list[Effect]:
        tables["state"].get(record.key)
        return []


def test_a_disk_that_fails_ends_the_process_and_sets_nothing_aside(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    spilling = Spilling(LocalStore(tmp_path / "file" / "delivery-0.tables"), bytes_max=0)
    state = PartitionState(0, ["state"], spilling.table)
    with pytest.raises(LocalStoreError, match="SLUICE_STATE_DIR"):
        state.all[0].set(b"k", b"v", 0)
    store = LocalStore(tmp_path / "delivery-0.tables")
    state = PartitionState(0, ["state"], Spilling(store, bytes_max=0).table)
    state.all[0].set(b"k", b"v", 0)
    store.clear()  # as if the disk were gone
    failures: list[BaseException] = []
    publisher, _ = fake_publisher("state", "commands.rejected")
    commit = fake_commit(publisher, OffsetLedger(), failures.append)
    loop = DecideLoop(Keeping(), "source", commit, Metrics("test"), 10, {})
    with pytest.raises(LocalStoreError):
        loop.decide_chunk(state, [raw_record(1, b"v", b"k")])
    assert not commit._gathering.effects
